//! The process in which tests run, one after the other, as its parent says on standard input.

use std::any::Any;
use std::fs;
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use super::check::{Stop, Verdict, name};
use super::scene::Scene;
use crate::case::{Failure, Outcome};

/// The argument that makes this program the process for tests.
pub const COMMAND: &str = "conform-worker";

/// What the parent says: a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The test's name.
    pub(super) case: String,
    /// Where to run it; made for it and removed afterwards, unless it is about a file system that refuses that.
    pub(super) directory: PathBuf,
    /// Decides what it does by chance.
    pub(super) seed: u64,
}

/// Runs tests until the parent closes the pipe.
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fusebridge: {COMMAND}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> io::Result<()> {
    // Nothing shall be left if the parent dies, nor if a test does.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    std::panic::set_hook(Box::new(|_| ()));
    for line in io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line?)?;
        let outcome = run(order);
        let mut out = io::stdout().lock();
        serde_json::to_writer(&mut out, &outcome)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}

fn run(order: Order) -> Outcome {
    let Some(case) = super::all().find(|case| case.name == order.case) else {
        return Outcome::Failed(Failure::new(order.case, "a test of this name", "none"));
    };
    let directory = order.directory;
    let make = |directory| if case.read_only { Ok(()) } else { fs::create_dir(directory) };
    if let Err(error) = make(&directory).and_then(|()| std::env::set_current_dir(&directory)) {
        return Outcome::Failed(Failure::new("mkdir() and chdir() for the test", "success", name(&error)));
    }
    // From the working directory: the way there would be asked for again with each call.
    let scene = Scene { directory: PathBuf::from("."), seed: order.seed };
    let verdict = catch_unwind(AssertUnwindSafe(|| (case.run)(&scene)));
    let cleared = std::env::set_current_dir("/")
        .and_then(|()| if case.read_only { Ok(()) } else { fs::remove_dir_all(&directory) });
    match verdict {
        Ok(Ok(())) => match cleared {
            Ok(()) => Outcome::Passed,
            Err(error) => Outcome::Failed(Failure::new("removing what the test has made", "success", name(&error))),
        },
        Ok(verdict) => outcome(verdict),
        Err(panic) => Outcome::Failed(Failure::new(case.about, "no panic", said(&*panic))),
    }
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Ok(()) => Outcome::Passed,
        Err(Stop::Failed(failure)) => Outcome::Failed(failure),
        Err(Stop::Skipped(reason)) => Outcome::Skipped { reason },
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}
