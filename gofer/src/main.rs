//! Serves LisaFS.

use std::process::ExitCode;

fn main() -> ExitCode {
    gofer::main_with(Vec::new())
}
