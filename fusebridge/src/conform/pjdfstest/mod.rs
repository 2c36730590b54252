//! The POSIX conformance suite pjdfstest, the one that is written in Rust.

mod parse;

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use parse::{Parsed, Parser};
use tempfile::TempDir;

use super::case::{CaseResult, Failure, Outcome};
use super::clock::Moment;
use super::context::{Cause, Context};
use super::process::{Ended, lines};
use super::suite::SuiteError;
use super::tool::PJDFSTEST;

/// What is switched on: everything that Linux and FUSE have. `naptime` is the pause after which a changed time stamp must
/// differ. Two accounts that every Debian system has stand in for users made for the purpose.
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

/// A directory on [`SECOND`] with nothing in it: the suite's names there are always the same.
fn second(purpose: &str) -> io::Result<TempDir> {
    let directory = tempfile::Builder::new().prefix(&format!("fusebridge-{purpose}-")).tempdir_in(SECOND)?;
    // Some tests act as other users.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    Ok(directory)
}

/// Runs the suite. It says a test's name when the test is over: of one that takes too long, or ends the program, the name is found
/// by a look at the order elsewhere, and what comes after it is run in a new process.
pub(super) fn run(context: Context<'_>, suite: &str) -> Result<Vec<CaseResult>, SuiteError> {
    context.observer.begins(suite, None);
    let mut run = Run { context, suite, second: second("second")?, results: Vec::new(), start: context.clock.now() };
    let config = context.aside.join("pjdfstest.toml");
    fs::write(&config, CONFIG)?;
    let mut wanted = Wanted::Filter;
    loop {
        let (ended, said) = run.once(&config, &wanted)?;
        let failure = |came: String| Failure::new("the test's own process", "an end of the test", came);
        let culprit = match ended {
            Ended::By(status) if status.success() => break,
            Ended::By(status) if status.code() == Some(1) && said.starts_with(SOME_FAILED) => break,
            Ended::By(status) => failure(match status.signal() {
                Some(signal) => format!("killed by signal {signal}"),
                None => format!("{status}: {said}"),
            }),
            Ended::Silent => Failure::timed_out("the test", context.settings.timeout),
            Ended::Stopped if context.stop.cause() == Some(Cause::ServerGone) => {
                failure("the server has gone".to_owned())
            }
            Ended::Stopped => break,
        };
        let order = order(context, &config, &wanted)?;
        let seen: HashSet<&str> = run.results.iter().map(|case| case.name.as_str()).collect();
        let mut left = order.into_iter().filter(|name| !seen.contains(name.as_str()));
        // If all have ended, it is the program itself that fails.
        let Some(name) = left.next() else {
            return Err(SuiteError::Program { program: "pjdfstest", said: culprit.came });
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
    second: TempDir,
    results: Vec<CaseResult>,
    /// The end of the last test.
    start: Moment,
}

impl Run<'_> {
    /// One process.
    fn once(&mut self, config: &Path, wanted: &Wanted) -> Result<(Ended, String), SuiteError> {
        let context = self.context;
        let mut command = command(config, context.directory, self.second.path(), wanted, context)?;
        let mut parser = Parser::default();
        self.start = context.clock.now();
        let ended = lines(&mut command, context.settings.timeout, context.stop, |line| {
            if let Some(parsed) = parser.line(line) {
                self.ended(parsed);
            }
        })?;
        if let Some(parsed) = parser.finish() {
            self.ended(parsed);
        }
        Ok(ended)
    }

    fn ended(&mut self, parsed: Parsed) {
        let span = self.context.clock.since(self.start);
        self.start = self.context.clock.now();
        if !self.context.settings.wants(&parsed.name) {
            return;
        }
        let case = CaseResult::new(parsed.name, parsed.outcome, span).about(parsed.about);
        self.context.observer.ended(self.suite, &case);
        self.results.push(case);
    }
}

fn command(
    config: &Path,
    directory: &Path,
    second: &Path,
    wanted: &Wanted,
    context: Context<'_>,
) -> Result<Command, SuiteError> {
    let mut suite = Command::new(PJDFSTEST.installed()?);
    suite.arg("--verbose").arg("-c").arg(config).arg("-s").arg(second).arg("-p").arg(directory);
    suite.env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
    suite.env("RUST_BACKTRACE", "0").env("RUST_LIB_BACKTRACE", "0");
    match wanted {
        Wanted::Filter => suite.args(&context.settings.filter),
        Wanted::Names(names) => suite.arg("--exact").args(names.iter().map(|name| format!("{EXACT}{name}"))),
    };
    Ok(suite)
}

/// The tests in the order in which the program runs them, from a run on another file system.
fn order(context: Context<'_>, config: &Path, wanted: &Wanted) -> Result<Vec<String>, SuiteError> {
    let (directory, second) = (second("order")?, second("second")?);
    let mut names = Vec::new();
    let mut parser = Parser::default();
    let mut command = command(config, directory.path(), second.path(), wanted, context)?;
    lines(&mut command, context.settings.timeout, &super::context::Stop::default(), |line| {
        names.extend(parser.line(line).map(|parsed| parsed.name));
    })?;
    names.extend(parser.finish().map(|parsed| parsed.name));
    names.retain(|name| context.settings.wants(name));
    Ok(names)
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
