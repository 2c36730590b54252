//! The test programs of the workspace, several at once: most tests wait most of the time, for a kernel, another program
//! or a clock.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result};
use e2e::bins::TestProgram;

use super::summary::Summary;

/// How many test programs run at once on each core. Each has as many tests under way as there are cores.
const PER_CORE: usize = 1;

/// Those that take longest begin first, so that none is left alone in the end.
const LONGEST: [&str; 8] = ["conformance", "realwork", "runsc", "interrupts", "blob", "budget", "conform", "doctor"];

/// Those that call cargo for this workspace, which waits until the checks beside the tests are done.
const LAST: [&str; 2] = ["crypt", "docs"];

/// Runs them all, and adds up what they print. The result has the names of those that ended without saying what failed.
pub(super) fn run(programs: Vec<TestProgram>, binaries: &Path, summary: &mut Summary) -> Result<Vec<String>> {
    let logs = Logs::new(binaries.join("test-logs"))?;
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let queue = Mutex::new(in_order(programs));
    let done = Mutex::new((summary, Vec::new(), Ok(())));
    thread::scope(|scope| {
        for _ in 0..cores * PER_CORE {
            scope.spawn(|| {
                while let Some(program) = next(&queue) {
                    let ended = logs.run(&program, binaries);
                    let mut done = done.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                    let (summary, dead, result) = &mut *done;
                    match ended.and_then(|ended| ended.print(&program, summary)) {
                        Ok(true) => {}
                        Ok(false) => dead.push(program.name),
                        Err(error) => *result = Err(error),
                    }
                }
            });
        }
    });
    let (_, dead, result) = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    result.map(|()| dead)
}

fn in_order(mut programs: Vec<TestProgram>) -> VecDeque<TestProgram> {
    let place = |program: &TestProgram| {
        let in_list = |list: &[&str]| list.iter().position(|name| program.target == *name);
        in_list(&LONGEST).or_else(|| in_list(&LAST).map(|at| LONGEST.len() + 1 + at)).unwrap_or(LONGEST.len())
    };
    programs.sort_by_key(place);
    programs.into()
}

fn next(queue: &Mutex<VecDeque<TestProgram>>) -> Option<TestProgram> {
    queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop_front()
}

/// Where the output of each program is kept: what passes need not be read, and what fails is shown.
struct Logs(PathBuf);

impl Logs {
    fn new(directory: PathBuf) -> Result<Self> {
        if directory.exists() {
            fs::remove_dir_all(&directory).with_context(|| format!("cannot clear {}", directory.display()))?;
        }
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Self(directory))
    }

    fn run(&self, program: &TestProgram, binaries: &Path) -> Result<Ended> {
        let log = |what| {
            let path = self.0.join(format!("{}.{what}", program.name));
            File::create(&path).map(|file| (path, file)).context("cannot keep what tests print")
        };
        let (out, stdout) = log("out")?;
        let (err, stderr) = log("err")?;
        let mut command = Command::new(&program.executable);
        command.current_dir(&program.package).env("CARGO_MANIFEST_DIR", &program.package);
        super::with_environment(&mut command, binaries);
        let status = command.stdout(stdout).stderr(stderr).status();
        let status = status.with_context(|| format!("cannot start {}", program.executable.display()))?;
        Ok(Ended { well: status.success(), how: status.to_string(), out, err })
    }
}

/// What came of one program.
struct Ended {
    well: bool,
    how: String,
    out: PathBuf,
    err: PathBuf,
}

impl Ended {
    /// Shows the output and counts. Whether it is all counted: a program that dies has no line with its result.
    fn print(&self, program: &TestProgram, summary: &mut Summary) -> Result<bool> {
        let text = |path: &Path| fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
        let failed = summary.failed;
        let mut shown = format!("\n     Running {}\n", program.name);
        for line in text(&self.out)?.lines() {
            summary.line(line);
            if !self.well || Summary::knows(line) {
                shown += line;
                shown.push('\n');
            }
        }
        if !self.well {
            shown += &format!("{}: {}\n{}", program.name, self.how, text(&self.err)?);
        }
        stdout().lock().write_all(shown.as_bytes()).context("cannot print")?;
        Ok(self.well || summary.failed > failed)
    }
}
