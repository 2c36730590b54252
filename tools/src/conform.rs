//! `cargo xtask conform`: all suites on all backends that ship, in every mode.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use e2e::backend::Backend;
use e2e::{bins, conform, scratch};

use crate::{setup, shell};

/// What to run. Without options: everything.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Given to `fusebridge conform`, for example `--suite fsx --fsx-operations 100000`.
    #[arg(last = true)]
    rest: Vec<OsString>,
}

/// Runs the suites. The result says whether all was as expected.
pub(crate) fn run(options: &Options) -> Result<bool> {
    setup::run()?;
    let mut is_well = true;
    for backend in Backend::ALL {
        let served = backend.fresh()?;
        let mut arguments = served.flags();
        match backend.only() {
            // The modes that there are where no descriptors are given away.
            Some(access) => {
                arguments.extend(["--io", "auto,rpc", "--access", access.word()].map(OsString::from));
            }
            None => arguments.push("--all-modes".into()),
        }
        is_well &= suites(backend.name(), &arguments, options, &served.argument)?;
    }
    let directory = scratch::open_to_all()?;
    // There is something to read where nothing can be made.
    std::fs::write(directory.path().join("file"), "content")?;
    let mut backend = OsString::from("readonly:");
    backend.push(directory.path());
    is_well &= suites("readonly", &["--all-modes".into()], options, &backend)?;
    Ok(is_well)
}

/// Runs the suites on one of them. `name` is that of the list of what is expected to fail.
fn suites(name: &str, arguments: &[OsString], options: &Options, backend: &OsString) -> Result<bool> {
    let mut command = Command::new(bins::directory()?.join("fusebridge"));
    command.args(["conform", "--expect"]).arg(conform::expectations(name));
    command.args(arguments).args(&options.rest).arg(backend);
    Ok(shell::run(&mut command)?.success())
}
