//! All suites in one mode, in a directory of the file system under test.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::case::{CaseResult, Outcome};
use super::clock::Clock;
use super::context::{Context, Observer, Settings, Stop};
use super::report::SuiteRun;
use super::suite::{Suite, SuiteError};

/// Why suites cannot run on a file system.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing can be made there, although it is not read-only.
    #[error("cannot make a directory on it: {0}; the suites need to write, or a file system that is read-only (EROFS)")]
    Refused(#[source] io::Error),
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
/// stopped early is in the answer with what it had done; those after it are not. On a read-only file system the suite *bridge* tests
/// that it is, and the others are skipped.
pub fn run_suites(
    root: &Path,
    suites: &[Suite],
    settings: &Settings,
    observer: &dyn Observer,
    stop: &Stop,
    clock: &Clock,
) -> Result<Vec<SuiteRun>, RunError> {
    let place = match Place::new(root) {
        Err(RunError::Refused(error)) if error.raw_os_error() == Some(libc::EROFS) => None,
        place => Some(place?),
    };
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
        let directory = match &place {
            Some(place) => place.part(suite.name())?,
            None => root.to_path_buf(),
        };
        let read_only = place.is_none();
        let context =
            Context { directory: &directory, read_only, aside: aside.path(), settings, observer, stop, clock };
        runs.push(if read_only && *suite != Suite::Bridge { left_out(suite, context) } else { suite.run(context)? });
    }
    Ok(runs)
}

/// A suite that needs to write.
fn left_out(suite: &Suite, context: Context<'_>) -> SuiteRun {
    let reason = "the file system is read-only".to_owned();
    let span = context.clock.since(context.clock.now());
    let case = CaseResult::new("all", Outcome::Skipped { reason }, span);
    SuiteRun { suite: suite.name().to_owned(), cases: vec![case], seconds: 0.0 }
}

/// A directory that is removed when it is no longer needed.
struct Place {
    path: PathBuf,
}

impl Place {
    fn new(root: &Path) -> Result<Self, RunError> {
        let path = root.join(format!("conform-{}", std::process::id()));
        make(&path)?;
        Ok(Place { path })
    }

    /// A directory in it.
    fn part(&self, name: &str) -> Result<PathBuf, RunError> {
        let path = self.path.join(name);
        make(&path)?;
        Ok(path)
    }
}

/// Makes a directory that all may enter, whatever the umask.
fn make(path: &Path) -> Result<(), RunError> {
    fs::create_dir(path).map_err(RunError::Refused)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(RunError::Refused)
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "files of the suites are left behind");
        }
    }
}
