//! `cargo xtask fuzz`: what hostile peers and broken files can say, at random.

use std::process::Command;

use anyhow::{Context, Result, bail};
use e2e::bins;

use crate::shell;

/// What to try, and for how long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// One of `requests` (a client that sends anything), `answers` (a server that does), `trace` (a file that is no
    /// recording), `crypt` (an encrypted volume in which others have written), `fuse` and `ring` (requests that no kernel
    /// sends, over the device and in entries of a ring). Without, one after the other.
    #[arg(value_parser = TARGETS)]
    target: Option<String>,
    /// Seconds for each.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

const TARGETS: [&str; 6] = ["requests", "answers", "trace", "crypt", "fuse", "ring"];

/// Runs the targets. The result says whether none has failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let nightly = || {
        let mut cargo = Command::new("rustup");
        cargo.args(["run", "nightly", "cargo", "fuzz"]).current_dir(bins::workspace());
        cargo
    };
    let version =
        nightly().arg("--version").output().context("cannot start rustup, which brings the nightly compiler")?;
    if !version.status.success() {
        bail!("cargo-fuzz is missing; run: rustup toolchain install nightly && cargo install --locked cargo-fuzz");
    }
    let targets = options.target.as_deref().map_or(TARGETS.to_vec(), |target| vec![target]);
    for target in targets {
        let mut fuzz = nightly();
        fuzz.args(["run", "--fuzz-dir", "tools/fuzz", target, "--"]);
        fuzz.args([format!("-max_total_time={}", options.seconds), "-max_len=4096".to_owned()]);
        if !shell::run(&mut fuzz)?.success() {
            return Ok(false);
        }
    }
    Ok(true)
}
