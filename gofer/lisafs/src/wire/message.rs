//! All messages. A message is its fields in order, without alignment; padding stands where the protocol has it.

use super::array::{Array, Dirents, FdArray, StringArray};
use super::codec::{DoesNotFit, Malformed, Pad, Reader, Sink, Wire};
use super::id::{FdId, MessageId};
use super::parts::{CreateCommon, Inode, StatFs, Statx, StatxMask, Timespec};

/// A message that belongs to a [`MessageId`].
pub trait Message<'a>: Wire<'a> {
    /// Which request this is, or is the answer to.
    const ID: MessageId;
}

macro_rules! messages {
    ($(
        $(#[$attribute:meta])*
        $id:ident struct $name:ident $(<$lifetime:lifetime>)? {
            $($(#[$field_attribute:meta])* $field:ident: $type:ty,)*
        }
    )*) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name $(<$lifetime>)? {
            $($(#[$field_attribute])* pub $field: $type,)*
        }

        messages!(@impl $id $name $(<$lifetime>)? { $($field),* });
    )*};
    (@impl $id:ident $name:ident { $($field:ident),* }) => {
        messages!(@impl_for ['a] $id, $name, { $($field),* });
    };
    (@impl $id:ident $name:ident <$lifetime:lifetime> { $($field:ident),* }) => {
        messages!(@impl_for [$lifetime] $id, $name<$lifetime>, { $($field),* });
    };
    (@impl_for [$lifetime:lifetime] $id:ident, $name:ty, { $($field:ident),* }) => {
        impl<$lifetime> Message<$lifetime> for $name {
            const ID: MessageId = MessageId::$id;
        }

        impl<$lifetime> Wire<$lifetime> for $name {
            #[allow(unused_variables, reason = "some messages have no fields")]
            fn decode(from: &mut Reader<$lifetime>) -> Result<Self, Malformed> {
                Ok(Self { $($field: Wire::decode(from)?,)* })
            }

            #[allow(unused_variables, reason = "some messages have no fields")]
            fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit> {
                $(self.$field.encode(to)?;)*
                Ok(())
            }
        }
    };
}

/// A name in a directory, as it stands in a message: arbitrary bytes, not yet checked.
pub type RawName<'a> = &'a [u8];

messages! {
    /// Refuses a request.
    ERROR struct ErrorResp {
        /// A Linux error number.
        errno: u32,
    }

    /// Asks for the root of the mount.
    MOUNT struct MountReq {}
    /// The root of the mount, and what the server supports.
    MOUNT struct MountResp<'a> {
        /// The root.
        root: Inode,
        /// Largest payload in bytes, without header.
        max_message_size: u32,
        /// Numbers of the supported messages.
        supported: Array<'a, u16>,
    }

    /// Asks for a channel.
    CHANNEL struct ChannelReq {}
    /// A channel; its memory file and its FD socket are donated with it.
    CHANNEL struct ChannelResp {
        /// Where in the memory file the packet window begins.
        data_offset: i64,
        /// Bytes of the packet window, with its header.
        data_length: u64,
    }

    /// Asks for attributes; answered by a [`Statx`].
    FSTAT struct FStatReq {
        /// A control or open FD.
        fd: FdId,
    }

    /// Changes the attributes named by `mask`.
    SET_STAT struct SetStatReq {
        /// A control FD.
        fd: FdId,
        /// MODE, UID, GID, SIZE, ATIME and MTIME can be set.
        mask: StatxMask,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Bytes.
        size: u64,
        /// Last access.
        atime: Timespec,
        /// Last change.
        mtime: Timespec,
    }
    /// What could not be set.
    SET_STAT struct SetStatResp {
        /// What failed; empty if nothing did.
        failure_mask: StatxMask,
        /// The first error.
        failure_errno: u32,
    }

    /// Walks `path` from `dir`, name by name.
    WALK struct WalkReq<'a> {
        /// A control FD.
        dir: FdId,
        /// Names, each of one component.
        path: StringArray<'a>,
    }
    /// How far a walk came.
    WALK struct WalkResp<'a> {
        /// See [`WalkStatus`].
        status: u8,
        /// What was walked to, in order.
        inodes: Array<'a, Inode>,
    }

    /// As [`WalkReq`], for attributes only; a first empty name stands for `dir` itself.
    WALK_STAT struct WalkStatReq<'a> {
        /// A control FD.
        dir: FdId,
        /// Names, each of one component.
        path: StringArray<'a>,
    }
    /// Attributes of what was walked to, in order.
    WALK_STAT struct WalkStatResp<'a> {
        /// As many as exist.
        stats: Array<'a, Statx>,
    }

    /// Opens `fd`.
    OPEN_AT struct OpenAtReq {
        /// A control FD.
        fd: FdId,
        /// Access mode and `O_TRUNC`; other flags are ignored, except that this server knows `O_NOATIME`.
        flags: u32,
        /// Zero.
        pad: Pad<4>,
    }
    /// The opened file; a host FD may be donated.
    OPEN_AT struct OpenAtResp {
        /// The new open FD.
        open_fd: FdId,
    }

    /// Creates a regular file that must not exist, and opens it.
    OPEN_CREATE_AT struct OpenCreateAtReq<'a> {
        /// Directory, owner and permissions.
        common: CreateCommon,
        /// Access mode.
        flags: u32,
        /// The new name.
        name: RawName<'a>,
    }
    /// The created file; a host FD may be donated.
    OPEN_CREATE_AT struct OpenCreateAtResp {
        /// The file.
        child: Inode,
        /// The new open FD.
        open_fd: FdId,
    }

    /// Gives FDs of any kind back; unknown ones are ignored.
    CLOSE struct CloseReq<'a> {
        /// The FDs.
        fds: FdArray<'a>,
    }
    /// Done.
    CLOSE struct CloseResp {}

    /// Makes the data of open FDs durable.
    FSYNC struct FSyncReq<'a> {
        /// Open FDs.
        fds: FdArray<'a>,
    }
    /// Done.
    FSYNC struct FSyncResp {}

    /// What stands before the data of a PWrite request.
    PWRITE struct PWriteHead {
        /// Where to write, in bytes.
        offset: u64,
        /// An open FD.
        fd: FdId,
        /// Bytes that follow.
        count: u32,
    }
    /// How much was written.
    PWRITE struct PWriteResp {
        /// Bytes, from the start of the data.
        count: u64,
    }

    /// Reads from an open FD.
    PREAD struct PReadReq {
        /// Where to read, in bytes.
        offset: u64,
        /// An open FD.
        fd: FdId,
        /// Bytes wanted.
        count: u32,
        /// Zero.
        pad: Pad<4>,
    }
    /// What stands before the data of a PRead answer.
    PREAD struct PReadHead {
        /// Bytes that follow; zero at the end of the file.
        count: u64,
    }

    /// Makes a directory.
    MKDIR_AT struct MkdirAtReq<'a> {
        /// Directory, owner and permissions.
        common: CreateCommon,
        /// The new name.
        name: RawName<'a>,
    }
    /// The new directory.
    MKDIR_AT struct MkdirAtResp {
        /// The directory.
        child: Inode,
    }

    /// Makes a file of any type but directory and symbolic link.
    MKNOD_AT struct MknodAtReq<'a> {
        /// Directory, owner, type and permissions.
        common: CreateCommon,
        /// Minor number of a device node. It stands before the major one.
        minor: u32,
        /// Major number of a device node.
        major: u32,
        /// The new name.
        name: RawName<'a>,
    }
    /// The new file.
    MKNOD_AT struct MknodAtResp {
        /// The file.
        child: Inode,
    }

    /// Makes a symbolic link.
    SYMLINK_AT struct SymlinkAtReq<'a> {
        /// The directory.
        dir: FdId,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// The new name.
        name: RawName<'a>,
        /// Where it leads.
        target: &'a [u8],
    }
    /// The new symbolic link.
    SYMLINK_AT struct SymlinkAtResp {
        /// The link.
        symlink: Inode,
    }

    /// Makes a hard link.
    LINK_AT struct LinkAtReq<'a> {
        /// The directory.
        dir: FdId,
        /// Control FD of the file.
        target: FdId,
        /// The new name.
        name: RawName<'a>,
    }
    /// The file under its new name.
    LINK_AT struct LinkAtResp {
        /// The file.
        link: Inode,
    }

    /// Asks for statistics of the file system.
    FSTATFS struct FStatFsReq {
        /// A control FD.
        fd: FdId,
    }
    /// Statistics of the file system.
    FSTATFS struct FStatFsResp {
        /// The statistics.
        stat: StatFs,
    }

    /// Reserves or frees space.
    FALLOCATE struct FAllocateReq {
        /// An open FD.
        fd: FdId,
        /// `FALLOC_FL_*` bits.
        mode: u64,
        /// Start in bytes.
        offset: u64,
        /// Length in bytes.
        length: u64,
    }
    /// Done.
    FALLOCATE struct FAllocateResp {}

    /// Looks for data or a hole.
    LSEEK struct LSeekReq {
        /// An open FD.
        fd: FdId,
        /// Where to begin, in bytes.
        offset: u64,
        /// `SEEK_DATA` or `SEEK_HOLE`.
        whence: u32,
        /// Padding.
        pad: Pad<4>,
    }
    /// Where it is.
    LSEEK struct LSeekResp {
        /// The offset in bytes.
        offset: u64,
    }

    /// Asks where a symbolic link leads.
    READ_LINK_AT struct ReadLinkAtReq {
        /// A control FD.
        fd: FdId,
    }
    /// Where a symbolic link leads.
    READ_LINK_AT struct ReadLinkAtResp<'a> {
        /// The target.
        target: &'a [u8],
    }

    /// Sent when a writable FD is closed by the application.
    FLUSH struct FlushReq {
        /// An open FD.
        fd: FdId,
    }
    /// Done.
    FLUSH struct FlushResp {}

    /// Connects to a socket in the file system; the connected socket is donated.
    CONNECT struct ConnectReq {
        /// Control FD of the socket.
        fd: FdId,
        /// `SOCK_*`, or zero for any.
        sock_type: u32,
        /// Zero.
        pad: Pad<4>,
    }
    /// Done.
    CONNECT struct ConnectResp {}

    /// Removes a name.
    UNLINK_AT struct UnlinkAtReq<'a> {
        /// The directory.
        dir: FdId,
        /// Zero, or `AT_REMOVEDIR` for directories.
        flags: u32,
        /// The name.
        name: RawName<'a>,
    }
    /// Done.
    UNLINK_AT struct UnlinkAtResp {}

    /// Renames.
    RENAME_AT struct RenameAtReq<'a> {
        /// Directory of the old name.
        old_dir: FdId,
        /// Directory of the new name.
        new_dir: FdId,
        /// The old name.
        old_name: RawName<'a>,
        /// The new name.
        new_name: RawName<'a>,
    }
    /// Done.
    RENAME_AT struct RenameAtResp {}

    /// Lists a directory from where the last call stopped.
    GETDENTS64 struct Getdents64Req {
        /// Open FD of a directory.
        dir: FdId,
        /// Bytes of the listing in the kernel's own layout; negative: from the start again.
        count: i32,
        /// Zero.
        pad: Pad<4>,
    }
    /// Part of a directory.
    GETDENTS64 struct Getdents64Resp<'a> {
        /// The entries; none at the end.
        dirents: Dirents<'a>,
    }

    /// Reads an extended attribute.
    FGET_XATTR struct FGetXattrReq<'a> {
        /// A control FD.
        fd: FdId,
        /// Room for the value in bytes; zero: as large as needed.
        buf_size: u32,
        /// Name with its namespace.
        name: &'a [u8],
    }
    /// The value of an extended attribute.
    FGET_XATTR struct FGetXattrResp<'a> {
        /// The value.
        value: &'a [u8],
    }

    /// Writes an extended attribute.
    FSET_XATTR struct FSetXattrReq<'a> {
        /// A control FD.
        fd: FdId,
        /// `XATTR_CREATE`, `XATTR_REPLACE` or zero.
        flags: u32,
        /// Name with its namespace.
        name: &'a [u8],
        /// The value.
        value: &'a [u8],
    }
    /// Done.
    FSET_XATTR struct FSetXattrResp {}

    /// Lists the names of extended attributes.
    FLIST_XATTR struct FListXattrReq {
        /// A control FD.
        fd: FdId,
        /// Room for the names in bytes, each with a NUL; zero: as large as needed.
        size: u64,
    }
    /// Names of extended attributes.
    FLIST_XATTR struct FListXattrResp<'a> {
        /// The names.
        names: StringArray<'a>,
    }

    /// Removes an extended attribute.
    FREMOVE_XATTR struct FRemoveXattrReq<'a> {
        /// A control FD.
        fd: FdId,
        /// Name with its namespace.
        name: &'a [u8],
    }
    /// Done.
    FREMOVE_XATTR struct FRemoveXattrResp {}

    /// Binds a UNIX socket to a name; the socket is donated for polling.
    BIND_AT struct BindAtReq<'a> {
        /// Directory, owner and permissions.
        common: CreateCommon,
        /// `SOCK_*`.
        sock_type: u32,
        /// The new name.
        name: RawName<'a>,
    }
    /// The bound socket.
    BIND_AT struct BindAtResp {
        /// Its file.
        child: Inode,
        /// The new bound-socket FD.
        bound_socket_fd: FdId,
    }

    /// Starts listening.
    LISTEN struct ListenReq {
        /// A bound-socket FD.
        fd: FdId,
        /// As in `listen(2)`.
        backlog: i32,
        /// Anything: upstream's client leaves old bytes here.
        pad: Pad<4>,
    }
    /// Done.
    LISTEN struct ListenResp {}

    /// Takes a waiting connection; the connected socket is donated.
    ACCEPT struct AcceptReq {
        /// A bound-socket FD.
        fd: FdId,
    }
    /// The accepted connection.
    ACCEPT struct AcceptResp<'a> {
        /// Address of the peer; empty in practice.
        peer_addr: &'a [u8],
    }

    /// Connects as another user.
    CONNECT_WITH_CREDS struct ConnectWithCredsReq {
        /// Control FD of the socket.
        fd: FdId,
        /// `SOCK_*`, or zero for any.
        sock_type: u32,
        /// Zero.
        pad: Pad<4>,
        /// Effective user.
        uid: u32,
        /// Effective group.
        gid: u32,
    }
    /// Done.
    CONNECT_WITH_CREDS struct ConnectWithCredsResp {}

    /// Renames with flags.
    RENAME_AT2 struct RenameAt2Req<'a> {
        /// Directory of the old name.
        old_dir: FdId,
        /// Directory of the new name.
        new_dir: FdId,
        /// The old name.
        old_name: RawName<'a>,
        /// The new name.
        new_name: RawName<'a>,
        /// `RENAME_NOREPLACE` or `RENAME_EXCHANGE`.
        flags: u32,
    }
    /// Done.
    RENAME_AT2 struct RenameAt2Resp {}
}

impl<'a> Message<'a> for Statx {
    const ID: MessageId = MessageId::FSTAT;
}

impl PWriteHead {
    /// Bytes of the head.
    pub const SIZE: usize = 20;
}

impl PReadHead {
    /// Bytes of the head.
    pub const SIZE: usize = 8;
}

/// A whole PWrite request with its data in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PWriteReq<'a> {
    /// Where to write, in bytes.
    pub offset: u64,
    /// An open FD.
    pub fd: FdId,
    /// What to write.
    pub data: &'a [u8],
}

impl<'a> Message<'a> for PWriteReq<'a> {
    const ID: MessageId = MessageId::PWRITE;
}

impl<'a> Wire<'a> for PWriteReq<'a> {
    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let head = PWriteHead::decode(from)?;
        let count = usize::try_from(head.count).map_err(|_| Malformed)?;
        Ok(PWriteReq { offset: head.offset, fd: head.fd, data: from.take(count)? })
    }

    fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit> {
        let data = self.encode_head(to)?;
        to.put(data)
    }

    fn encode_head(&self, to: &mut (impl Sink + ?Sized)) -> Result<&[u8], DoesNotFit> {
        let count = u32::try_from(self.data.len()).map_err(|_| DoesNotFit)?;
        PWriteHead { offset: self.offset, fd: self.fd, count }.encode(to)?;
        Ok(self.data)
    }
}

/// A whole PRead answer with its data in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PReadResp<'a> {
    /// What was read; empty at the end of the file.
    pub data: &'a [u8],
}

impl<'a> Message<'a> for PReadResp<'a> {
    const ID: MessageId = MessageId::PREAD;
}

impl<'a> Wire<'a> for PReadResp<'a> {
    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let head = PReadHead::decode(from)?;
        let count = usize::try_from(head.count).map_err(|_| Malformed)?;
        Ok(PReadResp { data: from.take(count)? })
    }

    fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit> {
        let count = u64::try_from(self.data.len()).map_err(|_| DoesNotFit)?;
        PReadHead { count }.encode(to)?;
        to.put(self.data)
    }
}

/// How a walk ended.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkStatus {
    /// All names were walked.
    Success = 0,
    /// A name does not exist.
    DoesNotExist = 1,
    /// A symbolic link stands in the way; it is the last inode.
    Symlink = 2,
}

impl TryFrom<u8> for WalkStatus {
    type Error = Malformed;

    fn try_from(status: u8) -> Result<Self, Malformed> {
        match status {
            0 => Ok(WalkStatus::Success),
            1 => Ok(WalkStatus::DoesNotExist),
            2 => Ok(WalkStatus::Symlink),
            _ => Err(Malformed),
        }
    }
}
