//! `cargo xtask conform`: all suites on all backends that ship, in every mode.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
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
    let fusebridge = bins::directory()?.join("fusebridge");
    let mut is_well = true;
    for name in ["host", "mem", "stats", "fault", "readonly"] {
        let directory = scratch::open_to_all()?;
        // There is something to read where nothing can be made.
        std::fs::write(directory.path().join("file"), "content")?;
        let mut backend = OsString::from(format!("{name}:"));
        match name {
            "mem" => {}
            "fault" => backend.push("mem:"),
            _ => backend.push(directory.path()),
        }
        let mut command = Command::new(&fusebridge);
        command.args(["conform", "--all-modes", "--expect"]).arg(conform::expectations(name));
        command.args(&options.rest).arg(backend);
        is_well &= shell::run(&mut command)?.success();
    }
    Ok(is_well)
}
