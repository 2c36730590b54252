//! gocryptfs's mount and ours, side by side.

mod subject;
mod work;

use anyhow::{Result, bail};
use e2e::{bins, crypt, scratch};
use subject::Subject;
use work::Sizes;

use super::archive;
use super::columns::Samples;
use super::quietness::Quietness;
use crate::setup;

/// How to measure encrypted volumes.
#[derive(Debug, clap::Args)]
pub(crate) struct CryptOptions {
    /// Every figure is the median of so many rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Small sizes: shows that everything works, the figures mean little.
    #[arg(long)]
    quick: bool,
    /// Only measures with this in their names.
    #[arg(long, default_value = "")]
    filter: String,
}

/// Measures gocryptfs and ours on volumes in memory. They take turns within each round, and each is first as often.
pub(crate) fn run(options: &CryptOptions) -> Result<()> {
    setup::run()?;
    if !crypt::has_gocryptfs() {
        bail!("gocryptfs and root are needed");
    }
    bins::build_to_install()?;
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::FULL };
    let tree = archive::make(sizes.directories, sizes.files_in_each)?;
    let mut samples = Samples::default();
    let mut quietness = Quietness::default();
    for round in 0..options.rounds {
        let mut order = Subject::ALL;
        order.rotate_left(round % Subject::ALL.len());
        for subject in order {
            eprintln!("round {}: {}", round + 1, subject.name());
            quietness.look();
            samples.add(&subject.name(), work::run(subject, scratch::memory()?, tree.path(), sizes, &options.filter)?);
        }
    }
    println!("On tmpfs, median of {}; in parentheses how many times better than gocryptfs:\n", options.rounds);
    println!("{}", samples.markdown(&[&Subject::Gocryptfs.name()]));
    println!("{quietness}");
    Ok(())
}
