//! Looking for damage: every name, block, link and attribute of a volume in a directory of the host.
//!
//! Nothing is mounted, and nothing is changed. Files that somebody writes meanwhile may look damaged.

mod attributes;
mod content;
mod finding;
mod levels;
mod names;
mod walk;

use std::io;
use std::path::Path;

use gofer::hostfs::{HostFs, HostOptions};
use lisafs::backend::Backend;
use serde::Serialize;

use crate::backend::{Mends, mends};
use crate::directory::config_entry;
use crate::format::Keys;

pub use finding::{Finding, Problem, Severity};

/// Hears what is found, and how far it is.
pub trait Observer {
    /// Something is not as it should be.
    fn found(&mut self, finding: &Finding);

    /// One more file, directory or other entry is looked at, and what is in it next.
    fn entry(&mut self) {}

    /// So many more bytes were read.
    fn read(&mut self, bytes: u64) {
        let _ = bytes;
    }
}

/// What there is in a volume, and how much of it is damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Regular files.
    pub files: u64,
    /// Directories, with the root.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Devices, FIFOs and sockets, in which is nothing to look at.
    pub others: u64,
    /// Bytes of files as they are on disk, without holes.
    pub bytes: u64,
    /// How many findings are damage.
    pub damaged: u64,
    /// What could not be looked at.
    pub unread: u64,
    /// How many findings are no damage.
    pub notes: u64,
}

impl Summary {
    /// Whether all was looked at and nothing is damaged.
    pub fn is_clean(&self) -> bool {
        self.damaged == 0 && self.unread == 0
    }

    fn count(&mut self, finding: &Finding) {
        match finding.problem.severity() {
            Severity::Damage => self.damaged += 1,
            Severity::Unread => self.unread += 1,
            Severity::Note => self.notes += 1,
        }
    }
}

/// Looks at all of the volume in `dir`, whose configuration is at `config`. An error is a directory that cannot be read at
/// all.
pub fn check(dir: &Path, config: &Path, keys: &Keys, observer: &mut dyn Observer) -> io::Result<Summary> {
    walk::Walk::new(keys, config_entry(dir, config), unfinished(dir, keys)?, observer).run(dir)
}

/// What the next mount will do to files that a killed process was writing.
fn unfinished(dir: &Path, keys: &Keys) -> io::Result<Mends> {
    let mends = HostFs::open(dir, HostOptions::default())?
        .attach()
        .and_then(|attachment| mends(&keys.content, &*attachment.root.file));
    // What cannot be read is found out on the way.
    Ok(mends.unwrap_or_default())
}
