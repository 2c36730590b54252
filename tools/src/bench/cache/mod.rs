//! Caches before a slow backend: ours and rclone's, beside the local disk.

mod subject;
mod work;

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::{bins, command, host};
use subject::Subject;
use work::Sizes;

use super::columns::Samples;
use super::quietness::Quietness;
use crate::setup;

/// How to measure caches.
#[derive(Debug, clap::Args)]
pub(crate) struct CacheOptions {
    /// Every figure is the median of so many rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long the backend takes for each request, in milliseconds.
    #[arg(long, default_value_t = 20)]
    latency: u32,
    /// Small sizes: shows that everything works, the figures mean little.
    #[arg(long)]
    quick: bool,
}

/// Measures all subjects in turns.
pub(crate) fn run(options: &CacheOptions) -> Result<()> {
    setup::run()?;
    if !host::is_root() {
        bail!("the bench drops the kernel's caches and needs root for it");
    }
    let mut version = Command::new("rclone");
    command::succeed(version.arg("version"), Duration::from_secs(20)).context("apt-get install rclone")?;
    bins::build_to_install()?;
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::FULL };
    let files = work::files(sizes)?;
    let (mut samples, mut quietness) = (Samples::default(), Quietness::default());
    for round in 0..options.rounds {
        let mut order = Subject::ALL;
        order.rotate_left(round % Subject::ALL.len());
        for subject in order {
            eprintln!("round {}: {}", round + 1, subject.name());
            quietness.look();
            let subject_files = work::run(subject, files.path(), options.latency, sizes);
            samples.add(subject.name(), subject_files.with_context(|| subject.name())?);
        }
    }
    println!(
        "On the disk, {} ms before each answer of the backend, median of {}; in parentheses how many times better than \
         the local disk through FUSE passthrough, than the backend without a cache, and than rclone:\n",
        options.latency, options.rounds
    );
    let references = [Subject::Disk, Subject::Backend, Subject::Rclone].map(Subject::name);
    println!("{}", samples.markdown(&references));
    println!("{quietness}");
    Ok(())
}
