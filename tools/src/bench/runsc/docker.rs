//! How long `docker run` takes, with Docker and runsc of Debian 13.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::bins;
use e2e::engines::{Engines, Set};

use crate::bench::table::median;

const SCRIPT: &str = include_str!("docker.sh");
/// Of how many containers the script takes the time together.
const TOGETHER: f64 = 3.0;

/// Measures and prints.
pub(super) fn run(rounds: usize) -> Result<()> {
    let engines = match Engines::find(Set::Docker) {
        Ok(engines) => engines,
        Err(why) => bail!("{why}"),
    };
    let script = format!("ROUNDS={rounds}\n{SCRIPT}");
    let printed = engines.play(&bins::gofer()?, &[], &script, Duration::from_secs(1200))?.success()?;
    let of = |runtime: &str| -> Result<f64> {
        let values = printed.lines().filter_map(|line| line.strip_prefix(runtime)?.strip_prefix(' '));
        let values = values.map(|value| value.parse::<f64>().map(|hundredths| hundredths * 10.0 / TOGETHER));
        let values = values.collect::<Result<Vec<_>, _>>().with_context(|| printed.clone())?;
        Ok(median(values))
    };
    let (stock, ours) = (of("stock")?, of("ours")?);
    println!(
        "`docker run --rm busybox true`: runsc's own gofer {stock:.0} ms, ours {ours:.0} ms, ratio {:.2}",
        ours / stock
    );
    Ok(())
}
