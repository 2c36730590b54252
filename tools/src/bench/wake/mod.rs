//! The chain of an operation on a mount: what is asked of whom, who is woken for it, and where each runs.

mod chain;
mod messages;
mod operations;
mod table;
mod tracefs;

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chain::Role;
use e2e::modes::Transport;
use e2e::mount::{self, Mount};
use e2e::{bins, host, process, scratch};
use operations::{OPERATIONS, Operation, Part, Sizes};
use table::{LEGEND, Sample, Samples, Used};
use tracefs::Tracer;

use super::quietness::Quietness;
use super::subject::EARLIER;
use super::usage::{Usage, threads};
use crate::setup;

/// How to look at the chain.
#[derive(Debug, clap::Args)]
pub(crate) struct WakeOptions {
    /// Every figure is the median of so many rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only operations with this in their names, such as "shared" or "warm stat".
    #[arg(long, default_value = "", hide_default_value = true)]
    only: String,
    /// Only mounts with this in their names, such as "separate" or "ring".
    #[arg(long, default_value = "", hide_default_value = true)]
    mount: String,
    /// Few operations: shows that everything works, the figures mean little.
    #[arg(long)]
    quick: bool,
}

/// How a mount is made.
#[derive(Clone, Debug)]
struct Way {
    is_separate: bool,
    transport: Transport,
    /// A directory of programs that were built earlier, if these are to be used.
    earlier: Option<PathBuf>,
}

/// Until closed files have been given back, which is done together a little later.
const AFTERWARDS: Duration = Duration::from_millis(150);

impl Way {
    fn all() -> Vec<Self> {
        let programs = [None].into_iter().chain(env::var_os(EARLIER).map(|directory| Some(PathBuf::from(directory))));
        let programs: Vec<Option<PathBuf>> = programs.collect();
        let mut all = Vec::new();
        for is_separate in [false, true] {
            for transport in Transport::all() {
                let ways = programs.iter().cloned().map(|earlier| Way { is_separate, transport, earlier });
                all.extend(ways);
            }
        }
        all
    }

    fn server(&self) -> &'static str {
        if self.is_separate { "separate" } else { "in-process" }
    }

    fn name(&self) -> String {
        let earlier = if self.earlier.is_some() { ", earlier" } else { "" };
        format!("{}, {}{earlier}", self.server(), self.transport.word())
    }

    fn mount(&self, operation: &Operation, directory: &Path) -> Result<Mount> {
        let mut command: Command = match &self.earlier {
            Some(programs) => mount::command_of(&programs.join("fusebridge"), operation.io, operation.access),
            None => mount::command(operation.io, operation.access)?,
        };
        command.args(["--server", self.server(), "--transport", self.transport.word()]);
        if operation.asks_always {
            command.args(["--ttl", "0"]);
        }
        Mount::start(command.arg(mount::backend(directory)))
    }
}

/// Looks at all operations on all kinds of mounts.
pub(crate) fn run(options: &WakeOptions) -> Result<()> {
    setup::run()?;
    if !host::is_root() {
        bail!("the bench looks at the kernel's events and needs root for it");
    }
    bins::build_to_install()?;
    let tracer = Tracer::new()?;
    let sizes = if options.quick { Sizes::QUICK } else { Sizes::FULL };
    let ways: Vec<Way> = Way::all().into_iter().filter(|way| way.name().contains(&options.mount)).collect();
    let (mut samples, mut quietness) = (Samples::default(), Quietness::default());
    for round in 1..=options.rounds {
        for operation in OPERATIONS.iter().filter(|operation| operation.name.contains(&options.only)) {
            eprintln!("round {round}: {}", operation.name);
            // In turns, so that a slow moment of the machine does not hit only one of them; and each is first as often.
            let mut order: Vec<&Way> = ways.iter().collect();
            let first = (round - 1) % order.len().max(1);
            order.rotate_left(first);
            for way in order {
                quietness.look();
                let sample = look(operation, way, sizes, &tracer);
                samples.add(operation.name, way.name(), sample.with_context(|| way.name())?);
            }
        }
    }
    println!("On tmpfs, median of {}:\n\n{}\n{LEGEND}", options.rounds, samples.markdown());
    if !tracer.has_requests() {
        println!("This kernel does not tell of requests of FUSE.");
    }
    println!("{quietness}");
    Ok(())
}

/// Looks at one operation on one mount.
fn look(operation: &Operation, way: &Way, sizes: Sizes, tracer: &Tracer) -> Result<Sample> {
    let directory = scratch::memory()?;
    sizes.prepare(directory.path())?;
    let mount = way.mount(operation, directory.path())?;
    let root = mount.path();
    let (own, caller) = (std::process::id(), rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
    let (bridge, servers) = (vec![mount.pid()], process::family(mount.pid())?.split_off(1));
    operation.approach(root, sizes, Part::WarmUp)?;
    operation.run(root, sizes, Part::WarmUp, || {})?;

    operation.approach(root, sizes, Part::Measured)?;
    let count = sizes.count(Part::Measured);
    sleep(AFTERWARDS);
    let messages = messages::so_far(&mount)?;
    let others = || Ok::<_, anyhow::Error>([Usage::of_processes(&bridge)?, Usage::of_processes(&servers)?]);
    let others_before = others()?;
    let (caller_before, start) = (Usage::of_thread(own, caller)?, Instant::now());
    operation.run(root, sizes, Part::Measured, || {})?;
    let took = start.elapsed();
    let caller_used = Usage::of_thread(own, caller)? - caller_before;
    sleep(AFTERWARDS);
    let [bridge_after, servers_after] = others()?;
    let messages = messages::since(&messages, &messages::so_far(&mount)?, count.into());

    operation.approach(root, sizes, Part::Traced)?;
    let followed = || {
        let each = |pids: &[u32], role| {
            let all: Result<Vec<Vec<u32>>> = pids.iter().map(|pid| threads(*pid)).collect();
            Ok::<_, anyhow::Error>(all?.into_iter().flatten().map(move |thread| (thread, role)))
        };
        let mut roles = HashMap::from([(caller, Role::Caller)]);
        roles.extend(each(&bridge, Role::Bridge)?);
        roles.extend(each(&servers, Role::Server)?);
        Ok::<_, anyhow::Error>(roles)
    };
    let threads: Vec<u32> = followed()?.into_keys().collect();
    let events = tracer.follow(&threads, |marker| Ok(operation.run(root, sizes, Part::Traced, || marker.set())?))?;
    // Some may have been started meanwhile.
    let chain = chain::of(&events, &followed()?, sizes.count(Part::Traced))?;
    mount.unmount()?;

    let used = |before: Usage, after: Usage| Some(Used::of(after - before, count));
    let server = used(others_before[1], servers_after).filter(|_| !servers.is_empty());
    Ok(Sample {
        microseconds: took.as_secs_f64() * 1e6 / f64::from(count),
        used: [Some(Used::of(caller_used, count)), used(others_before[0], bridge_after), server],
        messages,
        chain,
    })
}
