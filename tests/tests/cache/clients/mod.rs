//! Two clients: one has a cache, and the other changes the files behind it.

mod fsx;
mod story;

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::mount::Mount;
use e2e::{bins, scratch};
use tempfile::TempDir;

use story::Story;

/// What the two have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    /// Either changes the files at any time, and what is known of names and attributes counts so many seconds.
    Shared { ttl: u8 },
    /// The one without a cache changes what the other knows only while that has no mount.
    Exclusive { write: &'static str },
}

impl Rules {
    const ALL: [Self; 4] = [
        Rules::Shared { ttl: 0 },
        Rules::Shared { ttl: 1 },
        Rules::Exclusive { write: "through" },
        Rules::Exclusive { write: "back" },
    ];

    fn is_shared(self) -> bool {
        matches!(self, Rules::Shared { .. })
    }

    /// Whether what the other has changed may be unknown for a while, but for what is in files.
    fn is_late(self) -> bool {
        matches!(self, Rules::Shared { ttl } if ttl > 0)
    }
}

/// A directory, and the ways to it.
struct Clients {
    rules: Rules,
    files: TempDir,
    cache: TempDir,
    /// How much the cache may take.
    size: &'static str,
    mount: Option<Mount>,
}

impl Clients {
    fn new(rules: Rules, size: &'static str) -> Result<Self> {
        Ok(Clients { rules, files: scratch::memory()?, cache: scratch::memory()?, size, mount: None })
    }

    /// The directory, as the client with the cache has it.
    fn cached(&mut self) -> Result<PathBuf> {
        if self.mount.is_none() {
            let (access, options) = match self.rules {
                Rules::Shared { ttl } => ("shared", format!("ttl={ttl}")),
                Rules::Exclusive { write } => ("exclusive", format!("access=exclusive&write={write}")),
            };
            let (files, cache, size) = (self.files.path().display(), self.cache.path().display(), self.size);
            let backend = format!("cache:{files}?dir={cache}&size={size}&free=0&{options}");
            let mut command = Command::new(bins::fusebridge()?);
            self.mount = Some(Mount::start(command.args(["mnt", "--access", access, &backend]))?);
        }
        Ok(self.mount.as_ref().context("no mount")?.path().to_path_buf())
    }

    /// The directory, as the other client has it to change anything.
    fn behind(&mut self) -> Result<PathBuf> {
        if !self.rules.is_shared() {
            self.leave()?;
        }
        Ok(self.files.path().to_path_buf())
    }

    /// The directory, as the other client has it to look at `name`.
    fn behind_to_look(&self, name: &str) -> Result<PathBuf> {
        if let Some(mount) = self.mount.as_ref().filter(|_| !self.rules.is_shared()) {
            // What was written is there when it is synced.
            match File::open(mount.path().join(name)) {
                Ok(file) => file.sync_all()?,
                Err(error) => ensure!(error.kind() == std::io::ErrorKind::NotFound, "{error}"),
            }
        }
        Ok(self.files.path().to_path_buf())
    }

    fn leave(&mut self) -> Result<()> {
        self.mount.take().map_or(Ok(()), Mount::unmount)
    }
}

#[test]
fn whatever_others_change_is_read_from_then_on() -> Result<()> {
    for rules in Rules::ALL {
        let steps = if rules.is_shared() { 500 } else { 250 };
        // What the cache has room for, and what it has not.
        for (seed, size) in [(1, "64m"), (2, "1m")] {
            let mut story = Story::new(Clients::new(rules, size)?, seed);
            for step in 0..steps {
                story.step().with_context(|| format!("{rules:?}, {size}, step {step}"))?;
            }
            story.end().with_context(|| format!("{rules:?}, {size}"))?;
        }
    }
    Ok(())
}
