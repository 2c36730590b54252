//! The container's spec, as far as it matters here.
//!
//! The caller has already accepted the spec, and there are containers with values in it that a strict reader of the OCI
//! runtime specification refuses. So this process looks only at what it needs, and whatever else is there is whatever
//! it is. Extensions see the whole, see [`Container::oci`].

mod document;
mod go;
mod json;
mod oci;
mod read;
mod text;
mod validate;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::{Mount, Spec};

pub(super) use self::document::{Device, Hook};

/// A spec larger than this is no spec.
const LARGEST: u64 = 32 << 20;

/// Why a container cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpecError {
    #[error("cannot read the spec: {0}")]
    Read(#[from] std::io::Error),
    #[error("the spec is larger than {} MiB", LARGEST >> 20)]
    TooLarge,
    #[error("the spec is not valid: {0}")]
    Parse(#[from] serde_json::Error),
    #[error("the spec is not valid: {0}")]
    Unreadable(#[from] go::Unreadable),
    #[error("the spec has no {0}")]
    Missing(&'static str),
    #[error("the spec has {0}, which is not supported")]
    Unsupported(&'static str),
    #[error("the spec says rootfsPropagation: {0:?}; use private, rprivate, slave or rslave")]
    Propagation(String),
    #[error("mount destination {0:?} is not absolute")]
    Destination(PathBuf),
    #[error("the mount at {0} has the option {1}, which is not supported")]
    SharedMount(String, String),
    #[error("the container's root file system comes from an archive (annotation {0}), but {1}")]
    Archive(&'static str, &'static str),
    #[error("annotation {key} says {value:?}; use sandbox or container")]
    ContainerType { key: &'static str, value: String },
    #[error("the container belongs to a sandbox, but no annotation says which")]
    NoSandbox,
}

/// A container.
#[derive(Debug)]
pub(super) struct Container {
    /// Where its root file system is on the host. Absolute.
    pub(super) root: PathBuf,
    pub(super) root_read_only: bool,
    /// `private`, `rprivate`, `slave`, `rslave` or nothing.
    pub(super) root_propagation: Option<String>,
    /// Its mounts in order. Sources are absolute.
    pub(super) mounts: Vec<Mount>,
    /// Its first process's working directory.
    pub(super) cwd: PathBuf,
    /// Its first process's environment.
    pub(super) environment: Vec<String>,
    pub(super) devices: Vec<Device>,
    /// To be run when its root file system is there.
    pub(super) create_container: Vec<Hook>,
    pub(super) prestart: Vec<Hook>,
    pub(super) annotations: BTreeMap<String, String>,
    /// The whole, read when an extension wants it.
    document: json::Json,
}

impl Container {
    /// The annotations as pairs.
    pub(super) fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.annotations.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The spec as extensions see it.
    pub(super) fn oci(&self) -> Result<Spec, SpecError> {
        oci::spec(&self.document, &self.mounts)
    }
}

/// What a mount's options say.
pub(super) fn has_option(mount: &Mount, option: &str) -> bool {
    mount.options().iter().flatten().any(|found| found == option)
}

/// Whether a directory of the host is to be mounted.
pub(super) fn is_bind(mount: &Mount) -> bool {
    let is_bind = mount.typ().as_deref() == Some("bind") || has_option(mount, "bind") || has_option(mount, "rbind");
    is_bind && mount.source().as_ref().is_some_and(|source| !source.as_os_str().is_empty())
}

/// Whether the sandbox mounts an image.
pub(super) fn is_erofs(mount: &Mount) -> bool {
    mount.typ().as_deref() == Some("erofs")
}
