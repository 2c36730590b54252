//! The backends that every conformance suite and story runs on.

use std::ffi::OsString;

use anyhow::Result;
use tempfile::TempDir;

use crate::crypt::{self, Config};
use crate::modes::{Access, Io};
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
    /// A cache before a host directory,
    CacheHost,
    /// which has what is written later,
    CacheHostBack,
    /// before files in memory,
    CacheMemory,
    /// which have what is written later,
    CacheMemoryBack,
    /// before a file system in an object store,
    CacheBlob,
    /// which has what is written later.
    CacheBlobBack,
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
    /// The directory of the cache, if it has one.
    pub cache: Option<TempDir>,
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
    pub const ALL: [Backend; 13] = [
        Self::Host,
        Self::Memory,
        Self::Wrapped,
        Self::Withholding,
        Self::Blob,
        Self::Crypt,
        Self::CryptMemory,
        Self::CacheHost,
        Self::CacheHostBack,
        Self::CacheMemory,
        Self::CacheMemoryBack,
        Self::CacheBlob,
        Self::CacheBlobBack,
    ];

    /// What its list of expected failures is called: a cache has none of its own.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Host | Self::CacheHost | Self::CacheHostBack => "host",
            Self::Memory | Self::CacheMemory | Self::CacheMemoryBack => "mem",
            Self::Wrapped => "stats",
            Self::Withholding => "fault",
            Self::Blob | Self::CacheBlob | Self::CacheBlobBack => "blob",
            Self::Crypt | Self::CryptMemory => "crypt",
        }
    }

    /// What is behind the cache, if it is one, and the cache's own options.
    #[must_use]
    pub fn behind(self) -> Option<(Self, &'static str)> {
        const BACK: &str = "access=exclusive&write=back";
        match self {
            Self::CacheHost => Some((Self::Host, "access=exclusive")),
            Self::CacheHostBack => Some((Self::Host, BACK)),
            Self::CacheMemory => Some((Self::Memory, "access=shared")),
            Self::CacheMemoryBack => Some((Self::Memory, BACK)),
            Self::CacheBlob => Some((Self::Blob, "access=shared")),
            Self::CacheBlobBack => Some((Self::Blob, BACK)),
            _ => None,
        }
    }

    /// The only kind of access that it is made for, if it is one.
    #[must_use]
    pub fn only(self) -> Option<Access> {
        let (_, options) = self.behind()?;
        Some(if options.starts_with("access=exclusive") { Access::Exclusive } else { Access::Shared })
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
        let served = |argument: OsString| Served { argument, directory: None, volume: None, cache: None };
        if let Some((inner, options)) = self.behind() {
            let (inner, cache) = (inner.fresh()?, scratch::memory()?);
            let mut argument = OsString::from("cache:");
            argument.push(&inner.argument);
            // Little enough for blocks to go.
            argument.push(format!("?dir={}&size=16m&free=0&{options}", cache.path().display()));
            return Ok(Served { argument, cache: Some(cache), ..inner });
        }
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
