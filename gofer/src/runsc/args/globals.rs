//! The flags before the command, as far as they matter here.

use super::ArgsError;
use super::legacy_overlay::LegacyOverlay;
use super::syntax::{self, Flag, Kind};
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
    /// Whether clients work on donated descriptors of their mounts; nothing if the caller did not say, which means that they do.
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
    pub(crate) coverage_fd: Option<i32>,
    pub(crate) overlay: LegacyOverlay,
}

const BOOLS: [&str; 11] = [
    "allow-rootfs-tar-annotation",
    "directfs",
    "fsgofer-host-uds",
    "TESTONLY-unsafe-nonroot",
    "nvproxy",
    "nvproxy-docker",
    "tpuproxy",
    "rdmaproxy",
    "debug",
    "alsologtostderr",
    "overlay",
];

const VALUES: [&str; 11] = [
    "host-uds",
    "host-fifo",
    "character-device-policy",
    "fdlimit",
    "debug-command",
    "debug-log-format",
    "log-fd",
    "debug-log-fd",
    "panic-log-fd",
    "coverage-fd",
    "overlay2",
];

fn kind(name: &str) -> Kind {
    if BOOLS.contains(&name) {
        Kind::Bool
    } else if VALUES.contains(&name) {
        Kind::Value
    } else {
        Kind::Unknown
    }
}

const SOCKETS: [(&str, UdsPolicy); 5] = [
    ("", UdsPolicy::None),
    ("none", UdsPolicy::None),
    ("open", UdsPolicy::Open),
    ("create", UdsPolicy::Create),
    ("all", UdsPolicy::All),
];

impl Globals {
    /// The flags at the beginning of `arguments`, and what follows them. Flags that nobody knows mean nothing.
    pub(super) fn parse(arguments: &[String]) -> Result<(Self, &[String]), ArgsError> {
        let (flags, rest) = syntax::split(arguments, kind)?;
        let mut globals = Globals::default();
        for flag in &flags {
            globals.set(flag)?;
        }
        if globals.fsgofer_host_uds {
            match globals.host_uds {
                None | Some(UdsPolicy::None) => globals.host_uds = Some(UdsPolicy::Open),
                Some(_) => return Err(ArgsError::TwoSocketPolicies),
            }
        }
        Ok((globals, rest))
    }

    fn set(&mut self, flag: &Flag<'_>) -> Result<(), ArgsError> {
        match flag.name {
            "directfs" => self.directfs = Some(flag.bool()?),
            "host-uds" => self.host_uds = Some(flag.one_of(&SOCKETS, "none, open, create or all")?),
            "fsgofer-host-uds" => self.fsgofer_host_uds = flag.bool()?,
            "host-fifo" => {
                let choices = [("", false), ("none", false), ("open", true)];
                self.host_fifo = flag.one_of(&choices, "none or open")?;
            }
            "character-device-policy" => {
                let choices = [
                    ("", CharDevices::EmulatedOnly),
                    ("emulated-only", CharDevices::EmulatedOnly),
                    ("prefer-emulated", CharDevices::PreferEmulated),
                    ("passthrough", CharDevices::Passthrough),
                ];
                self.char_devices = flag.one_of(&choices, "emulated-only, prefer-emulated or passthrough")?;
            }
            "allow-rootfs-tar-annotation" => self.allow_rootfs_tar = flag.bool()?,
            "fdlimit" => self.fd_limit = u64::try_from(flag.int()?).ok(),
            "TESTONLY-unsafe-nonroot" => self.keep_root = flag.bool()?,
            "nvproxy" => self.nvproxy = flag.bool()?,
            "nvproxy-docker" => self.nvproxy_docker = flag.bool()?,
            "tpuproxy" => self.tpuproxy = flag.bool()?,
            "rdmaproxy" => self.rdmaproxy = flag.bool()?,
            "debug" => self.debug = flag.bool()?,
            "debug-command" => self.debug_command = flag.value.to_owned(),
            "debug-log-format" => {
                let choices = [("text", LogFormat::Text), ("json", LogFormat::Json), ("json-k8s", LogFormat::JsonK8s)];
                self.log_format = flag.one_of(&choices, "text, json or json-k8s")?;
            }
            "alsologtostderr" => self.also_log_to_stderr = flag.bool()?,
            "log-fd" => self.log_fd = flag.fd()?,
            "debug-log-fd" => self.debug_log_fd = flag.fd()?,
            "panic-log-fd" => self.panic_log_fd = flag.fd()?,
            "coverage-fd" => self.coverage_fd = flag.fd()?,
            "overlay" => self.overlay.set_all(flag.bool()?),
            "overlay2" => self.overlay.set(flag.value),
            _ => {}
        }
        Ok(())
    }

    /// What callers of before 2023 expect, who do not know all flags: devices can be opened, and clients have no use for
    /// descriptors of their mounts.
    pub(super) fn be_legacy(&mut self) {
        self.char_devices = CharDevices::Passthrough;
        self.directfs.get_or_insert(false);
    }

    /// What may be done with the host's UNIX sockets.
    pub(crate) fn host_uds(&self) -> UdsPolicy {
        self.host_uds.unwrap_or(UdsPolicy::None)
    }

    /// Whether details are wanted in the log: `--debug`, unless `--debug-command` names other commands, or this one after
    /// an exclamation mark.
    pub(crate) fn is_debugged(&self) -> bool {
        let (is_listed_wanted, list) = match self.debug_command.strip_prefix('!') {
            Some(list) => (false, list),
            None => (true, self.debug_command.as_str()),
        };
        let is_listed = list.split(',').any(|command| command == "gofer");
        self.debug && (self.debug_command.is_empty() || is_listed == is_listed_wanted)
    }
}
