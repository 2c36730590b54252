//! runsc's gofer and ours, side by side.

mod start;
mod table;
mod work;

use anyhow::{Result, bail};
use e2e::sandbox::{DirectFs, Gofer, Runsc};
use e2e::{bins, host};
use table::Samples;
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
    let current = Runsc::current().into_iter().find(|runsc| runsc.directfs() == DirectFs::Off);
    for runsc in Runsc::debian().into_iter().chain(current) {
        let mut samples = Samples::default();
        for round in 1..=options.rounds {
            // In turns, so that a slow moment of the machine does not hit only one of them; and each is first as often.
            let mut order = [Gofer::Stock, Gofer::Ours];
            order.rotate_left(round % 2);
            for gofer in order {
                eprintln!("{runsc}, round {round}: {gofer:?}");
                let mut figures = start::run(&runsc, gofer)?;
                figures.extend(work::run(&runsc, gofer, sizes)?);
                samples.add(gofer, figures);
            }
        }
        println!("{}", samples.markdown(&runsc.to_string(), options.rounds));
    }
    Ok(())
}
