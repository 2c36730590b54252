//! A fresh directory with a mount of it: where most stories play.

use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::modes::{Access, Io};
use crate::mount::Mount;
use crate::scratch;

/// A host directory and a mount of it.
#[derive(Debug)]
pub struct Scene {
    // Declared first: unmounted before the directory goes.
    mount: Mount,
    served: TempDir,
}

/// Combinations that differ most from each other. The conformance suites go through all of them.
pub const MODES: [(Io, Access); 3] =
    [(Io::Auto, Access::Exclusive), (Io::Direct, Access::Shared), (Io::Rpc, Access::Shared)];

impl Scene {
    /// A directory in memory, mounted.
    pub fn new(io: Io, access: Access) -> Result<Self> {
        Self::on(scratch::memory()?, io, access)
    }

    /// A directory in memory, mounted with the defaults of the program.
    pub fn plain() -> Result<Self> {
        let served = scratch::memory()?;
        Ok(Self { mount: Mount::plain(served.path())?, served })
    }

    /// A mount of the given directory.
    pub fn on(served: TempDir, io: Io, access: Access) -> Result<Self> {
        Ok(Self { mount: Mount::host(served.path(), io, access)?, served })
    }

    /// The mountpoint.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.mount.path()
    }

    /// The directory that is served.
    #[must_use]
    pub fn below(&self) -> &Path {
        self.served.path()
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
    for (io, access) in MODES {
        let mode = || format!("with --io {} --access {}", io.word(), access.word());
        let scene = Scene::new(io, access).with_context(mode)?;
        story(&scene).with_context(mode)?;
        scene.end().with_context(mode)?;
    }
    Ok(())
}
