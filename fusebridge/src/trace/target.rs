//! What a request is about: the files and names in it.

use lisafs::wire::message::{
    AcceptReq, BindAtReq, CloseReq, ConnectReq, ConnectWithCredsReq, FAllocateReq, FGetXattrReq, FListXattrReq,
    FRemoveXattrReq, FSetXattrReq, FStatFsReq, FStatReq, FSyncReq, FlushReq, Getdents64Req, LSeekReq, LinkAtReq,
    ListenReq, MkdirAtReq, MknodAtReq, OpenAtReq, OpenCreateAtReq, PReadReq, PWriteHead, ReadLinkAtReq, RenameAt2Req,
    RenameAtReq, SetStatReq, SymlinkAtReq, UnlinkAtReq, WalkReq, WalkStatReq,
};
use lisafs::wire::{FdId, Malformed, MessageId, StringArray, Wire};

/// A file or name in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// What an FD stands for.
    Fd(FdId),
    /// A name in a directory.
    Entry(FdId, &'a [u8]),
    /// Names one after the other.
    Walk(FdId, StringArray<'a>),
}

/// What `request` of the kind `message` is about, in the order of its fields. Nothing is known about messages that the
/// protocol does not define.
pub(super) fn targets(message: MessageId, request: &[u8]) -> Result<Vec<Target<'_>>, Malformed> {
    use Target::{Entry, Fd, Walk};
    Ok(match message {
        MessageId::FSTAT => vec![Fd(FStatReq::from_bytes(request)?.fd)],
        MessageId::SET_STAT => vec![Fd(SetStatReq::from_bytes(request)?.fd)],
        MessageId::WALK => {
            let request = WalkReq::from_bytes(request)?;
            vec![Walk(request.dir, request.path)]
        }
        MessageId::WALK_STAT => {
            let request = WalkStatReq::from_bytes(request)?;
            vec![Walk(request.dir, request.path)]
        }
        MessageId::OPEN_AT => vec![Fd(OpenAtReq::from_bytes(request)?.fd)],
        MessageId::OPEN_CREATE_AT => {
            let request = OpenCreateAtReq::from_bytes(request)?;
            vec![Entry(request.common.dir, request.name)]
        }
        MessageId::CLOSE => CloseReq::from_bytes(request)?.fds.iter().map(Fd).collect(),
        MessageId::FSYNC => FSyncReq::from_bytes(request)?.fds.iter().map(Fd).collect(),
        MessageId::PWRITE => vec![Fd(PWriteHead::from_bytes(request)?.fd)],
        MessageId::PREAD => vec![Fd(PReadReq::from_bytes(request)?.fd)],
        MessageId::MKDIR_AT => {
            let request = MkdirAtReq::from_bytes(request)?;
            vec![Entry(request.common.dir, request.name)]
        }
        MessageId::MKNOD_AT => {
            let request = MknodAtReq::from_bytes(request)?;
            vec![Entry(request.common.dir, request.name)]
        }
        MessageId::SYMLINK_AT => {
            let request = SymlinkAtReq::from_bytes(request)?;
            vec![Entry(request.dir, request.name)]
        }
        MessageId::LINK_AT => {
            let request = LinkAtReq::from_bytes(request)?;
            vec![Fd(request.target), Entry(request.dir, request.name)]
        }
        MessageId::FSTATFS => vec![Fd(FStatFsReq::from_bytes(request)?.fd)],
        MessageId::FALLOCATE => vec![Fd(FAllocateReq::from_bytes(request)?.fd)],
        MessageId::LSEEK => vec![Fd(LSeekReq::from_bytes(request)?.fd)],
        MessageId::READ_LINK_AT => vec![Fd(ReadLinkAtReq::from_bytes(request)?.fd)],
        MessageId::FLUSH => vec![Fd(FlushReq::from_bytes(request)?.fd)],
        MessageId::CONNECT => vec![Fd(ConnectReq::from_bytes(request)?.fd)],
        MessageId::UNLINK_AT => {
            let request = UnlinkAtReq::from_bytes(request)?;
            vec![Entry(request.dir, request.name)]
        }
        MessageId::RENAME_AT => {
            let request = RenameAtReq::from_bytes(request)?;
            vec![Entry(request.old_dir, request.old_name), Entry(request.new_dir, request.new_name)]
        }
        MessageId::GETDENTS64 => vec![Fd(Getdents64Req::from_bytes(request)?.dir)],
        MessageId::FGET_XATTR => vec![Fd(FGetXattrReq::from_bytes(request)?.fd)],
        MessageId::FSET_XATTR => vec![Fd(FSetXattrReq::from_bytes(request)?.fd)],
        MessageId::FLIST_XATTR => vec![Fd(FListXattrReq::from_bytes(request)?.fd)],
        MessageId::FREMOVE_XATTR => vec![Fd(FRemoveXattrReq::from_bytes(request)?.fd)],
        MessageId::BIND_AT => {
            let request = BindAtReq::from_bytes(request)?;
            vec![Entry(request.common.dir, request.name)]
        }
        MessageId::LISTEN => vec![Fd(ListenReq::from_bytes(request)?.fd)],
        MessageId::ACCEPT => vec![Fd(AcceptReq::from_bytes(request)?.fd)],
        MessageId::CONNECT_WITH_CREDS => vec![Fd(ConnectWithCredsReq::from_bytes(request)?.fd)],
        MessageId::RENAME_AT2 => {
            let request = RenameAt2Req::from_bytes(request)?;
            vec![Entry(request.old_dir, request.old_name), Entry(request.new_dir, request.new_name)]
        }
        _ => Vec::new(),
    })
}
