//! The backends that every conformance suite and story runs on.

use std::ffi::OsString;

use anyhow::Result;
use tempfile::TempDir;

use crate::modes::Io;
use crate::{mount, scratch};

/// A kind of backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The stock backend on a host directory.
    Host,
    /// Files in memory.
    Memory,
    /// A wrapper around the stock backend.
    Wrapped,
    /// A wrapper that gives no host descriptors away, around files in memory.
    Withholding,
    /// A file system in an object store, which is in memory.
    Blob,
}

/// A fresh and empty file system of one kind.
#[derive(Debug)]
pub struct Served {
    /// What stands for it on the command line.
    pub argument: OsString,
    /// The host directory that it is, if it is one.
    pub directory: Option<TempDir>,
}

impl Backend {
    /// All of them.
    pub const ALL: [Backend; 5] = [Self::Host, Self::Memory, Self::Wrapped, Self::Withholding, Self::Blob];

    /// What its list of expected failures is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Memory => "mem",
            Self::Wrapped => "stats",
            Self::Withholding => "fault",
            Self::Blob => "blob",
        }
    }

    /// Whether it gives host descriptors of its files away.
    #[must_use]
    pub fn donates(self) -> bool {
        matches!(self, Self::Host | Self::Wrapped)
    }

    /// Whether it can be mounted with this I/O mode, which two modes need donated files for.
    #[must_use]
    pub fn can(self, io: Io) -> bool {
        self.donates() || matches!(io, Io::Auto | Io::Rpc)
    }

    /// A new one, which all users may write to.
    pub fn fresh(self) -> Result<Served> {
        if self == Self::Blob {
            return Ok(Served { argument: "blob:memory:".into(), directory: None });
        }
        if !self.donates() {
            let wrapper = if self == Self::Withholding { "fault:" } else { "" };
            return Ok(Served { argument: format!("{wrapper}mem:mode=1777").into(), directory: None });
        }
        let directory = scratch::open_to_all()?;
        let host = mount::backend(directory.path());
        let mut argument = OsString::from(if self == Self::Wrapped { "stats:" } else { "" });
        argument.push(host);
        Ok(Served { argument, directory: Some(directory) })
    }
}
