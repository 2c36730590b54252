//! `cargo xtask semver`: whether the public API of what others build on has changed in a way that breaks them.

use anyhow::{Result, bail};
use e2e::cargo;

use crate::shell;

/// What to compare with.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The git revision that was published last; by default the commit before this one.
    #[arg(long, value_name = "REVISION", default_value = "HEAD~1")]
    baseline: String,
}

/// The crates that backends and extensions are written against.
const CRATES: [&str; 2] = ["lisafs", "gofer"];

/// Compares. The result says whether nothing breaks anybody.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let there =
        cargo::command().args(["semver-checks", "--version"]).output().is_ok_and(|output| output.status.success());
    if !there {
        bail!("cargo-semver-checks is missing; run: cargo install --locked cargo-semver-checks");
    }
    let mut check = cargo::command();
    check.arg("semver-checks").args(CRATES.iter().flat_map(|name| ["--package", name]));
    check.args(["--baseline-rev", &options.baseline]);
    Ok(shell::run(&mut check)?.success())
}
