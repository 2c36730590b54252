//! Structures of a fixed layout that messages are made of, and the headers in front of them.
//!
//! They stand on the wire as they stand in memory, in the byte order of the host: both ends run on one machine.

use std::fmt;

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::codec::plain;
use super::file_type::FileType;
use super::id::{FdId, MessageId};

/// Declares a fixed-layout structure and asserts its size and offsets while compiling.
macro_rules! layout {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident: $size:literal {
            $($(#[$field_attribute:meta])* $visibility:vis $field:ident: $type:ty = $offset:literal,)*
        }
    ) => {
        $(#[$attribute])*
        #[repr(C)]
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
        )]
        pub struct $name {
            $($(#[$field_attribute])* $visibility $field: $type,)*
        }

        const _: () = {
            assert!(size_of::<$name>() == $size);
            $(assert!(std::mem::offset_of!($name, $field) == $offset);)*
        };

        plain!($name);
    };
}

layout! {
    /// In front of each message on a socket.
    pub struct SocketHeader: 8 {
        /// Bytes that follow this header.
        pub payload_len: u32 = 0,
        /// What the payload is, see [`MessageId`].
        pub message: u16 = 4,
        padding: u16 = 6,
    }
}

impl SocketHeader {
    /// The header of `message` with `payload_len` bytes behind it.
    pub fn new(message: MessageId, payload_len: u32) -> Self {
        SocketHeader { payload_len, message: message.0, padding: 0 }
    }
}

layout! {
    /// In front of each message on a channel.
    pub struct ChannelHeader: 4 {
        /// What the payload is, see [`MessageId`].
        pub message: u16 = 0,
        /// How many descriptors come over the channel's FD socket with this message; requests have none.
        pub num_fds: u8 = 2,
        padding: u8 = 3,
    }
}

impl ChannelHeader {
    /// The header of `message` with `num_fds` descriptors beside it.
    pub fn new(message: MessageId, num_fds: u8) -> Self {
        ChannelHeader { message: message.0, num_fds, padding: 0 }
    }
}

layout! {
    /// A time stamp in attributes.
    pub struct StatxTimestamp: 16 {
        /// Seconds since 1970, negative before.
        pub sec: i64 = 0,
        /// Nanoseconds, counted upwards from `sec`.
        pub nsec: u32 = 8,
        padding: u32 = 12,
    }
}

impl StatxTimestamp {
    /// A time stamp of `sec` seconds and `nsec` nanoseconds.
    pub fn new(sec: i64, nsec: u32) -> Self {
        StatxTimestamp { sec, nsec, padding: 0 }
    }
}

layout! {
    /// A time to set. `nsec` may be [`UTIME_NOW`](Timespec::UTIME_NOW) or [`UTIME_OMIT`](Timespec::UTIME_OMIT).
    pub struct Timespec: 16 {
        /// Seconds since 1970, negative before.
        pub sec: i64 = 0,
        /// Nanoseconds, counted upwards from `sec`.
        pub nsec: i64 = 8,
    }
}

impl Timespec {
    /// As `nsec`: the server's clock at the time of the call.
    pub const UTIME_NOW: i64 = 0x3fff_ffff;
    /// As `nsec`: leave the time as it is.
    pub const UTIME_OMIT: i64 = 0x3fff_fffe;
}

/// Which attributes: the bits `STATX_*` of `statx(2)`.
#[repr(transparent)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct StatxMask(u32);

bitflags! {
    impl StatxMask: u32 {
        /// The type in `mode`.
        const TYPE = 0x1;
        /// The permissions in `mode`.
        const MODE = 0x2;
        /// `nlink`.
        const NLINK = 0x4;
        /// `uid`.
        const UID = 0x8;
        /// `gid`.
        const GID = 0x10;
        /// `atime`.
        const ATIME = 0x20;
        /// `mtime`.
        const MTIME = 0x40;
        /// `ctime`.
        const CTIME = 0x80;
        /// `ino`.
        const INO = 0x100;
        /// `size`.
        const SIZE = 0x200;
        /// `blocks`.
        const BLOCKS = 0x400;
        /// All that `stat(2)` has: everything but `btime`.
        const BASIC_STATS = 0x7ff;
        /// `btime`.
        const BTIME = 0x800;

        const _ = !0;
    }
}

impl fmt::Debug for StatxMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatxMask({:#x})", self.bits())
    }
}

plain!(StatxMask);

layout! {
    /// Attributes of a file: the leading fields of the kernel's `struct statx`, without padding.
    pub struct Statx: 144 {
        /// Which fields are valid.
        pub mask: StatxMask = 0,
        /// Preferred size of I/O in bytes.
        pub blksize: u32 = 4,
        /// Not used by the client; zero.
        pub attributes: u64 = 8,
        /// Number of hard links.
        pub nlink: u32 = 16,
        /// Owner.
        pub uid: u32 = 20,
        /// Group.
        pub gid: u32 = 24,
        /// File type and permission bits.
        pub mode: u16 = 28,
        #[doc(hidden)]
        pub padding: u16 = 30,
        /// Inode number. With the device it is the file's identity.
        pub ino: u64 = 32,
        /// Bytes.
        pub size: u64 = 40,
        /// Blocks of 512 bytes.
        pub blocks: u64 = 48,
        /// Not used by the client; zero.
        pub attributes_mask: u64 = 56,
        /// Last access.
        pub atime: StatxTimestamp = 64,
        /// Birth.
        pub btime: StatxTimestamp = 80,
        /// Last change of the inode.
        pub ctime: StatxTimestamp = 96,
        /// Last change of the content.
        pub mtime: StatxTimestamp = 112,
        /// Major number, if this is a device node.
        pub rdev_major: u32 = 128,
        /// Minor number, if this is a device node.
        pub rdev_minor: u32 = 132,
        /// Major number of the device the file is on.
        pub dev_major: u32 = 136,
        /// Minor number of the device the file is on.
        pub dev_minor: u32 = 140,
    }
}

impl Statx {
    /// The type in `mode`; `None` if those bits are no type.
    pub fn file_type(&self) -> Option<FileType> {
        FileType::from_mode(self.mode.into())
    }
}

layout! {
    /// A file that was walked to or created.
    pub struct Inode: 152 {
        /// The new control FD.
        pub control_fd: FdId = 0,
        /// Its attributes.
        pub stat: Statx = 8,
    }
}

layout! {
    /// What all creating messages begin with.
    pub struct CreateCommon: 24 {
        /// The directory.
        pub dir: FdId = 0,
        /// Owner of the new file, or [`NO_ID`].
        pub uid: u32 = 8,
        /// Group of the new file, or [`NO_ID`].
        pub gid: u32 = 12,
        /// Permissions; for MknodAt and BindAt with the type.
        pub mode: u16 = 16,
        /// Permissions that the creator's umask has taken from `mode`. Servers that know them, as this one does, give
        /// them back where the directory's default access control list counts in the umask's place. Zero in gVisor's
        /// protocol.
        pub masked: u16 = 18,
        padding: [u8; 4] = 20,
    }
}

impl CreateCommon {
    /// A file in `dir` that belongs to `uid` and `gid`.
    pub fn new(dir: FdId, uid: u32, gid: u32, mode: u16) -> Self {
        CreateCommon { dir, uid, gid, mode, masked: 0, padding: [0; 4] }
    }

    /// The same with permissions that the creator's umask has taken.
    #[must_use]
    pub fn masked(self, masked: u16) -> Self {
        CreateCommon { masked, ..self }
    }
}

/// As a user or group: none, do not change.
pub const NO_ID: u32 = u32::MAX;

layout! {
    /// Statistics of a file system.
    pub struct StatFs: 64 {
        /// Magic number of the file system's kind.
        pub kind: u64 = 0,
        /// Bytes of a block.
        pub block_size: i64 = 8,
        /// Blocks in all.
        pub blocks: u64 = 16,
        /// Free blocks, those for root included.
        pub blocks_free: u64 = 24,
        /// Free blocks for ordinary users.
        pub blocks_available: u64 = 32,
        /// Inodes in all.
        pub files: u64 = 40,
        /// Free inodes.
        pub files_free: u64 = 48,
        /// Bytes of the longest name.
        pub name_length: u64 = 56,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_taken_from_the_mode() {
        let stat = Statx { mode: 0o100_644, ..Statx::default() };
        assert_eq!(stat.file_type(), Some(FileType::Regular));
    }
}
