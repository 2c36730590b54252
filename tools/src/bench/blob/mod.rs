//! File systems in a bucket: ours, rclone's and s3fs's, on one server.

mod subject;
mod work;

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::{bins, command, host, s3};
use subject::Subject;
use work::{Part, Sizes, Source};

use super::columns::Samples;
use super::quietness::Quietness;
use crate::setup;

/// How to measure blob volumes.
#[derive(Debug, clap::Args)]
pub(crate) struct BlobOptions {
    /// Every figure is the median of so many rounds.
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Milliseconds before each answer of the store.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 20])]
    latency: Vec<u32>,
    /// So many small files are unpacked.
    #[arg(long, default_value_t = 5000)]
    files: u32,
    /// The size of the large file.
    #[arg(long, default_value_t = 1024)]
    mebibytes: u32,
    /// So many times something of the large file is read at random.
    #[arg(long, default_value_t = 5000)]
    reads: u32,
    /// Only subjects with this in their names.
    #[arg(long, default_value = "", hide_default_value = true)]
    only: String,
    /// Only this part of the work.
    #[arg(long)]
    part: Option<Part>,
    /// Small sizes: shows that everything works, the figures mean little.
    #[arg(long)]
    quick: bool,
}

/// Measures all subjects in turns, with each latency.
pub(crate) fn run(options: &BlobOptions) -> Result<()> {
    setup::run()?;
    if !host::is_root() {
        bail!("the bench drops the kernel's caches and needs root for it");
    }
    for program in ["rclone", "s3fs"] {
        let mut version = Command::new(program);
        command::succeed(version.arg("--version"), Duration::from_secs(20))
            .with_context(|| format!("apt-get install {program}"))?;
    }
    bins::build_to_install()?;
    let server = s3::server()?;
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::new(options.files, options.mebibytes, options.reads) };
    let source = Source::make(sizes)?;
    for &latency in &options.latency {
        measure(options, server, latency, &source)?;
    }
    Ok(())
}

fn measure(options: &BlobOptions, server: SocketAddr, latency: u32, source: &Source) -> Result<()> {
    let (mut samples, mut quietness) = (Samples::default(), Quietness::default());
    for round in 0..options.rounds {
        let mut order = Subject::ALL.to_vec();
        order.rotate_left(round % Subject::ALL.len());
        order.retain(|subject| subject.name().contains(&options.only));
        for (number, subject) in order.into_iter().enumerate() {
            eprintln!("{latency} ms, round {}: {}", round + 1, subject.name());
            quietness.look();
            let bucket = format!("bench-{latency}-{round}-{number}");
            let figures = work::run(subject, server, &bucket, (latency, options.part), source);
            samples.add(subject.name(), figures.with_context(|| subject.name())?);
        }
    }
    println!(
        "On a local S3 server (moto), {latency} ms before each answer, median of {}; in parentheses how many times \
         better than rclone and than s3fs:\n",
        options.rounds
    );
    println!("{}", samples.markdown(&[Subject::Rclone, Subject::S3fs].map(Subject::name)));
    println!("{quietness}\n");
    Ok(())
}
