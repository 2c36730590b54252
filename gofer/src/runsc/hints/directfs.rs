//! Who may go past the server.
//!
//! With directfs a sandbox works on a mount through a descriptor that comes with the answer to Mount. It can be off for the
//! whole process, and for single mounts by annotations.

use super::{MOUNT_PREFIX, MountHint, ROOTFS_PREFIX, RootfsHint, mount};

/// What annotations say about directfs for one mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Directfs {
    /// As the process does it.
    #[default]
    Default,
    /// Not for this mount.
    Off,
}

impl Directfs {
    /// The values that it can have.
    pub(super) const EXPECTED: &'static str = "default or off";

    pub(super) fn parse(value: &str) -> Option<Self> {
        match value {
            "default" => Some(Directfs::Default),
            "off" => Some(Directfs::Off),
            _ => None,
        }
    }

    fn allows(self) -> bool {
        self == Directfs::Default
    }
}

/// Whether the connection of a mount donates a descriptor of the mount point: `global` is the process's flag, `hint`
/// what [`MountHints::for_mount`](super::MountHints::for_mount) has found. One mount that opts out changes nothing for the others.
pub fn mount_directfs(global: bool, hint: Option<&MountHint>) -> bool {
    global && hint.is_none_or(|hint| hint.directfs.allows())
}

/// The same for the root file system.
pub fn root_directfs(global: bool, hint: Option<&RootfsHint>) -> bool {
    global && hint.is_none_or(|hint| hint.directfs.allows())
}

/// Whether some client works through LisaFS alone, and the seccomp filter must allow what that takes.
///
/// `extension_without_fd` says that an extension serves a mount for which it has no descriptor to donate.
///
/// This looks at the annotations, not at hints: the sandbox goes by those of the pod's first container, and the spec of a
/// later container may have the same hint without its source, which makes it incomplete there. Whoever says `off`
/// anywhere is going to be a client without directfs, so a filter without these calls would kill the process.
pub fn lisafs_needed<'a>(
    global: bool,
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    extension_without_fd: bool,
) -> bool {
    !global || extension_without_fd || annotations.into_iter().any(|(key, value)| is_off(key, value))
}

fn is_off(key: &str, value: &str) -> bool {
    let field = if key.starts_with(MOUNT_PREFIX) {
        mount::split(key).map(|(_, field)| field)
    } else {
        key.strip_prefix(ROOTFS_PREFIX)
    };
    field == Some("directfs") && Directfs::parse(value) == Some(Directfs::Off)
}
