//! FUSE over io_uring, which the kernel may have and rarely has switched on.
//!
//! The switch is one for the whole machine, and counts when something is mounted: it is on for so long only, and what
//! tests mount at the same time without asking for rings is not concerned.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use crate::host;

const SWITCH: &str = "/sys/module/fuse/parameters/enable_uring";

/// Why nothing can be mounted that way here, if that is so.
#[must_use]
pub fn missing() -> Option<&'static str> {
    if !std::path::Path::new(SWITCH).exists() {
        return Some("this kernel has no FUSE over io_uring");
    }
    (!host::is_root()).then_some("only root can switch on FUSE over io_uring")
}

/// The switch, which stays as it is until this is dropped, and is then as it was before.
#[derive(Debug)]
pub struct Switch {
    file: File,
    before: String,
}

impl Switch {
    /// Switches it on, when other tests are done with it.
    pub fn on() -> Result<Self> {
        Self::set("Y")
    }

    /// Switches it off, when other tests are done with it.
    pub fn off() -> Result<Self> {
        Self::set("N")
    }

    fn set(value: &str) -> Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).open(SWITCH).context(SWITCH)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let mut before = String::new();
        file.read_to_string(&mut before)?;
        write(&file, value)?;
        Ok(Self { file, before })
    }
}

fn write(mut file: &File, value: &str) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(value.as_bytes())
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Err(error) = write(&self.file, self.before.trim()) {
            eprintln!("{SWITCH} stays as it is: {error}");
        }
    }
}
