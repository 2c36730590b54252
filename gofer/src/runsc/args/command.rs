//! The flags of the command.

use super::syntax::{self, Flag, Kind};
use super::{ArgsError, Globals, MountConf, mount_confs};

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
    /// Descriptors that this program has no use for, but that nobody else may get.
    pub(crate) unused_fds: Vec<i32>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) apply_caps: bool,
    pub(crate) setup_root: bool,
    /// Flags of extensions, as `--NAME=VALUE`.
    pub(crate) extra: Vec<String>,
    /// Empty from callers of before 2023.
    pub(crate) container_id: String,
}

const BOOLS: [&str; 2] = ["apply-caps", "setup-root"];

const VALUES: [&str; 19] = [
    "bundle",
    "gofer-mount-confs",
    "io-fds",
    "dev-io-fd",
    "spec-fd",
    "mounts-fd",
    "rpc-fd",
    "sync-chroot-fd",
    "sync-userns-fd",
    "sync-nvproxy-fd",
    "pin-ring-fd",
    "sync-sentry-exit-fd",
    "proc-mount-sync-fd",
    "profile-block-fd",
    "profile-cpu-fd",
    "profile-heap-fd",
    "profile-mutex-fd",
    "trace-fd",
    "uid",
];

fn kind(name: &str) -> Kind {
    if BOOLS.contains(&name) {
        Kind::Bool
    } else if VALUES.contains(&name) || name == "gid" {
        Kind::Value
    } else {
        Kind::Unknown
    }
}

impl Command {
    /// The arguments after `gofer`. `is_extra` knows flags of extensions, which take a value.
    pub(super) fn parse(
        arguments: &[String],
        globals: &Globals,
        is_extra: impl Fn(&str) -> bool,
    ) -> Result<Self, ArgsError> {
        let mut command = Command { apply_caps: true, setup_root: true, ..Command::default() };
        let mut numbers = Numbers::default();
        let (flags, rest) = syntax::split(arguments, |name| if is_extra(name) { Kind::Value } else { kind(name) })?;
        for flag in &flags {
            if is_extra(flag.name) {
                command.extra.push(format!("--{}={}", flag.name, flag.value));
            } else {
                command.set(flag, &mut numbers)?;
            }
        }
        if command.bundle.is_empty() {
            return Err(ArgsError::Missing("bundle"));
        }
        command.spec_fd = numbers.spec.ok_or(ArgsError::Missing("spec-fd"))?;
        command.mounts_fd = numbers.mounts.ok_or(ArgsError::Missing("mounts-fd"))?;
        // One that serves nothing but devices has no other connection.
        if command.io_fds.is_empty() && command.dev_io_fd.is_none() {
            return Err(ArgsError::Missing("io-fds"));
        }
        command.unused_fds.extend(globals.coverage_fd);
        match rest {
            [id] => command.container_id.clone_from(id),
            [] if command.mount_confs.is_none() => {}
            other => return Err(ArgsError::Positional(other.len())),
        }
        Ok(command)
    }

    fn set(&mut self, flag: &Flag<'_>, numbers: &mut Numbers) -> Result<(), ArgsError> {
        match flag.name {
            "bundle" => self.bundle = flag.value.to_owned(),
            "gofer-mount-confs" => {
                self.mount_confs.get_or_insert_default().extend(mount_confs::parse(flag.value)?);
            }
            "io-fds" => self.io_fds.extend(flag.fds()?),
            "dev-io-fd" => self.dev_io_fd = flag.fd()?,
            "spec-fd" => numbers.spec = flag.fd()?,
            "mounts-fd" => numbers.mounts = flag.fd()?,
            "rpc-fd" => self.rpc_fd = flag.fd()?,
            "sync-chroot-fd" => self.sync_chroot_fd = flag.fd()?,
            "sync-userns-fd" => self.sync_userns_fd = flag.fd()?,
            "pin-ring-fd" => self.pin_ring_fd = flag.fd()?,
            "sync-sentry-exit-fd" => self.sync_sentry_exit_fd = flag.fd()?,
            "sync-nvproxy-fd" | "proc-mount-sync-fd" | "profile-block-fd" | "profile-cpu-fd" | "profile-heap-fd"
            | "profile-mutex-fd" | "trace-fd" => self.unused_fds.extend(flag.fd()?),
            "uid" => self.uid = flag.id()?,
            "gid" => self.gid = flag.id()?,
            "apply-caps" => self.apply_caps = flag.bool()?,
            "setup-root" => self.setup_root = flag.bool()?,
            other => return Err(ArgsError::Unknown(other.to_owned())),
        }
        Ok(())
    }
}

/// Numbers that must be there in the end.
#[derive(Default)]
struct Numbers {
    spec: Option<i32>,
    mounts: Option<i32>,
}
