//! The backends that every conformance suite and story runs on.

use std::ffi::OsString;

use anyhow::Result;
use tempfile::TempDir;

use crate::crypt::{self, Config};
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
    /// An encrypted volume in a host directory.
    Crypt,
    /// An encrypted volume of another kind, in memory.
    CryptMemory,
}

/// A fresh and empty file system of one kind.
#[derive(Debug)]
pub struct Served {
    /// What stands for it on the command line.
    pub argument: OsString,
    /// The host directory that it is, if it is one.
    pub directory: Option<TempDir>,
    /// The volume that it is, if it is an encrypted one.
    pub volume: Option<crypt::Volume>,
}

impl Served {
    /// What the command line has besides, for a backend that needs more.
    #[must_use]
    pub fn flags(&self) -> Vec<OsString> {
        self.volume.iter().map(|volume| crypt::flag(&volume.password_file())).collect()
    }
}

impl Backend {
    /// All of them.
    pub const ALL: [Backend; 7] =
        [Self::Host, Self::Memory, Self::Wrapped, Self::Withholding, Self::Blob, Self::Crypt, Self::CryptMemory];

    /// What its list of expected failures is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Memory => "mem",
            Self::Wrapped => "stats",
            Self::Withholding => "fault",
            Self::Blob => "blob",
            Self::Crypt | Self::CryptMemory => "crypt",
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
        let served = |argument: OsString| Served { argument, directory: None, volume: None };
        if self == Self::Blob {
            return Ok(served("blob:memory:".into()));
        }
        if let Self::Crypt | Self::CryptMemory = self {
            let config = if self == Self::Crypt { Config::Default } else { Config::XChaCha };
            let volume = crypt::Volume::new(config)?;
            let argument = if self == Self::Crypt {
                crypt::backend(volume.path())
            } else {
                // Only the configuration is there.
                format!("crypt:mem:mode=1777?config={}/gocryptfs.conf", volume.path().display()).into()
            };
            return Ok(Served { volume: Some(volume), ..served(argument) });
        }
        if !self.donates() {
            let wrapper = if self == Self::Withholding { "fault:" } else { "" };
            return Ok(served(format!("{wrapper}mem:mode=1777").into()));
        }
        let directory = scratch::open_to_all()?;
        let host = mount::backend(directory.path());
        let mut argument = OsString::from(if self == Self::Wrapped { "stats:" } else { "" });
        argument.push(host);
        Ok(Served { directory: Some(directory), ..served(argument) })
    }
}
