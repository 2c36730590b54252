//! The flags of the command.

use super::effect::{self, Effect, Table};
use super::syntax::{self, Flag, Kind};
use super::{ArgsError, MountConf, mount_confs};

/// How the command is used.
pub(crate) const USAGE: &str =
    "Usage: runsc-gofer [global flags] gofer --bundle DIR --spec-fd N --mounts-fd N --io-fds N[,N].. \
     [--gofer-mount-confs CONF,..] [--dev-io-fd N] [--rpc-fd N] [--sync-chroot-fd N] [--sync-userns-fd N] CONTAINER-ID

runsc starts its gofer like this; a person who wants to serve a directory uses: gofer serve --socket PATH DIR";

/// The flags of the command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) bundle: String,
    /// None from callers of before 2023.
    pub(crate) mount_confs: Option<Vec<MountConf>>,
    pub(crate) io_fds: Vec<i32>,
    pub(crate) dev_io_fd: Option<i32>,
    pub(crate) spec_fd: i32,
    pub(crate) mounts_fd: i32,
    pub(crate) rpc_fd: Option<i32>,
    pub(crate) sync_chroot_fd: Option<i32>,
    pub(crate) sync_userns_fd: Option<i32>,
    pub(crate) pin_ring_fd: Option<i32>,
    pub(crate) sync_sentry_exit_fd: Option<i32>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) apply_caps: bool,
    pub(crate) setup_root: bool,
    /// Flags of extensions, as `--NAME=VALUE`.
    pub(crate) extra: Vec<String>,
    /// Empty from callers of before 2025.
    pub(crate) container_id: String,
}

use Effect::{Bool, Fd, Text, Value};

/// The flags that there are.
const FLAGS: &Table<Draft> = &[
    ("bundle", Text(|draft, text| text.clone_into(&mut draft.command.bundle))),
    ("gofer-mount-confs", Value(Draft::add_mount_confs)),
    ("io-fds", Value(Draft::add_io_fds)),
    ("dev-io-fd", Fd(|draft, fd| draft.command.dev_io_fd = fd)),
    ("spec-fd", Fd(|draft, fd| draft.spec_fd = fd)),
    ("mounts-fd", Fd(|draft, fd| draft.mounts_fd = fd)),
    ("rpc-fd", Fd(|draft, fd| draft.command.rpc_fd = fd)),
    ("sync-chroot-fd", Fd(|draft, fd| draft.command.sync_chroot_fd = fd)),
    ("sync-userns-fd", Fd(|draft, fd| draft.command.sync_userns_fd = fd)),
    ("pin-ring-fd", Fd(|draft, fd| draft.command.pin_ring_fd = fd)),
    ("sync-sentry-exit-fd", Fd(|draft, fd| draft.command.sync_sentry_exit_fd = fd)),
    // Files for what only Go programs have to say, and steps that this one does not take.
    ("profile-block-fd", Fd(|_, _| {})),
    ("profile-cpu-fd", Fd(|_, _| {})),
    ("profile-heap-fd", Fd(|_, _| {})),
    ("profile-mutex-fd", Fd(|_, _| {})),
    ("trace-fd", Fd(|_, _| {})),
    ("sync-nvproxy-fd", Fd(|_, _| {})),
    ("proc-mount-sync-fd", Fd(|_, _| {})),
    ("uid", Value(Draft::set_uid)),
    ("gid", Value(Draft::set_gid)),
    ("apply-caps", Bool(|draft, on| draft.command.apply_caps = on)),
    ("setup-root", Bool(|draft, on| draft.command.setup_root = on)),
];

impl Command {
    /// The arguments after `gofer`. `is_extra` knows flags of extensions, which take a value.
    pub(super) fn parse(arguments: &[String], is_extra: impl Fn(&str) -> bool) -> Result<Self, ArgsError> {
        let command = Command { apply_caps: true, setup_root: true, ..Command::default() };
        let mut draft = Draft { command, spec_fd: None, mounts_fd: None };
        let kind = |name: &str| if is_extra(name) { Kind::Value } else { effect::kind(FLAGS, name) };
        let (flags, rest) = syntax::split(arguments, kind)?;
        for flag in &flags {
            if is_extra(flag.name) {
                draft.command.extra.push(format!("--{}={}", flag.name, flag.value));
            } else {
                let effect = effect::of(FLAGS, flag.name);
                effect.ok_or_else(|| ArgsError::Unknown(flag.name.to_owned()))?.apply(&mut draft, flag)?;
            }
        }
        draft.finish(rest)
    }
}

/// What is known of a command so far.
struct Draft {
    command: Command,
    /// Must be there in the end, as this.
    spec_fd: Option<i32>,
    mounts_fd: Option<i32>,
}

impl Draft {
    fn add_mount_confs(&mut self, flag: &Flag<'_>) -> Result<(), ArgsError> {
        self.command.mount_confs.get_or_insert_default().extend(mount_confs::parse(flag.value)?);
        Ok(())
    }

    fn add_io_fds(&mut self, flag: &Flag<'_>) -> Result<(), ArgsError> {
        self.command.io_fds.extend(flag.fds()?);
        Ok(())
    }

    fn set_uid(&mut self, flag: &Flag<'_>) -> Result<(), ArgsError> {
        self.command.uid = flag.id()?;
        Ok(())
    }

    fn set_gid(&mut self, flag: &Flag<'_>) -> Result<(), ArgsError> {
        self.command.gid = flag.id()?;
        Ok(())
    }

    /// The command, if nothing is missing and `rest` is what has to follow.
    fn finish(self, rest: &[String]) -> Result<Command, ArgsError> {
        let mut command = self.command;
        if command.bundle.is_empty() {
            return Err(ArgsError::Missing("bundle"));
        }
        command.spec_fd = self.spec_fd.ok_or(ArgsError::Missing("spec-fd"))?;
        command.mounts_fd = self.mounts_fd.ok_or(ArgsError::Missing("mounts-fd"))?;
        // One that serves nothing but devices has no other connection.
        if command.io_fds.is_empty() && command.dev_io_fd.is_none() {
            return Err(ArgsError::Missing("io-fds"));
        }
        match rest {
            [id] => command.container_id.clone_from(id),
            // Callers of before 2025 do not say it.
            [] => {}
            other => return Err(ArgsError::Positional(other.len())),
        }
        Ok(command)
    }
}
