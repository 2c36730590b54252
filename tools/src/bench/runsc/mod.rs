//! runsc's gofer, ours, and a volume server, side by side.

mod commands;
mod docker;
mod start;
mod table;
mod work;

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use e2e::sandbox::{DirectFs, Gofer, Runsc, Sandbox};
use e2e::volumes::{VolumeServer, configuration};
use e2e::{bins, host};
use table::{Samples, Way};
use work::Sizes;

use crate::setup;

/// How to measure the gofer.
#[derive(Debug, clap::Args)]
pub(crate) struct RunscOptions {
    /// Every figure is the median of so many rounds.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Small sizes: shows that everything works, the figures mean little.
    #[arg(long)]
    quick: bool,
    /// Only how long containers take to start, or only what they do then.
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Only with a runsc whose description contains this, such as "Systrap".
    #[arg(long)]
    runsc: Option<String>,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The start of gofers, `run`, `create` and `start`, `list`, and `docker run`.
    Start,
    /// Files.
    Work,
}

/// Measures on Debian's runsc and, where `RUNSC` names one, on a current one.
pub(crate) fn run(options: &RunscOptions) -> Result<()> {
    setup::run()?;
    if !host::is_root() {
        bail!("containers need root");
    }
    bins::build_to_install()?;
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::FULL };
    // With directfs on, the gofer has nothing to do once the container runs.
    let current = Runsc::current().into_iter().filter(|runsc| runsc.directfs() == DirectFs::Off);
    let wanted = |runsc: &Runsc| options.runsc.as_ref().is_none_or(|part| runsc.to_string().contains(part));
    let chosen: Vec<Runsc> = Runsc::debian().into_iter().chain(current).filter(wanted).collect();
    if chosen.is_empty() {
        bail!("no runsc to measure with; install Debian's, or name one by the variable RUNSC");
    }
    for runsc in chosen {
        let mut samples = Samples::default();
        for round in 1..=options.rounds {
            eprintln!("{runsc}, round {round}");
            // In turns, so that a slow moment of the machine does not hit only one of them; and each is first as often.
            let mut order = Way::ALL;
            order.rotate_left(round % Way::ALL.len());
            if options.only != Some(Part::Work) {
                commands::run(&runsc, order, &mut samples)?;
            }
            for way in order {
                if options.only != Some(Part::Work) {
                    samples.add(way, start::run(&runsc, way)?);
                }
                if options.only != Some(Part::Start) {
                    samples.add(way, work::run(&runsc, way, sizes)?);
                }
            }
        }
        println!("{}", samples.markdown(&runsc.to_string(), options.rounds));
    }
    if options.only != Some(Part::Work) {
        docker::run(options.rounds)?;
    }
    Ok(())
}

/// A place for containers of `way`.
fn sandbox(runsc: &Runsc, way: Way) -> Result<Sandbox> {
    Sandbox::new(runsc, if way == Way::Stock { Gofer::Stock } else { Gofer::Ours })
}

/// A server that has `directory` for the volume `data` of `sandbox`, if `way` wants one.
fn volume_server(sandbox: &Sandbox, way: Way, directory: &Path) -> Result<Option<VolumeServer>> {
    if way != Way::Volume {
        return Ok(None);
    }
    let server = VolumeServer::start(&format!("data = '{}'", directory.display()))?;
    fs::write(sandbox.configuration(), configuration(&server.socket(), &["data"]))?;
    Ok(Some(server))
}
