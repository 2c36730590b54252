//! Tests that cannot run here say so where everybody sees it.
//!
//! libtest has no "skipped" result for a test that finds out while running. Such a test prints a line that starts with
//! [`MARK`] past libtest's capture; `cargo xtask test` moves it from "passed" to "skipped".

use std::io::Write;

/// Starts the line of a skipped test.
pub const MARK: &str = "SKIPPED: ";

/// Prints the line of a skipped test.
pub fn announce(why: &str) {
    // The print macros are captured for passing tests, the handle itself is not. The leading newline ends libtest's own
    // unfinished "test name ..." line.
    let line = format!("\n{MARK}{why}\n");
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
}

/// Ends a test that returns `anyhow::Result<()>`, saying why it cannot run here.
#[macro_export]
macro_rules! skip {
    ($($why:tt)*) => {{
        $crate::skip::announce(&format!($($why)*));
        return Ok(());
    }};
}
