//! `cargo xtask miri` and `cargo xtask loom`: what tests see only by luck.

use std::process::Command;

use anyhow::{Context, Result, bail};
use e2e::{bins, cargo};

use crate::shell;

/// The parts with raw memory in them, and the messages. Tests of whole files and sockets make calls that Miri does not
/// know.
const UNDER_MIRI: [&str; 5] = ["iobuf::", "transport::channel::", "transport::spin::", "transport::window::", "wire::"];

/// Files as they are, no warning about addresses that go through the kernel, and no file that takes less than it is
/// given.
const MIRI_FLAGS: &str = "-Zmiri-disable-isolation -Zmiri-permissive-provenance -Zmiri-no-short-fd-operations";

/// Of the properties of messages, those of their parts. Each message, and arrays that are too long, would take an hour.
const PROPERTIES_UNDER_MIRI: [&str; 2] = ["arrays::", "parts::"];

/// Tests by chance are for the compiled program; here each takes seconds.
const CASES_UNDER_MIRI: &str = "2";

/// Interprets the tests of memory and messages, which finds undefined behaviour and data races.
pub(crate) fn miri() -> Result<bool> {
    let nightly = || {
        let mut cargo = Command::new("rustup");
        cargo.args(["run", "nightly", "cargo", "miri"]).current_dir(bins::workspace());
        cargo
    };
    let version =
        nightly().arg("--version").output().context("cannot start rustup, which brings the nightly compiler")?;
    if !version.status.success() {
        bail!("Miri is missing; run: rustup toolchain install nightly --component miri,rust-src");
    }
    let test = |target: &[&str]| {
        let mut test = nightly();
        test.args(["test", "--target-dir", "target/miri", "--package", "lisafs"]).args(target).arg("--");
        test.env("MIRIFLAGS", MIRI_FLAGS).env("PROPTEST_CASES", CASES_UNDER_MIRI);
        test
    };
    let units = shell::run(test(&["--lib"]).args(UNDER_MIRI))?.success();
    Ok(units && shell::run(test(&["--test", "wire_properties"]).args(PROPERTIES_UNDER_MIRI))?.success())
}

/// Runs the models: who hands a window over, who has which lock of the tree, who gets a communicator, in every order.
pub(crate) fn loom() -> Result<bool> {
    let mut test = cargo::command();
    // In a directory of its own, since with other flags everything is compiled anew. Optimised: it runs each model
    // thousands of times.
    test.args(["test", "--release", "--target-dir", "target/loom", "--package", "lisafs", "--lib", "--", "model::"]);
    test.env("RUSTFLAGS", "--cfg loom");
    Ok(shell::run(&mut test)?.success())
}
