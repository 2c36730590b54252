//! What people are told beside the output.

use std::fmt::Display;
use std::io::Write;

/// Prints a line on stderr. Nobody may listen there any more, which must not end what is being done: `eprintln!` would
/// panic.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
