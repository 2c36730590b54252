//! `fusebridge conform`

mod args;
mod subject;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) use args::Conform;
use subject::{Subject, Tested, with_mode};

use super::Failure;
use super::extensions::Extensions;
use super::up::UpError;
use crate::conform::tool;
use crate::conform::{CaseResult, Expectations, Judgement, Mode, ModeRun, Report, Suite, SuiteRun};
use crate::conform::{against, catalogue, output, report::FORMAT, table};
use crate::trace::excerpts;

/// Something fails.
const FAILURES: u8 = 1;
/// Nothing could be run.
const IMPOSSIBLE: u8 = 2;
/// What a shell answers for a command that a Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// How many messages of a failing test are told.
const MESSAGES: usize = 200;

impl Conform {
    /// Does what the command line says.
    pub(super) fn run(&self, extensions: &Extensions) -> ExitCode {
        match self.work(extensions) {
            Ok(code) => ExitCode::from(code),
            Err(error) => {
                super::complain(&error);
                let is_interrupted = matches!(error.downcast_ref(), Some(UpError::Interrupted));
                ExitCode::from(if is_interrupted { INTERRUPTED } else { IMPOSSIBLE })
            }
        }
    }

    fn work(&self, extensions: &Extensions) -> Result<u8, Failure> {
        super::init_log(&self.log)?;
        if self.list {
            let wanted = catalogue().filter(|(name, _)| self.settings().wants(name));
            tell(&wanted.map(|(name, about)| format!("bridge/{name}: {about}\n")).collect::<String>())?;
            return Ok(0);
        }
        let expectations = self.expect.as_deref().map(Expectations::read).transpose()?.unwrap_or_default();
        let baseline = self.baseline.as_deref().map(read).transpose()?;
        let subject = Subject::parse(&self.backend, extensions)?;
        let other = self.against.as_deref().map(|other| Subject::parse(other, extensions)).transpose()?;
        self.prepare()?;
        let Some(report) = self.test(&subject, &self.backend.to_string_lossy(), extensions)? else {
            return Ok(INTERRUPTED);
        };
        // With a filter most tests are missing.
        if self.filter.is_empty() {
            for stranger in expectations.strangers(&report) {
                eprintln!("fusebridge: expected to fail, but there is no such test: {stranger}");
            }
        }
        let judgement = Judgement::new(&report, &expectations, baseline.as_ref());
        self.write(&report, &judgement, &expectations)?;
        let (Some(other), Some(name)) = (other, &self.against) else {
            tell(&(table::table(&report) + &judgement.text()))?;
            return Ok(if judgement.is_well() { 0 } else { FAILURES });
        };
        let Some(second) = self.test(&other, &name.to_string_lossy(), extensions)? else {
            return Ok(INTERRUPTED);
        };
        let differences = against::differences(&report, &second);
        tell(&format!("{}\n{}", table::summary(&[&report, &second]), against::text(&report, &second, &differences)))?;
        Ok(if against::is_worse(&differences) { FAILURES } else { 0 })
    }

    /// Sees to it that the suites can run.
    fn prepare(&self) -> Result<(), Failure> {
        for suite in self.suites() {
            let tool = match suite {
                Suite::Pjdfstest => Some(tool::PJDFSTEST),
                Suite::Fsx => Some(tool::FSX),
                Suite::Bridge | Suite::Classic(_) => None,
            };
            if let Some(tool) = tool.filter(|_| self.install) {
                tool.install()?;
            }
            suite.check()?;
        }
        Ok(())
    }

    /// All suites in all modes, or nothing if somebody wants an end.
    fn test(&self, subject: &Subject, name: &str, extensions: &Extensions) -> Result<Option<Report>, Failure> {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let mut report =
            Report { format: FORMAT, backend: name.to_owned(), kernel, seed: self.seed, modes: Vec::new() };
        let recordings = tempfile::Builder::new().prefix("fusebridge-trace-").tempdir()?;
        let modes = subject.modes(self);
        for (io, access) in &modes {
            let mode = subject.mode(*io, *access);
            let trace = self.recording(&mode, modes.len() > 1, recordings.path());
            let tested = subject.test(self, (*io, *access), extensions, trace.as_deref())?;
            let mut suites = match tested {
                Tested::Suites(suites) => suites,
                Tested::Interrupted => {
                    eprintln!("fusebridge: interrupted");
                    return Ok(None);
                }
                Tested::Impossible(error) if self.all_modes => {
                    eprintln!("fusebridge: {name} is left out with --io {}, no file can be opened: {error}", mode.io);
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

    /// Where messages are recorded, if they are.
    fn recording(&self, mode: &Mode, is_one_of_many: bool, temporary: &Path) -> Option<PathBuf> {
        match &self.trace {
            Some(path) => Some(with_mode(path, mode, is_one_of_many)),
            None if self.html.is_some() => Some(temporary.join(format!("{}-{}", mode.io, mode.access))),
            None => None,
        }
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
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("cannot write to stdout: {error}").into()),
        _ => Ok(()),
    }
}

fn save(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// Reads an earlier run.
fn read(path: &Path) -> Result<Report, Failure> {
    let cannot = |error: &dyn std::fmt::Display| format!("{}: {error}; it must be written by --json", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let report: Report = serde_json::from_str(&text).map_err(|error| cannot(&error))?;
    if report.format != FORMAT {
        return Err(cannot(&format_args!("its format is {}, not {FORMAT}", report.format)).into());
    }
    Ok(report)
}
