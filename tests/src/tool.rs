//! Where the test suites from crates.io are installed.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

/// A program that `cargo xtask setup` installs from crates.io, at exactly this version.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// Name of the crate and of the program.
    pub name: &'static str,
    /// The version.
    pub version: &'static str,
}

/// The POSIX conformance suite.
pub const PJDFSTEST: Tool = Tool { name: "pjdfstest", version: "0.2.2" };
/// The random I/O exerciser.
pub const FSX: Tool = Tool { name: "fsx", version: "0.3.2" };
/// All of them.
pub const ALL: [Tool; 2] = [PJDFSTEST, FSX];

impl Tool {
    /// The directory for `cargo install --root`. It has the version in its name: one version never hides another.
    pub fn root(self) -> Result<PathBuf> {
        Ok(cache()?.join(format!("{}-{}", self.name, self.version)))
    }

    /// The program, whether it is there or not.
    pub fn path(self) -> Result<PathBuf> {
        Ok(self.root()?.join("bin").join(self.name))
    }

    /// The program, or an error that says how to get it.
    pub fn installed(self) -> Result<PathBuf> {
        let path = self.path()?;
        if !path.is_file() {
            bail!("{} is missing: run `cargo xtask setup`", path.display());
        }
        Ok(path)
    }
}

/// Our cache directory. Not the target directory: it shall survive `cargo clean`.
fn cache() -> Result<PathBuf> {
    let base = match env::var_os("XDG_CACHE_HOME") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?).join(".cache"),
    };
    Ok(base.join("fusebridge").join("tools"))
}
