//! A mount that wants a file system, and the answer.

use std::path::Path;
use std::sync::Arc;

use oci_spec::runtime::{Mount, Spec};

use lisafs::backend::{Backend, ClientKind, Options};

/// A container, as its gofer is told of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Container<'a> {
    /// Its runtime spec.
    pub spec: &'a Spec,
    /// Its ID, if the caller says it.
    pub id: Option<&'a str>,
    /// The directory of its bundle: a path of the host, out of reach once a container's root is the process's own.
    pub bundle: &'a Path,
}

impl<'a> Container<'a> {
    /// The container of a bundle.
    pub fn new(spec: &'a Spec, id: Option<&'a str>, bundle: &'a Path) -> Self {
        Container { spec, id, bundle }
    }
}

/// What an extension sees before anything is given up.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Preparation<'a> {
    /// Values of [flags](super::Extension::flags).
    pub flags: &'a clap::ArgMatches,
    /// The container; none if the process serves no sandbox.
    pub container: Option<Container<'a>>,
}

impl<'a> Preparation<'a> {
    /// For a process that serves no sandbox.
    pub fn new(flags: &'a clap::ArgMatches) -> Self {
        Preparation { flags, container: None }
    }

    /// For the gofer of `container`.
    #[must_use]
    pub fn container(self, container: Option<Container<'a>>) -> Self {
        Preparation { container, ..self }
    }
}

/// What an extension sees of a mount.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MountRequest<'a> {
    /// The container that the mount belongs to.
    pub container: Container<'a>,
    /// This mount's entry in its spec; none for the root file system.
    pub mount: Option<&'a Mount>,
    /// Where the mount is in the container, with all symbolic links resolved.
    pub path: &'a Path,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// Whether the sandbox works on a descriptor of the mount itself (directfs): then the backend
    /// [must donate one](Options::donates_root).
    pub directfs: bool,
    /// The directory that would be served without a backend; none if it is no directory.
    pub source: Option<Source>,
    /// Whether other containers of the pod are to see the same files, by what hints say.
    pub is_shared: bool,
}

/// Who may use a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// Permissions.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Source {
    /// A directory with these permissions, owner and group.
    pub fn new(mode: u16, uid: u32, gid: u32) -> Self {
        Source { mode, uid, gid }
    }
}

impl<'a> MountRequest<'a> {
    /// The mount at `path`, to be read and written through messages.
    pub fn new(container: Container<'a>, path: &'a Path) -> Self {
        MountRequest { container, mount: None, path, read_only: false, directfs: false, source: None, is_shared: false }
    }

    /// The same in the place of the directory `source`.
    #[must_use]
    pub fn source(self, source: Option<Source>) -> Self {
        MountRequest { source, ..self }
    }

    /// The same, for several containers of a pod or for one.
    #[must_use]
    pub fn shared(self, is_shared: bool) -> Self {
        MountRequest { is_shared, ..self }
    }

    /// The same with its entry in the spec.
    #[must_use]
    pub fn mount(self, mount: Option<&'a Mount>) -> Self {
        MountRequest { mount, ..self }
    }

    /// The same, mounted read-only or not.
    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        MountRequest { read_only, ..self }
    }

    /// The same, with directfs or without.
    #[must_use]
    pub fn directfs(self, directfs: bool) -> Self {
        MountRequest { directfs, ..self }
    }
}

/// A file system for a mount.
#[derive(Clone)]
#[non_exhaustive]
pub struct Claim {
    /// What serves it.
    pub backend: Arc<dyn Backend>,
    /// How. Comes from the backend, and can be made stricter.
    pub options: Options,
    /// The extensions that have a part in it, the outermost first. Filled in by the registry.
    pub(super) extensions: Vec<&'static str>,
}

impl Claim {
    /// A claim with the backend's own options.
    pub fn new(backend: Arc<dyn Backend>) -> Self {
        let options = backend.options();
        Claim { backend, options, extensions: Vec::new() }
    }

    /// The same, refusing changes if `read_only`.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.options.read_only |= read_only;
        self
    }

    /// The same for a client of this kind, served by this program itself, which may hold up to `max_fds` FDs.
    #[must_use]
    pub(crate) fn served_to(mut self, client: ClientKind, max_fds: usize) -> Self {
        self.options.bound_fds(max_fds);
        self.options.answer_private_messages();
        self.options.client = client;
        self
    }

    /// The names of the extensions that have a part in it, the outermost first; empty if no mount was claimed.
    pub fn extensions(&self) -> &[&'static str] {
        &self.extensions
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("options", &self.options).finish_non_exhaustive()
    }
}
