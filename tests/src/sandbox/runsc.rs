//! The runsc programs at hand, and the ways to run them that matter to a gofer.

use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::engines::{Engines, Set};

/// Names another runsc than Debian's: a current one, or [`BOTH`].
const VARIABLE: &str = "RUNSC";

/// The one that `cargo xtask setup` unpacks, of Debian 13, beside Debian 12's.
const BOTH: &str = "both";

/// Debian's, of 2022.
const DEBIAN: &str = "/usr/bin/runsc";

/// One way to run one runsc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runsc {
    path: PathBuf,
    platform: Platform,
    directfs: DirectFs,
}

/// How runsc runs the code of its containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// With ptrace, which all know.
    Ptrace,
    /// With seccomp's traps.
    Systrap,
}

/// Whether the sentry opens files itself, with a directory that the gofer hands to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectFs {
    /// It is too old for that.
    Unknown,
    /// It does.
    On,
    /// It does not.
    Off,
    /// It would, but the mounts are annotated not to.
    Annotated,
}

impl Runsc {
    /// All that are installed here.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = Self::debian().into_iter().collect();
        all.extend(Self::current());
        all
    }

    /// Debian's, if it is installed.
    #[must_use]
    pub fn debian() -> Option<Self> {
        let path = PathBuf::from(DEBIAN);
        path.is_file().then_some(Self { path, platform: Platform::Ptrace, directfs: DirectFs::Unknown })
    }

    /// The one that the variable `RUNSC` names, if it is set: with each platform, and each way to open files.
    #[must_use]
    pub fn current() -> Vec<Self> {
        let Some(path) = Self::named() else { return Vec::new() };
        let mut ways = vec![
            (Platform::Systrap, DirectFs::On),
            (Platform::Systrap, DirectFs::Off),
            (Platform::Ptrace, DirectFs::Off),
        ];
        if date(&path) >= ANNOTATIONS {
            ways.push((Platform::Systrap, DirectFs::Annotated));
        }
        ways.into_iter().map(|(platform, directfs)| Self { path: path.clone(), platform, directfs }).collect()
    }

    /// The program that the variable `RUNSC` names, if it is set.
    ///
    /// # Panics
    ///
    /// If it says `both`, and the other one is not installed.
    #[must_use]
    pub fn named() -> Option<PathBuf> {
        let named = env::var_os(VARIABLE).filter(|path| !path.is_empty())?;
        if named != BOTH {
            return Some(named.into());
        }
        // Somebody has asked for it: without it, half of the tests would silently not be there.
        Some(Engines::find(Set::Docker).unwrap_or_else(|why| panic!("{VARIABLE}={BOTH}: {why}")).runsc())
    }

    /// The program.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who opens files.
    #[must_use]
    pub fn directfs(&self) -> DirectFs {
        self.directfs
    }

    /// Whether it is a current one.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.directfs != DirectFs::Unknown
    }

    /// Whether its gofer is told when to go on, and has somebody who opens paths for it.
    #[must_use]
    pub fn has_rpc(&self) -> bool {
        self.is_current() && date(&self.path) >= RPC
    }

    /// Whether annotations can switch directfs off for single mounts, which that of Debian 13 (0.0~20240729.0) does not
    /// know yet.
    #[must_use]
    pub fn knows_annotations(&self) -> bool {
        self.is_current() && date(&self.path) >= ANNOTATIONS
    }

    /// The global flags that choose this way.
    pub(super) fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec!["--network=none", "--ignore-cgroups"];
        flags.push(match self.platform {
            Platform::Ptrace => "--platform=ptrace",
            Platform::Systrap => "--platform=systrap",
        });
        if self.directfs == DirectFs::Off {
            flags.push("--directfs=false");
        }
        flags
    }
}

/// The days since when gVisor's releases can do something, as numbers.
const RPC: u32 = 20_241_217;
const ANNOTATIONS: u32 = 20_260_513;

/// The day of its release as a number, or the future if its version does not say it.
fn date(runsc: &Path) -> u32 {
    let version = Command::new(runsc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version);
    let mut dates = version.split(|letter: char| !letter.is_ascii_digit()).filter(|digits| digits.len() == 8);
    dates.find_map(|date| date.parse().ok()).unwrap_or(u32::MAX)
}

impl fmt::Display for Runsc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}, directfs {:?})", self.path.display(), self.platform, self.directfs)
    }
}
