//! Permissions and flags.

use std::fmt;

use bitflags::bitflags;

/// Permission bits including set-id and sticky: the part of a mode that is not the file's type.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Mode(u16);

impl Mode {
    /// The permission bits of `mode`; others are ignored.
    pub const fn new(mode: u16) -> Self {
        Mode(mode & 0o7777)
    }

    /// The bits, `0o7777` at most.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl From<u16> for Mode {
    fn from(mode: u16) -> Self {
        Mode::new(mode)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0o{:03o}", self.0)
    }
}

bitflags! {
    /// Flags of `setxattr(2)`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct XattrFlags: u32 {
        /// The attribute must not exist, else `EEXIST`.
        const CREATE = 1;
        /// The attribute must exist, else `ENODATA`.
        const REPLACE = 2;
    }

    /// Flags of `fallocate(2)`, there called mode. Without any, space is reserved and the file grows.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AllocateFlags: u32 {
        /// The size stays.
        const KEEP_SIZE = 0x01;
        /// Frees the range, which then reads as zeros. Comes with `KEEP_SIZE`.
        const PUNCH_HOLE = 0x02;
        /// Removes the range; what is behind it moves up.
        const COLLAPSE_RANGE = 0x08;
        /// The range reads as zeros from now on.
        const ZERO_RANGE = 0x10;
        /// Makes a hole; what is behind it moves down.
        const INSERT_RANGE = 0x20;
        /// Gives blocks that are shared with other files a copy of their own.
        const UNSHARE_RANGE = 0x40;

        const _ = !0;
    }
}
