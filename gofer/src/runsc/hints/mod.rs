//! Mount hints: annotations by which the author of a pod says more about a mount than the OCI runtime spec can.
//!
//! Parsing is pure and depends on nothing but the annotations: they are looked at in the order of their keys, so the same
//! input always gives the same hints, the same warnings in the same order, or the same error.
//!
//! Only [`Directfs`] matters to this process. The rest is parsed all the same, because a hint counts only if it is
//! complete and valid, and because a bad one should be reported here as it is elsewhere.

mod directfs;
mod mount;
mod rootfs;
#[cfg(test)]
mod tests;

pub use directfs::{Directfs, lisafs_needed, mount_directfs, root_directfs};
pub use mount::{MountHint, MountHints, MountType, Share};
pub use rootfs::{Overlay, RootfsHint, RootfsType};

/// What the keys about mounts begin with. The mount's name in the pod and the field's name follow.
const MOUNT_PREFIX: &str = "dev.gvisor.spec.mount.";

/// What the keys about the root file system begin with. The field's name follows.
const ROOTFS_PREFIX: &str = "dev.gvisor.spec.rootfs.";

/// Annotations that the container must not be started with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HintError {
    /// A key about a mount that is not the prefix, a name and a field.
    #[error("annotation {key}: expected {MOUNT_PREFIX}NAME.FIELD, with a NAME that is not empty and has no dot")]
    Key {
        /// The whole key.
        key: String,
    },
    /// Two complete hints that are about the same mount.
    #[error("the mount hints {first} and {second} have the same source {mount_source}")]
    SameSource {
        /// What both have as their source.
        mount_source: String,
        /// The name that comes first in the alphabet.
        first: String,
        /// The other name.
        second: String,
    },
    /// There is no such field for the root file system.
    #[error("annotation {key}: there is no such field")]
    RootfsField {
        /// The whole key.
        key: String,
    },
    /// A field of the root file system with a value that it cannot have.
    #[error("annotation {key}: expected {expected}, found {value:?}")]
    RootfsValue {
        /// The whole key.
        key: String,
        /// The value.
        value: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// There are annotations about the root file system, but not the one without which they mean nothing.
    #[error("annotation {ROOTFS_PREFIX}{field} is missing: a hint about the root file system needs source and type")]
    RootfsIncomplete {
        /// The missing field.
        field: &'static str,
    },
}

/// Something in the annotations that was ignored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// A field that does not exist (any more). The others of the hint count.
    #[error("annotation {key} is ignored: there is no such field")]
    UnknownField {
        /// The whole key.
        key: String,
    },
    /// A field with a value that it cannot have. The others of the hint count.
    #[error("annotation {key} is ignored: expected {expected}, found {value:?}")]
    BadValue {
        /// The whole key.
        key: String,
        /// The value.
        value: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// One mount option. The others count.
    #[error("annotation {key}: the option {option:?} is ignored, it would let mounts propagate")]
    BadOption {
        /// The whole key.
        key: String,
        /// The option.
        option: String,
    },
    /// A hint without one of the fields that it needs. Nothing in it counts.
    #[error("the mount hint {name} is ignored: {field} is missing or not valid")]
    Incomplete {
        /// The name of the hint.
        name: String,
        /// The first field that is missing.
        field: &'static str,
    },
}
