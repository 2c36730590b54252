//! How much a cache may take.

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

    /// Whether the disk of `directory` has no room for `bytes` more.
    pub(super) fn lacks(&self, directory: &Directory, bytes: u64) -> bool {
        /// Others need some, too.
        const FEW_INODES: u64 = 64;
        let Some((free, inodes)) = directory.available() else { return true };
        free < bytes.saturating_add(self.free.unwrap_or(0)) || inodes < FEW_INODES
    }
}

impl Default for Limits {
    /// 10 GiB.
    fn default() -> Self {
        Limits::new(10 << 30, None)
    }
}
