//! The POSIX conformance suite pjdfstest, the one that is written in Rust.

mod parse;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use parse::{Parsed, Parser};
use tempfile::TempDir;

use subprocess::{End, lines};

use super::case::{CaseResult, Failure, Outcome};
use super::clock::Moment;
use super::context::{Context, Stop};
use super::error::SuiteError;
use super::tool::PJDFSTEST;

/// What is switched on: everything that Linux and FUSE have. `naptime` is the pause after which a changed time stamp
/// must differ. Two accounts that every Debian system has stand in for users made for the purpose.
const CONFIG: &str = r#"[features]
posix_fallocate = {}
rename_ctime = {}
stat_st_birthtime = {}
utime_now = {}
utimensat = {}

[settings]
naptime = 0.05
allow_remount = false
expected_failures = []

[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"#;

/// What the suite puts before each name when it looks for one that is exactly the same.
const EXACT: &str = "pjdfstest::tests::";

/// What the program says in the end if tests have failed; anything else is its own failure.
const SOME_FAILED: &str = "Error: Some tests have failed";

/// Where another file system is, for tests across two of them.
const SECOND: &str = "/dev/shm";

/// Where the suite works.
struct Place {
    /// On [`SECOND`].
    directory: TempDir,
}

impl Place {
    /// A place to test `directory`, or, to see what the suite does, one without any file system under test.
    fn new(tested: Option<&Path>) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("fusebridge-").tempdir_in(SECOND)?;
        // Some tests act as other users.
        let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755));
        open(directory.path())?;
        let place = Place { directory };
        match tested {
            Some(tested) => symlink(tested, place.tested())?,
            None => fs::create_dir(place.tested()).and_then(|()| open(&place.tested()))?,
        }
        fs::create_dir(place.second())?;
        open(&place.second())?;
        Ok(place)
    }

    /// What is tested. The way there is short: the path of a socket has 107 bytes at most, and that of a mount may be
    /// long.
    fn tested(&self) -> PathBuf {
        self.directory.path().join("t")
    }

    /// An empty directory: the suite's names on the second file system are always the same.
    fn second(&self) -> PathBuf {
        self.directory.path().join("s")
    }
}

/// Runs the suite. It says a test's name when the test is over: of one that takes too long, or ends the program, the
/// name is found by a look at the order elsewhere, and what comes after it is run in a new process.
pub(super) fn run(context: Context<'_>, suite: &str) -> Result<Vec<CaseResult>, SuiteError> {
    context.observer.begins(suite, None);
    let place = Place::new(Some(context.directory))?;
    let mut run = Run { context, suite, place, results: Vec::new(), start: context.clock.now(), has_seen_end: false };
    let config = context.aside.join("pjdfstest.toml");
    fs::write(&config, CONFIG)?;
    let mut wanted = Wanted::Filter;
    loop {
        let (ended, said) = run.once(&config, &wanted)?;
        if run.has_seen_end {
            break;
        }
        let failure = |actual: String| Failure::new("the test's own process", "an end of the test", actual);
        let culprit = match ended {
            End::Exited(status) if status.success() => break,
            End::Exited(status) if status.code() == Some(1) && said.lines().any(|line| line == SOME_FAILED) => break,
            ended => match (context.stop.failure(), ended) {
                // However the program takes it.
                (Some(gone), _) => failure(gone.to_owned()),
                (None, End::Exited(status)) => failure(match status.signal() {
                    Some(signal) => format!("killed by signal {signal}"),
                    None if said.is_empty() => status.to_string(),
                    None => format!("{status}: {said}"),
                }),
                (None, End::TimedOut) => Failure::timed_out("the test", context.settings.timeout),
                (None, End::Stopped) => break,
            },
        };
        let order = match order(context, &config, &wanted, context.stop)? {
            Some(order) => order,
            // The test that has seen the end of what it tests is to be named all the same.
            None if context.stop.failure().is_some() => {
                order(context, &config, &wanted, &Stop::default())?.unwrap_or_default()
            }
            None => break,
        };
        let seen: HashSet<&str> = run.results.iter().map(|case| case.name.as_str()).collect();
        let mut left = order.into_iter().filter(|name| !seen.contains(name.as_str()));
        // If all have ended, it is the program itself that fails.
        let Some(name) = left.next() else {
            if context.stop.cause().is_some() {
                break;
            }
            return Err(SuiteError::Program { program: "pjdfstest", said: culprit.actual });
        };
        let left: Vec<String> = left.collect();
        run.ended(Parsed { name, about: String::new(), outcome: Outcome::Failed(culprit) });
        if left.is_empty() || context.stop.cause().is_some() {
            break;
        }
        wanted = Wanted::Names(left);
    }
    Ok(run.results)
}

/// Which tests the program is asked for.
enum Wanted {
    /// Those that the settings want.
    Filter,
    /// Exactly these.
    Names(Vec<String>),
}

struct Run<'a> {
    context: Context<'a>,
    suite: &'a str,
    place: Place,
    results: Vec<CaseResult>,
    /// The end of the last test.
    start: Moment,
    /// Whether the last test has failed because what it tests has gone.
    has_seen_end: bool,
}

impl Run<'_> {
    /// One process.
    fn once(&mut self, config: &Path, wanted: &Wanted) -> Result<(End, String), SuiteError> {
        let context = self.context;
        let mut command = command(config, &self.place, wanted, context)?;
        let mut parser = Parser::default();
        self.start = context.clock.now();
        let ended = lines(
            &mut command,
            context.settings.timeout,
            || context.stop.cause().is_some(),
            |line| {
                if let Some(parsed) = parser.line(line) {
                    self.ended(parsed);
                }
            },
        )?;
        if let Some(parsed) = parser.finish() {
            self.ended(parsed);
        }
        Ok(ended)
    }

    fn ended(&mut self, parsed: Parsed) {
        let span = self.context.clock.since(self.start);
        self.start = self.context.clock.now();
        if !self.context.settings.wants(&parsed.name) || self.has_seen_end {
            return;
        }
        let mut outcome = parsed.outcome;
        if let Outcome::Failed(failure) = &mut outcome
            && let Some(gone) = self.context.stop.failure_soon()
        {
            gone.clone_into(&mut failure.actual);
            self.has_seen_end = true;
        }
        let case = CaseResult::new(parsed.name, outcome, span).about(parsed.about);
        self.context.observer.ended(self.suite, &case);
        self.results.push(case);
    }
}

fn command(config: &Path, place: &Place, wanted: &Wanted, context: Context<'_>) -> Result<Command, SuiteError> {
    let mut suite = Command::new(PJDFSTEST.installed()?);
    suite.arg("--verbose").arg("-c").arg(config).arg("-p").arg(place.tested());
    // Tests across two file systems are skipped where there is only one.
    if has_two(place) {
        suite.arg("-s").arg(place.second());
    }
    suite.env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
    suite.env("RUST_BACKTRACE", "0").env("RUST_LIB_BACKTRACE", "0");
    match wanted {
        Wanted::Filter => suite.args(&context.settings.filter),
        Wanted::Names(names) => suite.arg("--exact").args(names.iter().map(|name| format!("{EXACT}{name}"))),
    };
    Ok(suite)
}

/// Whether what is tested is on another file system than the second one. One that does not answer is for the tests to
/// find out.
fn has_two(place: &Place) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    device(&place.tested()) != device(&place.second())
}

/// The tests in the order in which the program runs them, from a run on another file system.
/// Nothing if there is a `stop`.
fn order(context: Context<'_>, config: &Path, wanted: &Wanted, stop: &Stop) -> Result<Option<Vec<String>>, SuiteError> {
    let place = Place::new(None)?;
    let mut names = Vec::new();
    let mut parser = Parser::default();
    let mut command = command(config, &place, wanted, context)?;
    let (ended, _) = lines(
        &mut command,
        context.settings.timeout,
        || stop.cause().is_some(),
        |line| {
            names.extend(parser.line(line).map(|parsed| parsed.name));
        },
    )?;
    names.extend(parser.finish().map(|parsed| parsed.name));
    names.retain(|name| context.settings.wants(name));
    Ok(if matches!(ended, End::Stopped) { None } else { Some(names) })
}

/// Fails if the suite could not run here for a reason that has nothing to do with the file system.
pub(super) fn check() -> Result<(), SuiteError> {
    PJDFSTEST.installed()?;
    if !nix::unistd::geteuid().is_root() {
        return Err(SuiteError::NeedsRoot("pjdfstest"));
    }
    if !Path::new(SECOND).is_dir() {
        return Err(io::Error::other(format!("pjdfstest needs a second file system on {SECOND}")).into());
    }
    Ok(())
}
