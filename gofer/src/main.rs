//! Serves LisaFS.

use std::process::ExitCode;

fn main() -> ExitCode {
    gofer::cli::main(std::env::args_os())
}
