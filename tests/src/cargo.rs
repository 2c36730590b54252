//! Cargo, when a program calls it that cargo itself has started.

use std::env;
use std::process::Command;

use crate::bins;

/// What cargo tells a program about the package that it belongs to. Whoever hands it on to cargo compiles more than
/// needed: a build script that has looked at it, as the one of *ring* does, is run again when it is another package's,
/// and all that depends on it is compiled again.
const OF_THE_PACKAGE: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];

/// The cargo that runs us, in the root of the workspace.
#[must_use]
pub fn command() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(bins::workspace());
    forget_package(&mut cargo);
    cargo
}

/// Takes what cargo has told us about our package from the environment of `command`, which calls cargo.
pub fn forget_package(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if OF_THE_PACKAGE.iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
}
