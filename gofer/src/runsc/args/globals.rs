//! The flags before the command, as far as they matter here.

use super::ArgsError;
use super::effect::{self, Effect, Table};
use super::legacy_overlay::LegacyOverlay;
use super::syntax::{self, Flag};
use crate::hostfs::UdsPolicy;

/// Which character devices of the host may be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CharDevices {
    /// None: the sandbox emulates those that it knows.
    #[default]
    EmulatedOnly,
    /// Those that the sandbox does not know; it says which.
    PreferEmulated,
    /// All.
    Passthrough,
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// As glog writes them.
    #[default]
    Text,
    /// An object for each line.
    Json,
    /// The same with the message where Kubernetes looks for it.
    JsonK8s,
}

/// The flags before the command.
#[derive(Clone, Debug, Default)]
pub(crate) struct Globals {
    /// Whether clients work on donated descriptors of their mounts; nothing if the caller did not say, which means that
    /// they do.
    pub(crate) directfs: Option<bool>,
    pub(crate) host_uds: Option<UdsPolicy>,
    fsgofer_host_uds: bool,
    pub(crate) host_fifo: bool,
    pub(crate) char_devices: CharDevices,
    /// The limit of descriptors to set.
    pub(crate) fd_limit: Option<u64>,
    /// An annotation may say that the root file system has an archive for its upper layer.
    pub(crate) allow_rootfs_tar: bool,
    /// The process keeps its root directory and user.
    pub(crate) keep_root: bool,
    pub(crate) nvproxy: bool,
    pub(crate) nvproxy_docker: bool,
    pub(crate) tpuproxy: bool,
    pub(crate) rdmaproxy: bool,
    pub(crate) debug: bool,
    debug_command: String,
    pub(crate) log_format: LogFormat,
    pub(crate) also_log_to_stderr: bool,
    pub(crate) log_fd: Option<i32>,
    pub(crate) debug_log_fd: Option<i32>,
    pub(crate) panic_log_fd: Option<i32>,
    pub(crate) overlay: LegacyOverlay,
}

use Effect::{Bool, Fd, Text, Value};

/// The flags that mean something here.
const FLAGS: &Table<Globals> = &[
    ("directfs", Bool(|globals, on| globals.directfs = Some(on))),
    ("host-uds", Value(Globals::set_host_uds)),
    ("fsgofer-host-uds", Bool(|globals, on| globals.fsgofer_host_uds = on)),
    ("host-fifo", Value(Globals::set_host_fifo)),
    ("character-device-policy", Value(Globals::set_char_devices)),
    ("fdlimit", Value(Globals::set_fd_limit)),
    ("allow-rootfs-tar-annotation", Bool(|globals, on| globals.allow_rootfs_tar = on)),
    ("TESTONLY-unsafe-nonroot", Bool(|globals, on| globals.keep_root = on)),
    ("nvproxy", Bool(|globals, on| globals.nvproxy = on)),
    ("nvproxy-docker", Bool(|globals, on| globals.nvproxy_docker = on)),
    ("tpuproxy", Bool(|globals, on| globals.tpuproxy = on)),
    ("rdmaproxy", Bool(|globals, on| globals.rdmaproxy = on)),
    ("debug", Bool(|globals, on| globals.debug = on)),
    ("debug-command", Text(|globals, list| list.clone_into(&mut globals.debug_command))),
    ("debug-log-format", Value(Globals::set_log_format)),
    ("alsologtostderr", Bool(|globals, on| globals.also_log_to_stderr = on)),
    ("log-fd", Fd(|globals, fd| globals.log_fd = fd)),
    ("debug-log-fd", Fd(|globals, fd| globals.debug_log_fd = fd)),
    ("panic-log-fd", Fd(|globals, fd| globals.panic_log_fd = fd)),
    // A file for what only Go programs have to say.
    ("coverage-fd", Fd(|_, _| {})),
    ("overlay", Bool(|globals, on| globals.overlay.set_all(on))),
    ("overlay2", Text(|globals, text| globals.overlay.set(text))),
];

const SOCKETS: [(&str, UdsPolicy); 5] = [
    ("", UdsPolicy::None),
    ("none", UdsPolicy::None),
    ("open", UdsPolicy::Open),
    ("create", UdsPolicy::Create),
    ("all", UdsPolicy::All),
];

impl Globals {
    /// The flags at the beginning of `arguments` as far as they are understood, and what follows them, or what is wrong
    /// with one. Flags that nobody knows mean nothing.
    pub(super) fn parse(arguments: &[String]) -> (Self, Result<&[String], ArgsError>) {
        let mut globals = Globals::default();
        let (flags, rest) = match syntax::split(arguments, |name| effect::kind(FLAGS, name)) {
            Ok(parts) => parts,
            Err(error) => return (globals, Err(error)),
        };
        // The log comes last, and whoever looks there should see what is wrong before.
        let set = |flag: &Flag<'_>| effect::of(FLAGS, flag.name).map_or(Ok(()), |it| it.apply(&mut globals, flag));
        let wrong = flags.iter().map(set).fold(Ok(()), Result::and);
        let policy = globals.join_policies();
        (globals, wrong.and(policy).map(|()| rest))
    }

    /// Two flags say what may be done with sockets.
    fn join_policies(&mut self) -> Result<(), ArgsError> {
        if self.fsgofer_host_uds {
            match self.host_uds {
                None | Some(UdsPolicy::None) => self.host_uds = Some(UdsPolicy::Open),
                Some(_) => return Err(ArgsError::TwoSocketPolicies),
            }
        }
        Ok(())
    }

    fn set_host_uds(&mut self, flag: &Flag<'_>) -> Result<(), ArgsError> {
        self.host_uds = Some(flag.one_of(&SOCKETS, "none, open, create or all")?);
        Ok(())
    }

    fn set_host_fifo(&mut self, flag: &Flag<'_>) -> Result<(), ArgsError> {
        self.host_fifo = flag.one_of(&[("", false), ("none", false), ("open", true)], "none or open")?;
        Ok(())
    }

    fn set_char_devices(&mut self, flag: &Flag<'_>) -> Result<(), ArgsError> {
        let choices = [
            ("", CharDevices::EmulatedOnly),
            ("emulated-only", CharDevices::EmulatedOnly),
            ("prefer-emulated", CharDevices::PreferEmulated),
            ("passthrough", CharDevices::Passthrough),
        ];
        self.char_devices = flag.one_of(&choices, "emulated-only, prefer-emulated or passthrough")?;
        Ok(())
    }

    fn set_fd_limit(&mut self, flag: &Flag<'_>) -> Result<(), ArgsError> {
        self.fd_limit = u64::try_from(flag.int()?).ok();
        Ok(())
    }

    fn set_log_format(&mut self, flag: &Flag<'_>) -> Result<(), ArgsError> {
        let choices = [("text", LogFormat::Text), ("json", LogFormat::Json), ("json-k8s", LogFormat::JsonK8s)];
        self.log_format = flag.one_of(&choices, "text, json or json-k8s")?;
        Ok(())
    }

    /// What callers of before 2023 expect, who do not know all flags: devices can be opened, and clients have no use
    /// for descriptors of their mounts.
    pub(super) fn be_legacy(&mut self) {
        self.char_devices = CharDevices::Passthrough;
        self.directfs.get_or_insert(false);
    }

    /// What may be done with the host's UNIX sockets.
    pub(crate) fn host_uds(&self) -> UdsPolicy {
        self.host_uds.unwrap_or(UdsPolicy::None)
    }

    /// Whether details are wanted in the log: `--debug`, unless `--debug-command` names other commands, or this one
    /// after an exclamation mark.
    pub(crate) fn is_debugged(&self) -> bool {
        let (is_listed_wanted, list) = match self.debug_command.strip_prefix('!') {
            Some(list) => (false, list),
            None => (true, self.debug_command.as_str()),
        };
        let is_listed = list.split(',').any(|command| command == "gofer");
        self.debug && (self.debug_command.is_empty() || is_listed == is_listed_wanted)
    }
}
