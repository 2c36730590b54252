//! Mounts LisaFS backends.

use std::process::ExitCode;

fn main() -> ExitCode {
    fusebridge::cli::main()
}
