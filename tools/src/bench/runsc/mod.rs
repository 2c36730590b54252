//! runsc's gofer, ours, and a volume server, side by side.

mod commands;
mod docker;
mod start;
mod table;
mod work;

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum;
use e2e::modes::Access;
use e2e::sandbox::{DirectFs, Gofer, Runsc, Sandbox};
use e2e::volumes::{VolumeServer, configuration};
use e2e::{bins, host};
use table::{Samples, Way};
use work::{Kind, Results, Sizes, Work};

use crate::setup;

/// How to measure the gofer.
#[derive(Debug, clap::Args)]
pub(crate) struct RunscOptions {
    /// Every figure is the median of so many rounds. On two cores, one round of all work with 3,000 files takes about two
    /// minutes for each way to run each runsc.
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
    /// Numbers of files, for work that is about files, such as "3000,30000".
    #[arg(long, value_delimiter = ',', default_value = "3000")]
    files: Vec<u32>,
    /// Kinds of work.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::value_variants().to_vec(), hide_default_value = true)]
    work: Vec<Kind>,
    /// Whether the sandbox may believe that nobody else changes the files of its mounts (runsc's --file-access-mounts).
    #[arg(long, value_enum, default_value_t = Access::Shared)]
    access: Access,
    /// So many processes outside the containers want all of the processors while work is measured.
    #[arg(long, default_value_t = 0)]
    busy: usize,
    /// Also count the messages that work takes, by kind, in a round of its own. With --rounds 0, only these.
    #[arg(long)]
    messages: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The start of gofers, `run`, `create` and `start`, `list`, and `docker run`.
    Start,
    /// Work on files, a repository and a database, and the memory of the gofer.
    Work,
}

/// Measures on Debian's runsc and, where `RUNSC` names one, on a current one.
pub(crate) fn run(options: &RunscOptions) -> Result<()> {
    setup::run()?;
    if !host::is_root() {
        bail!("containers need root");
    }
    bins::build_to_install()?;
    let sizes = if options.quick { Sizes::quick() } else { Sizes::full(&options.files) };
    let work = Work::new(&options.work, sizes, options.access, options.busy)?;
    // With directfs on, the gofer has nothing to do once the container runs.
    let current = Runsc::current().into_iter().filter(|runsc| runsc.directfs() == DirectFs::Off);
    let wanted = |runsc: &Runsc| options.runsc.as_ref().is_none_or(|part| runsc.to_string().contains(part));
    let chosen: Vec<Runsc> = Runsc::debian().into_iter().chain(current).filter(wanted).collect();
    if chosen.is_empty() {
        bail!("no runsc to measure with; install Debian's, or name one by the variable RUNSC");
    }
    for runsc in chosen {
        measure(options, &runsc, &work)?;
    }
    if options.only != Some(Part::Work) && options.rounds > 0 {
        docker::run(options.rounds)?;
    }
    Ok(())
}

/// Measures on one runsc, and prints its tables.
fn measure(options: &RunscOptions, runsc: &Runsc, work: &Work) -> Result<()> {
    let (mut samples, mut results) = (Samples::default(), Results::default());
    for round in 1..=options.rounds {
        eprintln!("{runsc}, round {round}");
        // In turns, so that a slow moment of the machine does not hit only one of them; and each is first as often.
        let mut order = Way::ALL;
        order.rotate_left(round % Way::ALL.len());
        if options.only != Some(Part::Work) {
            commands::run(runsc, order, &mut samples)?;
            for way in order {
                samples.add(way, start::run(runsc, way)?);
            }
        }
        if options.only != Some(Part::Start) {
            work.measure(runsc, order, &mut results, &mut samples)?;
        }
    }
    if options.messages && options.only != Some(Part::Start) {
        eprintln!("{runsc}, messages");
        work.count(runsc, &mut results)?;
    }
    println!("{}", work.markdown(&results, runsc, options.rounds));
    if options.rounds > 0 {
        println!("{}", samples.markdown(&runsc.to_string(), options.rounds));
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
    let server = VolumeServer::in_session(&format!("data = '{}'", directory.display()))?;
    fs::write(sandbox.configuration(), configuration(&server.socket(), &["data"]))?;
    Ok(Some(server))
}
