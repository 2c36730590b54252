//! `cargo xtask bench`: measurements that end up in the README.

mod archive;
mod blob;
mod busy;
mod cache;
mod columns;
mod cpu;
mod crypt;
mod foreign;
mod pages;
mod quietness;
mod random;
mod readme;
mod runsc;
mod subject;
mod table;
mod usage;
mod wake;
mod work;

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result, bail};
use busy::Busy;
use clap::ValueEnum;
use e2e::{bins, host, scratch};
use quietness::Quietness;
use subject::Subject;
use table::Samples;
use work::Sizes;

use crate::setup;

/// What can be measured.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Bench {
    /// The mount beside the native directory and bindfs, in one run.
    Fuse(FuseOptions),
    /// What an operation on the mount asks of whom, who is woken for it, and on which processor each runs.
    Wake(wake::WakeOptions),
    /// Containers with runsc's own gofer and with ours, in one run; also on the runsc that the variable RUNSC names.
    Runsc(runsc::RunscOptions),
    /// Encrypted volumes in gocryptfs's mount and in ours, in one run.
    Crypt(crypt::CryptOptions),
    /// Caches before a slow backend: ours and rclone's, beside the local disk, in one run. Needs rclone.
    Cache(cache::CacheOptions),
    /// File systems in a bucket: ours, rclone's and s3fs's, in one run. Needs rclone and s3fs.
    Blob(blob::BlobOptions),
}

/// How to measure the mount.
#[derive(Debug, clap::Args)]
pub(crate) struct FuseOptions {
    /// Every figure is the median of so many rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// What lies under the mount.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Backing::value_variants().to_vec())]
    backing: Vec<Backing>,
    /// Measure each place of the server and each transport, too.
    #[arg(long)]
    all_ways: bool,
    /// Measure only the native directory and what has this in its name.
    #[arg(long, default_value = "", hide_default_value = true)]
    only: String,
    /// Small sizes: shows that everything works, the figures mean little.
    #[arg(long)]
    quick: bool,
    /// Measure beside so many busy processes.
    #[arg(long, value_name = "N", default_value_t = 0)]
    busy: usize,
    /// Put the tables into the README.
    #[arg(long, conflicts_with = "busy")]
    update_readme: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Backing {
    /// A directory in memory.
    Tmpfs,
    /// A directory on the disk.
    Disk,
}

/// Measures.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    if cfg!(debug_assertions) {
        // What measures is not to take longer than what it measures.
        let optimised = bins::optimised("xtask")?;
        return Err(Command::new(&optimised).args(env::args_os().skip(1)).exec())
            .with_context(|| format!("cannot start {}", optimised.display()));
    }
    match bench {
        Bench::Fuse(options) => fuse(options),
        Bench::Wake(options) => wake::run(options),
        Bench::Runsc(options) => runsc::run(options),
        Bench::Crypt(options) => crypt::run(options),
        Bench::Cache(options) => cache::run(options),
        Bench::Blob(options) => blob::run(options),
    }
}

fn fuse(options: &FuseOptions) -> Result<()> {
    setup::run()?;
    if !host::is_root() {
        bail!("the bench drops the kernel's caches and needs root for it");
    }
    bins::directory()?;
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::FULL };
    let (mut text, mut quietness) = (String::new(), Quietness::default());
    for &backing in &options.backing {
        text.push_str(&measure(options, backing, sizes, &mut quietness)?);
    }
    println!("{text}{quietness}");
    if options.update_readme {
        readme::update(&text)?;
    }
    Ok(())
}

/// All rounds on one backing directory. The subjects take turns within each round, so that a slow moment of the machine
/// does not hit only one of them.
fn measure(options: &FuseOptions, backing: Backing, sizes: Sizes, quietness: &mut Quietness) -> Result<String> {
    let mut samples = Samples::default();
    let mut subjects = Subject::all(options.all_ways);
    subjects.retain(|subject| *subject == Subject::Native || subject.name().contains(&options.only));
    for round in 1..=options.rounds {
        for &subject in &subjects {
            eprintln!("{backing:?}, round {round}: {}", subject.name());
            let directory = match backing {
                Backing::Tmpfs => scratch::memory()?,
                Backing::Disk => scratch::disk()?,
            };
            quietness.look();
            let _busy = Busy::start(options.busy)?;
            samples.add(subject, work::run(subject, directory.path(), sizes)?);
        }
    }
    let title = match backing {
        Backing::Tmpfs => "tmpfs",
        Backing::Disk => "the disk (ext4 here)",
    };
    let title = match options.busy {
        0 => title.to_owned(),
        1 => format!("{title} beside a busy process"),
        busy => format!("{title} beside {busy} busy processes"),
    };
    Ok(samples.markdown(&title, options.rounds))
}
