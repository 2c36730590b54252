//! All suites in one mode, in a directory of the file system under test.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::case::{CaseResult, Failure, Outcome};
use super::clock::Clock;
use super::context::{Context, Observer, Settings, Stop};
use super::error::SuiteError;
use super::report::SuiteRun;
use super::suite::Suite;

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

/// Runs `suites` on the file system that `root` is on, in a new directory in it, which is removed in the end. A suite
/// that was stopped early is in the answer with what it had done; those after it are not. On a read-only file system
/// the suite *mount* tests that it is, and the others are skipped.
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
    // Before anything is run for nothing.
    if let Some(suite) = suites.iter().find(|suite| suite.has_other_users() && mode & 0o001 == 0) {
        return Err(RunError::Closed { mode, suite: suite.name() });
    }
    let mut runs = Vec::new();
    for suite in suites {
        if stop.cause().is_some() {
            break;
        }
        let directory = match &place {
            Some(place) => place.path.join(suite.name()),
            None => root.to_path_buf(),
        };
        let read_only = place.is_none();
        let context =
            Context { directory: &directory, read_only, aside: aside.path(), settings, observer, stop, clock };
        // What the suites before have found is worth more than an end.
        if !read_only && let Err(error) = make(&directory) {
            runs.push(refused(suite, context, &error));
            continue;
        }
        runs.push(if read_only && *suite != Suite::Mount { left_out(suite, context) } else { suite.run(context)? });
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

/// A suite for which there is no directory, on a file system that had one for all of them.
fn refused(suite: &Suite, context: Context<'_>, error: &io::Error) -> SuiteRun {
    let span = context.clock.since(context.clock.now());
    let failure = Failure::new(format!("mkdir({})", suite.name()), "success", error.to_string());
    let case = CaseResult::new("all", Outcome::Failed(failure), span).about("the suite has a directory of its own");
    context.observer.begins(suite.name(), Some(1));
    context.observer.ended(suite.name(), &case);
    context.observer.over(suite.name());
    SuiteRun { suite: suite.name().to_owned(), cases: vec![case], seconds: 0.0 }
}

/// A directory that is removed when it is no longer needed.
struct Place {
    path: PathBuf,
}

impl Place {
    fn new(root: &Path) -> Result<Self, RunError> {
        let name = format!("conform-{}", std::process::id());
        // In a container, a run that was killed may have had the same number.
        let names = std::iter::once(name.clone()).chain((1..100).map(|number| format!("{name}-{number}")));
        let mut outcome = Err(io::ErrorKind::AlreadyExists.into());
        for path in names.map(|name| root.join(name)) {
            outcome = make(&path).map(|()| Place { path });
            if !matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
                break;
            }
        }
        outcome.map_err(RunError::Refused)
    }
}

/// Makes a directory that all may enter, whatever the umask.
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir(path)?;
    if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(0o755)) {
        // A file system without modes can be tested as well.
        tracing::debug!(%error, path = %path.display(), "cannot set its mode");
    }
    Ok(())
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "files of the suites are left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// Takes the name of the directory that the next suite wants.
    struct Obstacle(PathBuf);

    impl Observer for Obstacle {
        fn begins(&self, _: &str, _: Option<usize>) {}
        fn ended(&self, _: &str, _: &CaseResult) {}
        fn over(&self, suite: &str) {
            if suite == "mount" {
                fs::write(&self.0, "").unwrap();
            }
        }
    }

    #[test]
    fn a_suite_that_cannot_begin_has_failed_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        // Of a run that had the same number.
        let name = root.path().join(format!("conform-{}", std::process::id()));
        fs::create_dir(&name).unwrap();
        let obstacle = Obstacle(name.with_file_name(format!("conform-{}-1/fsx", std::process::id())));
        let (stop, clock) = (Stop::default(), Clock::default());
        let settings = testing::settings("no test has this name");
        let suites = [Suite::Mount, Suite::Fsx];
        let runs = run_suites(root.path(), &suites, &settings, &obstacle, &stop, &clock).unwrap();
        let failed: Vec<(&str, usize)> = runs.iter().map(|run| (run.suite.as_str(), run.counts().failed)).collect();
        assert_eq!(failed, [("mount", 0), ("fsx", 1)]);
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [name]);
    }
}
