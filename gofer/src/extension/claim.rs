//! A mount that wants a file system, and the answer.

use std::path::Path;
use std::sync::Arc;

use oci_spec::runtime::{Mount, Spec};

use lisafs::backend::{Backend, Options};

/// What an extension sees of a mount.
#[derive(Clone, Copy, Debug)]
pub struct MountRequest<'a> {
    /// The container's runtime spec.
    pub spec: &'a Spec,
    /// This mount's entry in it; none for the root file system.
    pub mount: Option<&'a Mount>,
    /// Where the mount is in the container, with all symbolic links resolved.
    pub path: &'a Path,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// A file system for a mount.
#[derive(Clone)]
pub struct Claim {
    /// What serves it.
    pub backend: Arc<dyn Backend>,
    /// How. Comes from the backend, and can be made stricter.
    pub options: Options,
}

impl Claim {
    /// A claim with the backend's own options.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        let options = backend.options();
        Claim { backend, options }
    }

    /// The same, refusing changes if `read_only`.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.options.read_only |= read_only;
        self
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("options", &self.options).finish_non_exhaustive()
    }
}
