//! Docker, podman, containerd and systemd, each started in namespaces of its own, on a Debian that is unpacked for it: nothing
//! is installed on the machine, and nothing is left of what they did.

mod chapter;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use chapter::Step;

use crate::command::{self, Outcome};
use crate::{host, scratch};

/// The release of Debian that they are from. Its runsc is of 2024.
const SUITE: &str = "trixie";

/// Where unpacked ones are kept. Only root can use them.
const CACHE: &str = "/var/cache/fusebridge/engines";

const ENTER: &str = include_str!("enter.sh");
/// What people do with Docker, on runsc's own gofer and on ours. `STARTS` says how many of many starts.
pub const DOCKER: &str = include_str!("docker.sh");
/// What operators do with `gofer-volumes` under systemd, with the units that ship.
pub const SYSTEMD: &str = include_str!("systemd.sh");
const LIBRARY: &str = include_str!("lib.sh");

/// What is unpacked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Docker, and containerd with it.
    Docker,
    /// Podman too.
    All,
    /// systemd alone.
    Systemd,
}

impl Set {
    fn name(self) -> &'static str {
        match self {
            Set::Docker => "docker",
            Set::All => "all",
            Set::Systemd => "systemd",
        }
    }

    fn packages(self) -> String {
        let docker = "docker.io,docker-cli,containerd,runc,runsc,busybox-static";
        match self {
            Set::Docker => docker.to_owned(),
            Set::Systemd => "systemd,busybox-static,mount,util-linux".to_owned(),
            Set::All => format!("{docker},podman,conmon,crun,netavark,nftables,mount,golang-github-containers-common"),
        }
    }
}

/// An unpacked Debian.
#[derive(Debug)]
pub struct Engines {
    root: PathBuf,
}

impl Engines {
    /// Unpacks them if they are not there yet. Takes half a minute and Debian's archive.
    pub fn install(set: Set) -> Result<()> {
        let root = Self::place(set);
        if root.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(CACHE).with_context(|| format!("cannot make {CACHE}"))?;
        let unfinished = tempfile::tempdir_in(CACHE)?;
        // That is what apt's own user has to get into.
        fs::set_permissions(unfinished.path(), fs::Permissions::from_mode(0o755))?;
        let made = unfinished.path().join("root");
        let mut mmdebstrap = Command::new("mmdebstrap");
        mmdebstrap.args(["--quiet", "--variant=extract", "--include"]).arg(set.packages()).arg(SUITE).arg(&made);
        mmdebstrap.arg("http://deb.debian.org/debian");
        command::succeed(&mut mmdebstrap, Duration::from_secs(600)).context("cannot unpack Debian's packages")?;
        match fs::rename(&made, &root) {
            // Somebody else was faster.
            Err(_) if root.is_dir() => Ok(()),
            renamed => renamed.with_context(|| format!("cannot make {}", root.display())),
        }
    }

    /// Those that are installed, or why they cannot be used here.
    pub fn find(set: Set) -> Result<Self, String> {
        if !host::is_root() {
            return Err("containers of Docker need root".to_owned());
        }
        let root = Self::place(set);
        if !root.is_dir() {
            return Err(format!("{} is missing; run `cargo xtask setup`", root.display()));
        }
        Ok(Engines { root })
    }

    fn place(set: Set) -> PathBuf {
        Path::new(CACHE).join(format!("{SUITE}-{}", set.name()))
    }

    /// runsc as it is in there.
    #[must_use]
    pub fn runsc(&self) -> PathBuf {
        self.root.join("usr/bin/runsc")
    }

    /// Plays the shell script `script`, in which [`script`] has put `steps`, with `gofer` and what was built beside it
    /// where someone who builds it has it.
    pub fn play(&self, gofer: &Path, steps: &[Step], script: &str, limit: Duration) -> Result<Outcome> {
        let state = scratch::disk()?;
        let at = |path: &str| state.path().join(path);
        for directory in ["upper/play/target/dist", "upper/usr/local/bin", "work", "root", "lib"] {
            fs::create_dir_all(at(directory))?;
        }
        let built = at("upper/play/target/dist/gofer");
        fs::copy(gofer, &built).with_context(|| format!("cannot copy {}", gofer.display()))?;
        let volumes = "gofer-volumes";
        fs::copy(gofer.with_file_name(volumes), built.with_file_name(volumes))
            .with_context(|| format!("cannot copy {volumes} from beside {}", gofer.display()))?;
        for unit in ["gofer-volumes.socket", "gofer-volumes.service"] {
            fs::copy(crate::bins::workspace().join("gofer/volumes/systemd").join(unit), at("upper/play").join(unit))?;
        }
        // Where the chapter has it.
        if self.runsc().exists() {
            fs::copy(self.runsc(), at("upper/usr/local/bin/runsc"))?;
        }
        let name = state.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (number, step) in steps.iter().enumerate() {
            step.write(&at("upper/play"), number)?;
        }
        fs::write(at("upper/play/play"), format!("set -eu\nPLAY={name}\n{LIBRARY}\n{script}"))?;
        fs::write(at("enter"), ENTER)?;
        let mut unshare = Command::new("unshare");
        unshare.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "sh"]).arg(at("enter"));
        unshare.arg(&self.root).arg(state.path());
        let outcome = command::run(&mut unshare, limit);
        forget_cgroups(&name);
        outcome
    }
}

/// Takes the empty cgroups away in which containers were.
fn forget_cgroups(play: &str) {
    let name = format!("gofer-play-{play}");
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]) {
        remove_empty(&hierarchy.join(&name));
    }
}

fn remove_empty(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // One with processes in it stays, and there is nothing else to be lost.
    _ = fs::remove_dir(directory);
}

/// The script that does `steps` between `before` and `after`.
#[must_use]
pub fn script(before: &str, steps: &[Step], after: &str) -> String {
    let steps = steps.iter().enumerate().map(|(number, step)| step.call(number));
    format!("{before}{}{after}", steps.collect::<String>())
}

/// The steps that the chapter on production has for `subject`.
pub fn chapter(subject: &str) -> Result<Vec<Step>> {
    let file = crate::bins::workspace().join("gofer/docs/production.md");
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let steps = chapter::steps(&text, subject)?;
    if steps.is_empty() {
        bail!("nothing in the chapter is marked <!-- play: {subject} -->");
    }
    Ok(steps)
}
