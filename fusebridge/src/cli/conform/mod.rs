//! `fusebridge conform`

mod args;
mod subject;

use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) use args::Conform;
use subject::{Subject, Tested};

use super::Failure;
use super::extensions::Extensions;
use super::signals::Interruption;
use crate::trace::excerpts;
use ::conform::report::{FORMAT, LIFECYCLE};
use ::conform::stderr::say;
use ::conform::tool;
use ::conform::{CaseResult, Expectations, Judgement, ModeRun, Report, Suite, SuiteRun};
use conform::{against, catalogue, output, table};

/// Something fails.
const FAILURES: u8 = 1;
/// Nothing could be run.
const IMPOSSIBLE: u8 = 2;
/// What a shell returns for a command that a Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// How many messages of a failing test are told.
const MESSAGES: usize = 200;

impl Conform {
    /// Does what the command line says.
    pub(super) fn run(&self, extensions: &Extensions) -> ExitCode {
        match self.work(extensions) {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                super::report_error(&error);
                ExitCode::from(IMPOSSIBLE)
            }
        }
    }

    fn work(&self, extensions: &Extensions) -> Result<u8, Failure> {
        gofer::log::init(&self.log)?;
        if self.list {
            let wanted = catalogue().filter(|(name, _)| self.settings().wants(name));
            tell(&wanted.map(|(name, about)| format!("mount/{name}: {about}\n")).collect::<String>())?;
            return Ok(0);
        }
        let expectations = self.expect.as_deref().map(Expectations::read).transpose()?.unwrap_or_default();
        let baseline = self.baseline.as_deref().map(read).transpose()?;
        let subject = Subject::parse(&self.backend, extensions)?;
        let other = self.against.as_deref().map(|other| Subject::parse(other, extensions)).transpose()?;
        self.prepare()?;
        let interruption = Interruption::watch()?;
        let Some(report) = self.test(&subject, &self.backend, self.trace.as_deref(), extensions, &interruption)? else {
            return Ok(INTERRUPTED);
        };
        if !self.filter.is_empty() && has_no_tests(&report) {
            return Err("no test name contains any of the words of --filter; see --list".into());
        }
        // With a filter most tests are missing.
        if self.filter.is_empty() {
            for test in expectations.unknown_tests(&report) {
                say(format_args!("fusebridge: expected to fail, but there is no such test: {test}"));
            }
        }
        let judgement = Judgement::new(&report, &expectations, baseline.as_ref());
        // Neither what is told nor a file shall be missing because of the other.
        let text = table::table(&report) + &judgement.text();
        let told = self.tell_beside_reports(&text);
        self.write(&report, &judgement, &expectations)?;
        told?;
        let (Some(other), Some(name)) = (other, &self.against) else {
            return Ok(if judgement.is_well() { 0 } else { FAILURES });
        };
        let trace = self.trace.as_deref().map(|path| with_word(path, "against"));
        let Some(second) = self.test(&other, name, trace.as_deref(), extensions, &interruption)? else {
            return Ok(INTERRUPTED);
        };
        let differences = against::differences(&report, &second);
        let summary = table::summary(&[&report, &second]);
        let text = format!("\n{summary}\n{}", against::text(&report, &second, &differences));
        self.tell_beside_reports(&text)?;
        Ok(if against::is_worse(&differences) { FAILURES } else { 0 })
    }

    /// Sees to it that the suites can run.
    fn prepare(&self) -> Result<(), Failure> {
        let (suites, for_root) = self.possible_suites();
        for suite in for_root {
            say(format_args!(
                "fusebridge: the suite {} is skipped: it acts as several users, which needs root",
                suite.name()
            ));
        }
        for suite in &suites {
            let tool = match suite {
                Suite::Pjdfstest => Some(tool::PJDFSTEST),
                Suite::Fsx => Some(tool::FSX),
                Suite::Mount | Suite::Classic(_) => None,
            };
            if let Some(tool) = tool.filter(|_| self.install) {
                tool.install()?;
            }
            suite.check()?;
        }
        if suites.is_empty() {
            return Err("--suite classic needs the directory where it was built: --classic DIR".into());
        }
        if self.files().filter(|path| is_stdout(path)).count() > 1 {
            return Err("only one report can be written to stdout".into());
        }
        self.files().try_for_each(try_to_write)
    }

    /// Where reports are written.
    fn files(&self) -> impl Iterator<Item = &Path> {
        [&self.json, &self.junit, &self.tap, &self.html].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Prints on stdout, or on stderr if a report has stdout for itself.
    fn tell_beside_reports(&self, text: &str) -> Result<(), Failure> {
        if !self.files().any(is_stdout) {
            return tell(text);
        }
        say(text.trim_end());
        Ok(())
    }

    /// All suites in all modes on the `subject` that the command line calls `name`, or nothing if somebody wants an
    /// end. Messages are recorded in `trace`.
    fn test(
        &self,
        subject: &Subject,
        name: &OsStr,
        trace: Option<&Path>,
        extensions: &Extensions,
        interruption: &Interruption,
    ) -> Result<Option<Report>, Failure> {
        let name = name.to_string_lossy();
        if matches!(subject, Subject::Native(_)) && trace.is_some() {
            say(format_args!("fusebridge: {name} is not mounted: there are no messages to record"));
        }
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let mut report = Report {
            format: FORMAT,
            backend: name.clone().into_owned(),
            kernel,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            command: command_line(),
            seed: self.seed,
            modes: Vec::new(),
        };
        let recordings = tempfile::Builder::new().prefix("fusebridge-trace-").tempdir()?;
        let modes = subject.modes(self);
        for (io, access) in &modes {
            let mode = subject.mode(*io, *access);
            let word = format!("{}-{}", mode.io, mode.access);
            let trace = match trace {
                Some(path) if modes.len() > 1 => Some(with_word(path, &word)),
                // For the messages of each failure.
                None if self.html.is_some() => Some(recordings.path().join(&word)),
                trace => trace.map(Path::to_path_buf),
            };
            let tested = subject.test(self, (*io, *access), extensions, trace.as_deref(), interruption);
            // Also if it came while the mount went up or down.
            if interruption.has_come() {
                say("fusebridge: interrupted");
                return Ok(None);
            }
            let mut suites = match tested? {
                Tested::Suites(suites) => suites,
                Tested::Interrupted => return Ok(None),
                Tested::Impossible(error) if self.all_modes => {
                    let io = mode.io;
                    say(format_args!("fusebridge: {name} is left out with --io {io}, no file can be opened: {error}"));
                    continue;
                }
                Tested::Impossible(error) => {
                    return Err(format!("{name}: with --io {} no file can be opened: {error}", mode.io).into());
                }
            };
            if let Some(trace) = &trace {
                add_messages(&mut suites, trace)?;
            }
            report.modes.push(ModeRun { mode, suites });
        }
        Ok(Some(report))
    }

    /// Writes the files that are wanted.
    fn write(&self, report: &Report, judgement: &Judgement, expectations: &Expectations) -> Result<(), Failure> {
        if let Some(path) = &self.json {
            save(path, &(serde_json::to_string_pretty(report)? + "\n"))?;
        }
        if let Some(path) = &self.junit {
            save(path, &output::junit(report, expectations)?)?;
        }
        if let Some(path) = &self.tap {
            save(path, &output::tap(report, expectations))?;
        }
        if let Some(path) = &self.html {
            save(path, &output::html(report, judgement, expectations))?;
        }
        Ok(())
    }
}

/// Adds to each failure what was said to and by the server meanwhile.
fn add_messages(suites: &mut [SuiteRun], trace: &Path) -> Result<(), Failure> {
    let mut failures: Vec<&mut CaseResult> =
        suites.iter_mut().flat_map(|suite| &mut suite.cases).filter(|case| case.failure().is_some()).collect();
    failures.retain(|case| case.span.and_then(|span| span.marks()).is_some());
    let windows: Vec<_> = failures.iter().filter_map(|case| case.span?.marks()).collect();
    if windows.is_empty() {
        return Ok(());
    }
    for (case, excerpt) in failures.into_iter().zip(excerpts(trace, &windows, MESSAGES)?) {
        case.messages = excerpt.lines;
    }
    Ok(())
}

/// Prints on stdout, to whom wants to hear it.
fn tell(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(super::no_stdout(&error)),
        _ => Ok(()),
    }
}

/// Whether only the mount itself was tested, with success: of what fails later there may be nothing.
fn has_no_tests(report: &Report) -> bool {
    report.cases().all(|(key, case)| key.suite == LIFECYCLE && case.failure().is_none())
}

/// The command line, as a shell takes it.
fn command_line() -> String {
    let quote = |word: String| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=./:,@%+".contains(&byte);
        if !word.is_empty() && word.bytes().all(is_plain) { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    };
    let words = std::env::args_os().map(|word| quote(word.to_string_lossy().into_owned()));
    words.collect::<Vec<_>>().join(" ")
}

/// What stands for stdout where a file is wanted.
fn is_stdout(path: &Path) -> bool {
    path == Path::new("-")
}

/// A path with a word behind it.
fn with_word(path: &Path, word: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(word);
    name.into()
}

/// Fails if no file can be written there, before much time is spent on what goes into it. One that is there keeps what
/// it has: it may be the baseline too.
fn try_to_write(path: &Path) -> Result<(), Failure> {
    if is_stdout(path) {
        return Ok(());
    }
    let cannot = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
    match std::fs::metadata(path) {
        // Opening a pipe would be more than a try.
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {}
        Ok(_) => drop(OpenOptions::new().append(true).open(path).map_err(cannot)?),
        Err(_) => {
            OpenOptions::new().append(true).create(true).open(path).map_err(cannot)?;
            // Behind symbolic links.
            path.canonicalize().and_then(std::fs::remove_file).map_err(cannot)?;
        }
    }
    Ok(())
}

fn save(path: &Path, text: &str) -> Result<(), Failure> {
    if is_stdout(path) {
        return tell(text);
    }
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// Reads an earlier run.
fn read(path: &Path) -> Result<Report, Failure> {
    let cannot =
        |error: &dyn std::fmt::Display| format!("{}: {error}; it must be a file written by --json", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let report: Report = serde_json::from_str(&text).map_err(|error| cannot(&error))?;
    if report.format != FORMAT {
        return Err(cannot(&format_args!("its format is {}, not {FORMAT}", report.format)).into());
    }
    Ok(report)
}
