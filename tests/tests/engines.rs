//! Docker with the lines of the chapter on production. `cargo xtask production` plays the others, and much more.

use std::time::Duration;

use anyhow::Result;
use e2e::engines::{Engines, Set, chapter, script};
use e2e::{bins, check, skip};

#[test]
fn docker_does_what_the_chapter_says() -> Result<()> {
    let engines = match Engines::find(Set::Docker) {
        Ok(engines) => engines,
        Err(why) => skip!("{why}"),
    };
    let steps = chapter("docker")?;
    let script = script("dockerd_start\n", &steps, "dockerd_stop\n");
    let outcome = engines.play(&bins::gofer()?, &steps, &script, Duration::from_secs(300))?;
    check::holds(&outcome.describe(), outcome.status.success())
}
