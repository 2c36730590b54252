//! A fresh file system with a mount of it: where most stories play.

use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::backend::Backend;
use crate::crypt::Volume;
use crate::modes::{Access, Io, Transport};
use crate::mount::{self, Mount};
use crate::scratch;

/// A fresh file system and a mount of it.
#[derive(Debug)]
pub struct Scene {
    // Declared first: unmounted before the directory goes.
    mount: Mount,
    served: Option<TempDir>,
    _volume: Option<Volume>,
    _cache: Option<TempDir>,
}

/// Combinations that differ most from each other. The conformance suites go through all of them.
pub const MODES: [(Backend, Io, Access); 6] = [
    (Backend::Host, Io::Auto, Access::Exclusive),
    (Backend::Host, Io::Direct, Access::Shared),
    (Backend::Host, Io::Rpc, Access::Shared),
    (Backend::Memory, Io::Auto, Access::Exclusive),
    (Backend::CacheHost, Io::Rpc, Access::Exclusive),
    (Backend::Crypt, Io::Rpc, Access::Exclusive),
];

impl Scene {
    /// A directory in memory, mounted.
    pub fn new(io: Io, access: Access) -> Result<Self> {
        Self::on(scratch::memory()?, io, access)
    }

    /// A directory in memory, served by a process of its own and mounted over the given transport.
    pub fn separate(transport: Transport, io: Io, access: Access) -> Result<Self> {
        let served = scratch::memory()?;
        let mut command = mount::separate(io, access)?;
        command.args(["--transport", transport.word()]).arg(mount::backend(served.path()));
        Ok(Self { mount: Mount::start(&mut command)?, served: Some(served), _volume: None, _cache: None })
    }

    /// A mount of the given directory.
    pub fn on(served: TempDir, io: Io, access: Access) -> Result<Self> {
        Ok(Self { mount: Mount::host(served.path(), io, access)?, served: Some(served), _volume: None, _cache: None })
    }

    /// A mount of a fresh file system of any kind.
    pub fn of(backend: Backend, io: Io, access: Access) -> Result<Self> {
        let served = backend.fresh()?;
        let mount = Mount::start(mount::command(io, access)?.args(served.flags()).arg(&served.argument))?;
        Ok(Self { mount, served: served.directory, _volume: served.volume, _cache: served.cache })
    }

    /// The mountpoint.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.mount.path()
    }

    /// The host directory that is served, if it is one.
    #[must_use]
    pub fn below(&self) -> Option<&Path> {
        self.served.as_ref().map(TempDir::path)
    }

    /// The host directory that is served, for stories about what happens to it.
    pub fn directory(&self) -> Result<&Path> {
        self.below().context("no host directory is served here")
    }

    /// The mount.
    #[must_use]
    pub fn mount(&self) -> &Mount {
        &self.mount
    }

    /// Unmounts, which must work.
    pub fn end(self) -> Result<()> {
        self.mount.unmount()
    }
}

/// Plays a story in each of [`MODES`].
pub fn everywhere(story: impl Fn(&Scene) -> Result<()>) -> Result<()> {
    for (backend, io, access) in MODES {
        let mode = || format!("on {backend:?} with --io {} --access {}", io.word(), access.word());
        let scene = Scene::of(backend, io, access).with_context(mode)?;
        story(&scene).with_context(mode)?;
        scene.end().with_context(mode)?;
    }
    Ok(())
}
