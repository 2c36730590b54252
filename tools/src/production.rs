//! `cargo xtask production`: Docker, podman and containerd with the lines of `gofer/docs/production.md`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use e2e::bins;
use e2e::engines::{Engines, Set, Step, chapter};

use crate::setup;

/// How long.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Containers that are started one after the other; then nothing of them may be left
    #[arg(long, default_value_t = 100)]
    starts: u32,
}

/// One thing that is played: the steps of the chapter that are marked so, and a script.
struct Play {
    subject: &'static str,
    before: &'static str,
    after: &'static str,
}

const PLAYS: [Play; 4] = [
    Play { subject: "docker", before: "dockerd_start\n", after: "dockerd_stop\n" },
    Play { subject: "podman", before: "image\npodman import -q /image.tar localhost/busybox\n", after: "" },
    Play {
        subject: "rootless",
        before: "image\nordinary_user\nbusybox su user -c 'XDG_RUNTIME_DIR=/run/user/1000 podman import -q /image.tar localhost/busybox'\n",
        after: "",
    },
    Play { subject: "containerd", before: "image\ncontainerd_start\nctr_image\n", after: "kill $CONTAINERD\n" },
];

/// What no machine without these can show.
const NOT_PLAYED: [&str; 2] = [
    "CRI and Kubernetes: Debian has neither gVisor's shim nor crictl",
    "a runsc of this year: Debian's is of July 2024; name another one with RUNSC for the tests of containers",
];

/// Plays everything. The result says whether all of it went well.
pub(crate) fn run(options: &Options) -> Result<bool> {
    setup::run()?;
    Engines::install(Set::All)?;
    let engines = match Engines::find(Set::All) {
        Ok(engines) => engines,
        Err(why) => bail!("{why}"),
    };
    let gofer = bins::gofer()?;
    let mut well = true;
    let mut play = |what: &str, steps: &[Step], script: &str| -> Result<()> {
        well &= play_on(&engines, &gofer, what, steps, script)?;
        Ok(())
    };
    for Play { subject, before, after } in &PLAYS {
        let steps = chapter(subject)?;
        play(&format!("the chapter's lines for {subject}"), &steps, &e2e::engines::script(before, &steps, after))?;
    }
    let story = format!("STARTS={}\n{}", options.starts, e2e::engines::DOCKER);
    play("Docker on runsc's own gofer and on this one", &[], &story)?;
    Engines::install(Set::Systemd)?;
    let systemd = match Engines::find(Set::Systemd) {
        Ok(systemd) => systemd,
        Err(why) => bail!("{why}"),
    };
    well &= play_on(&systemd, &gofer, "gofer-volumes under systemd", &[], e2e::engines::SYSTEMD)?;
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        println!("not played: cgroup v2, this machine has its controllers in version 1");
    }
    for what in NOT_PLAYED {
        println!("not played: {what}");
    }
    Ok(well)
}

/// Plays one script, and says whether it went well.
fn play_on(engines: &Engines, gofer: &Path, what: &str, steps: &[Step], script: &str) -> Result<bool> {
    println!("== {what}");
    let outcome = engines.play(gofer, steps, script, Duration::from_secs(3600))?;
    print!("{}{}", outcome.stdout, outcome.stderr);
    println!("== {what}: {}", if outcome.status.success() { "well" } else { "FAILED" });
    Ok(outcome.status.success())
}
