//! Types of files, as they stand in a mode.

/// A FIFO.
pub(super) const FIFO: u32 = 0o010_000;
/// A character device.
pub(super) const CHARACTER: u32 = 0o020_000;
/// A directory.
pub(super) const DIRECTORY: u32 = 0o040_000;
/// A block device.
pub(super) const BLOCK: u32 = 0o060_000;
/// A regular file.
pub(super) const REGULAR: u32 = 0o100_000;
/// A symbolic link.
pub(super) const SYMLINK: u32 = 0o120_000;
/// A UNIX socket.
pub(super) const SOCKET: u32 = 0o140_000;
