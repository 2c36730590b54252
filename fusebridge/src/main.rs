//! Mounts LisaFS backends.

use std::process::ExitCode;

fn main() -> ExitCode {
    fusebridge::main_with(Vec::new())
}
