//! All suites in one mode, in a directory of the file system under test.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::clock::Clock;
use super::context::{Context, Observer, Settings, Stop};
use super::report::SuiteRun;
use super::suite::{Suite, SuiteError};

/// Why suites cannot run on a file system.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing can be made there.
    #[error("cannot make a directory on it: {0}; the suites need to write")]
    ReadOnly(#[source] io::Error),
    /// Other users cannot get in.
    #[error(
        "its root has mode {mode:#o}, so that other users cannot enter it, which {suite} needs; chmod 755 it, or choose other suites with --suite"
    )]
    Closed {
        /// The permission bits.
        mode: u32,
        /// The suite that needs it.
        suite: &'static str,
    },
    /// A suite cannot run.
    #[error("{0}")]
    Suite(#[from] SuiteError),
    /// No directory elsewhere.
    #[error("cannot make a temporary directory: {0}")]
    Temporary(#[source] io::Error),
}

/// Runs `suites` on the file system that `root` is on, in a new directory in it, which is removed in the end. A suite that was
/// stopped early is in the answer with what it had done; those after it are not.
pub fn run_suites(
    root: &Path,
    suites: &[Suite],
    settings: &Settings,
    observer: &dyn Observer,
    stop: &Stop,
    clock: &Clock,
) -> Result<Vec<SuiteRun>, RunError> {
    let place = Place::new(root)?;
    let aside = tempfile::Builder::new().prefix("fusebridge-conform-").tempdir().map_err(RunError::Temporary)?;
    let mode = fs::metadata(root).map_or(0, |root| root.permissions().mode() & 0o7777);
    let mut runs = Vec::new();
    for suite in suites {
        if stop.cause().is_some() {
            break;
        }
        if suite.has_other_users() && mode & 0o001 == 0 {
            return Err(RunError::Closed { mode, suite: suite.name() });
        }
        let directory = place.path.join(suite.name());
        fs::create_dir(&directory).map_err(RunError::ReadOnly)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).map_err(RunError::ReadOnly)?;
        let context = Context { directory: &directory, aside: aside.path(), settings, observer, stop, clock };
        runs.push(suite.run(context)?);
    }
    Ok(runs)
}

/// A directory that is removed when it is no longer needed.
struct Place {
    path: PathBuf,
}

impl Place {
    fn new(root: &Path) -> Result<Self, RunError> {
        let path = root.join(format!("conform-{}", std::process::id()));
        fs::create_dir(&path).map_err(RunError::ReadOnly)?;
        let place = Place { path };
        fs::set_permissions(&place.path, fs::Permissions::from_mode(0o755)).map_err(RunError::ReadOnly)?;
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "files of the suites are left behind");
        }
    }
}
