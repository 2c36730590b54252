//! Serves volumes.

use std::process::ExitCode;

fn main() -> ExitCode {
    gofer_volumes::main_with(Vec::new())
}
