//! How much a cache may take.

use std::io;

use super::directory::Directory;

/// How much of a disk a cache may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes that it may take in all.
    pub size: u64,
    /// Bytes of the disk that it leaves to others; `None` for a twentieth of them, at most 10 GiB.
    pub free: Option<u64>,
}

impl Limits {
    /// `size` bytes, while so many are free on the disk.
    pub fn new(size: u64, free: Option<u64>) -> Self {
        Limits { size, free }
    }

    /// The same with all that depends on the disk.
    pub(super) fn on(self, directory: &Directory) -> Self {
        const PART: u64 = 20;
        const MOST: u64 = 10 << 30;
        let free = self.free.unwrap_or_else(|| (directory.capacity() / PART).min(MOST));
        Limits { free: Some(free), ..self }
    }

    /// What the disk of `directory` lacks to take `bytes` more.
    pub(super) fn lack(&self, directory: &Directory, bytes: u64) -> io::Result<Option<Lack>> {
        /// Others need some, too.
        const FEW_INODES: u64 = 64;
        let (free, inodes) = directory.available()?;
        let rest = self.free.unwrap_or(0);
        Ok(match free {
            _ if inodes < FEW_INODES => Some(Lack::Inodes),
            free if free < bytes.saturating_add(rest) => Some(Lack::Bytes(rest)),
            _ => None,
        })
    }
}

/// What a disk has too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// Bytes: so many are to be left to others.
    Bytes(u64),
    Inodes,
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MIB: u64 = 1 << 20;
        match self {
            Lack::Bytes(0) => write!(f, "its disk is full"),
            Lack::Bytes(free) if *free < MIB => write!(f, "its disk has less than {free} bytes left (free=)"),
            Lack::Bytes(free) => write!(f, "its disk has less than {} MiB left (free=)", free / MIB),
            Lack::Inodes => write!(f, "its disk has hardly any inodes left"),
        }
    }
}

impl Default for Limits {
    /// 10 GiB.
    fn default() -> Self {
        Limits::new(10 << 30, None)
    }
}
