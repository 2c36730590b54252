//! The kernel's structures, as in `linux/fuse.h` of ABI 7.45, in the byte order of the machine.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The ABI that this speaks: the major number must be the kernel's own, of the minor ones the smaller counts.
pub(super) const MAJOR: u32 = 7;
/// See [`MAJOR`].
pub(super) const MINOR: u32 = 45;
/// Since Linux 3.15: everything below has had its size since then.
pub(super) const OLDEST_MINOR: u32 = 23;

/// What a request asks for.
pub(super) mod opcode {
    pub(in super::super) const LOOKUP: u32 = 1;
    pub(in super::super) const FORGET: u32 = 2;
    pub(in super::super) const GETATTR: u32 = 3;
    pub(in super::super) const SETATTR: u32 = 4;
    pub(in super::super) const READLINK: u32 = 5;
    pub(in super::super) const SYMLINK: u32 = 6;
    pub(in super::super) const MKNOD: u32 = 8;
    pub(in super::super) const MKDIR: u32 = 9;
    pub(in super::super) const UNLINK: u32 = 10;
    pub(in super::super) const RMDIR: u32 = 11;
    pub(in super::super) const RENAME: u32 = 12;
    pub(in super::super) const LINK: u32 = 13;
    pub(in super::super) const OPEN: u32 = 14;
    pub(in super::super) const READ: u32 = 15;
    pub(in super::super) const WRITE: u32 = 16;
    pub(in super::super) const STATFS: u32 = 17;
    pub(in super::super) const RELEASE: u32 = 18;
    pub(in super::super) const FSYNC: u32 = 20;
    pub(in super::super) const SETXATTR: u32 = 21;
    pub(in super::super) const GETXATTR: u32 = 22;
    pub(in super::super) const LISTXATTR: u32 = 23;
    pub(in super::super) const REMOVEXATTR: u32 = 24;
    pub(in super::super) const FLUSH: u32 = 25;
    pub(in super::super) const INIT: u32 = 26;
    pub(in super::super) const OPENDIR: u32 = 27;
    pub(in super::super) const READDIR: u32 = 28;
    pub(in super::super) const RELEASEDIR: u32 = 29;
    pub(in super::super) const FSYNCDIR: u32 = 30;
    pub(in super::super) const CREATE: u32 = 35;
    pub(in super::super) const INTERRUPT: u32 = 36;
    pub(in super::super) const DESTROY: u32 = 38;
    pub(in super::super) const NOTIFY_REPLY: u32 = 41;
    pub(in super::super) const BATCH_FORGET: u32 = 42;
    pub(in super::super) const FALLOCATE: u32 = 43;
    pub(in super::super) const READDIRPLUS: u32 = 44;
    pub(in super::super) const RENAME2: u32 = 45;
    pub(in super::super) const LSEEK: u32 = 46;
    pub(in super::super) const COPY_FILE_RANGE: u32 = 47;
    pub(in super::super) const STATX: u32 = 52;
    pub(in super::super) const COPY_FILE_RANGE_64: u32 = 53;
}

/// What is agreed on in INIT.
pub(super) mod capability {
    pub(in super::super) const ASYNC_READ: u64 = 1 << 0;
    pub(in super::super) const BIG_WRITES: u64 = 1 << 5;
    pub(in super::super) const DONT_MASK: u64 = 1 << 6;
    pub(in super::super) const AUTO_INVAL_DATA: u64 = 1 << 12;
    pub(in super::super) const DO_READDIRPLUS: u64 = 1 << 13;
    pub(in super::super) const ASYNC_DIO: u64 = 1 << 15;
    pub(in super::super) const PARALLEL_DIROPS: u64 = 1 << 18;
    pub(in super::super) const POSIX_ACL: u64 = 1 << 20;
    pub(in super::super) const MAX_PAGES: u64 = 1 << 22;
    pub(in super::super) const CACHE_SYMLINKS: u64 = 1 << 23;
    pub(in super::super) const EXPLICIT_INVAL_DATA: u64 = 1 << 25;
    pub(in super::super) const INIT_EXT: u64 = 1 << 30;
    pub(in super::super) const DIRECT_IO_ALLOW_MMAP: u64 = 1 << 36;
    pub(in super::super) const PASSTHROUGH: u64 = 1 << 37;
    pub(in super::super) const NO_EXPORT_SUPPORT: u64 = 1 << 38;
    pub(in super::super) const OVER_IO_URING: u64 = 1 << 41;
}

/// What the kernel is told of an open file.
pub(super) mod open {
    pub(in super::super) const DIRECT_IO: u32 = 1 << 0;
    pub(in super::super) const KEEP_CACHE: u32 = 1 << 1;
    pub(in super::super) const CACHE_DIR: u32 = 1 << 3;
    pub(in super::super) const NOFLUSH: u32 = 1 << 5;
    pub(in super::super) const PASSTHROUGH: u32 = 1 << 7;
}

/// Which fields of [`SetAttrIn`] count.
pub(super) mod valid {
    pub(in super::super) const MODE: u32 = 1 << 0;
    pub(in super::super) const UID: u32 = 1 << 1;
    pub(in super::super) const GID: u32 = 1 << 2;
    pub(in super::super) const SIZE: u32 = 1 << 3;
    pub(in super::super) const ATIME: u32 = 1 << 4;
    pub(in super::super) const MTIME: u32 = 1 << 5;
    pub(in super::super) const HANDLE: u32 = 1 << 6;
    pub(in super::super) const ATIME_NOW: u32 = 1 << 7;
    pub(in super::super) const MTIME_NOW: u32 = 1 << 8;
}

/// In [`ReadIn`]: a process reads for itself, not the kernel for its cache.
pub(super) const READ_LOCKOWNER: u32 = 1 << 1;
/// In [`WriteIn`]: the kernel writes its cache back.
pub(super) const WRITE_CACHE: u32 = 1 << 0;
/// In [`WriteIn`]: set-id bits must go.
pub(super) const WRITE_KILL_SUIDGID: u32 = 1 << 2;

/// What the kernel is asked for over a ring, as `FUSE_IO_URING_CMD_*`.
pub(super) mod ring {
    /// Takes an entry, and answers when it holds a request.
    pub(in super::super) const REGISTER: u32 = 1;
    /// Takes the answer that an entry holds, and answers when it holds another request.
    pub(in super::super) const COMMIT_AND_FETCH: u32 = 2;
}

/// The least that the data of an entry of a ring has room for.
pub(super) const LEAST_PAYLOAD: usize = 8192;

/// Codes of notifications, which stand where answers have their error.
///
/// Not among them is `FUSE_NOTIFY_INC_EPOCH` (8, since Linux 6.16), by which all names are asked for again. It takes away what is
/// mounted within the file system, in all mount namespaces (`findings/fuse-epoch-unmounts.sh`), which no server may do
/// that has only been restarted.
pub(super) mod notify {
    pub(in super::super) const INVAL_INODE: i32 = 2;
    pub(in super::super) const INVAL_ENTRY: i32 = 3;
    /// Since Linux 6.18.
    pub(in super::super) const PRUNE: i32 = 9;
}

macro_rules! from_kernel {
    ($($(#[$doc:meta])* $name:ident, $size:literal { $($field:ident: $type:ty),* $(,)? })*) => {
        $($(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
        pub(super) struct $name { $(pub(super) $field: $type),* }
        const _: () = assert!(size_of::<$name>() == $size);)*
    };
}

from_kernel! {
    /// What each request begins with.
    InHeader, 40 {
        len: u32, opcode: u32, unique: u64, node: u64, uid: u32, gid: u32, pid: u32, extensions: u16, padding: u16,
    }
    ForgetIn, 8 { count: u64 }
    ForgetOne, 16 { node: u64, count: u64 }
    BatchForgetIn, 8 { count: u32, padding: u32 }
    GetAttrIn, 16 { flags: u32, padding: u32, handle: u64 }
    MkNodIn, 16 { mode: u32, device: u32, umask: u32, padding: u32 }
    MkDirIn, 8 { mode: u32, umask: u32 }
    RenameIn, 8 { new_parent: u64 }
    Rename2In, 16 { new_parent: u64, flags: u32, padding: u32 }
    LinkIn, 8 { old: u64 }
    SetAttrIn, 88 {
        valid: u32, padding: u32, handle: u64, size: u64, owner: u64, atime: i64, mtime: i64, ctime: i64,
        atime_nsec: u32, mtime_nsec: u32, ctime_nsec: u32, mode: u32, unused: u32, uid: u32, gid: u32, unused_too: u32,
    }
    OpenIn, 8 { flags: u32, open_flags: u32 }
    CreateIn, 16 { flags: u32, mode: u32, umask: u32, open_flags: u32 }
    ReleaseIn, 24 { handle: u64, flags: u32, release_flags: u32, owner: u64 }
    FlushIn, 24 { handle: u64, unused: u32, padding: u32, owner: u64 }
    /// Also of READDIR and READDIRPLUS.
    ReadIn, 40 { handle: u64, offset: u64, size: u32, read_flags: u32, owner: u64, flags: u32, padding: u32 }
    WriteIn, 40 { handle: u64, offset: u64, size: u32, write_flags: u32, owner: u64, flags: u32, padding: u32 }
    FSyncIn, 16 { handle: u64, flags: u32, padding: u32 }
    SetXattrIn, 8 { size: u32, flags: u32 }
    /// Also of LISTXATTR.
    GetXattrIn, 8 { size: u32, padding: u32 }
    /// As far as all kernels send it.
    InitIn, 16 { major: u32, minor: u32, max_readahead: u32, flags: u32 }
    InterruptIn, 8 { unique: u64 }
    FAllocateIn, 32 { handle: u64, offset: u64, length: u64, mode: u32, padding: u32 }
    LSeekIn, 24 { handle: u64, offset: u64, whence: u32, padding: u32 }
    StatxIn, 24 { getattr_flags: u32, reserved: u32, handle: u64, flags: u32, mask: u32 }
    /// Also of COPY_FILE_RANGE_64.
    CopyIn, 56 {
        from: u64, from_offset: u64, node: u64, to: u64, to_offset: u64, length: u64, flags: u64,
    }

    /// What each answer and notification begins with.
    OutHeader, 16 { len: u32, error: i32, unique: u64 }
    Attr, 88 {
        node: u64, size: u64, blocks: u64, atime: i64, mtime: i64, ctime: i64, atime_nsec: u32, mtime_nsec: u32,
        ctime_nsec: u32, mode: u32, nlink: u32, uid: u32, gid: u32, device: u32, block_size: u32, flags: u32,
    }
    EntryOut, 128 {
        node: u64, generation: u64, entry_valid: u64, attr_valid: u64, entry_valid_nsec: u32, attr_valid_nsec: u32,
        attr: Attr,
    }
    AttrOut, 104 { valid: u64, valid_nsec: u32, padding: u32, attr: Attr }
    StatxTime, 16 { seconds: i64, nanoseconds: u32, reserved: i32 }
    Statx, 256 {
        mask: u32, block_size: u32, attributes: u64, nlink: u32, uid: u32, gid: u32, mode: u16, spare: u16, node: u64,
        size: u64, blocks: u64, attributes_mask: u64, atime: StatxTime, btime: StatxTime, ctime: StatxTime,
        mtime: StatxTime, rdev_major: u32, rdev_minor: u32, dev_major: u32, dev_minor: u32, spare2: [u64; 14],
    }
    StatxOut, 288 { valid: u64, valid_nsec: u32, flags: u32, spare: [u64; 2], stat: Statx }
    OpenOut, 16 { handle: u64, flags: u32, backing: u32 }
    CreateOut, 144 { entry: EntryOut, open: OpenOut }
    /// Also of COPY_FILE_RANGE.
    WriteOut, 8 { size: u32, padding: u32 }
    StatFsOut, 80 {
        blocks: u64, free: u64, available: u64, files: u64, files_free: u64, block_size: u32, name_length: u32,
        fragment_size: u32, padding: u32, spare: [u32; 6],
    }
    GetXattrOut, 8 { size: u32, padding: u32 }
    LSeekOut, 8 { offset: u64 }
    /// Of COPY_FILE_RANGE_64.
    CopyOut, 8 { copied: u64 }
    InitOut, 64 {
        major: u32, minor: u32, max_readahead: u32, flags: u32, max_background: u16, congestion_threshold: u16,
        max_write: u32, time_granularity: u32, max_pages: u16, map_alignment: u16, flags2: u32, max_stack_depth: u32,
        request_timeout: u16, unused: [u16; 11],
    }
    /// Before a name, which is padded to 8 bytes.
    Dirent, 24 { node: u64, offset: u64, name_length: u32, kind: u32 }
    InvalInodeOut, 24 { node: u64, offset: i64, length: i64 }
    /// A name and a NUL follow.
    InvalEntryOut, 16 { parent: u64, name_length: u32, flags: u32 }
    PruneOut, 16 { count: u32, padding: u32, spare: u64 }

    /// What a ring's entry has besides data: first [`InHeader`] or [`OutHeader`], then what a request has behind its
    /// header, but for names and data.
    RingHeader, 288 {
        header: [u8; 128], operation: [u8; 128], flags: u64, commit: u64, payload: u32, padding: u32, reserved: u64,
    }
    /// In a command over a ring.
    RingCommand, 24 { flags: u64, commit: u64, queue: u16, padding: [u8; 6] }
}
