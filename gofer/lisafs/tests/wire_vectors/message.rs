//! Requests and responses.

use lisafs::wire::message::*;
use lisafs::wire::{Inode, Message, MessageId, Statx};
use serde_json::{Value, json};

use crate::entry::{Entry, to_hex};
use crate::layout::{check, create, dirent, fds, inode, recode, statx, text, texts, timespec};

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

/// Generates, from one table of all messages, the check of an entry and [`recode_payload`].
macro_rules! messages {
    ($($direction:ident $name:literal $type:ty, $describe:expr;)*) => {
        /// Checks the encoding of one message against its entry.
        pub(crate) fn check(entry: &Entry, direction: Direction) {
            match (direction, entry.message.as_str()) {
                $((Direction::$direction, $name) => {
                    assert_eq!(entry.mid, Some(<$type as Message<'_>>::ID), "{entry}");
                    assert_eq!(<$type as Message<'_>>::ID.name(), Some($name));
                    check!(entry, $type, $describe);
                })*
                _ => panic!("unknown message: {entry}"),
            }
        }

        /// What our codec makes of a payload: decoded, and encoded again.
        pub(crate) fn recode_payload(id: MessageId, direction: Direction, payload: &[u8]) -> Vec<u8> {
            match (direction, id.name()) {
                $((Direction::$direction, Some($name)) => recode::<$type>(payload),)*
                _ => panic!("unknown {direction:?} {id:?}"),
            }
        }
    };
}

/// The description of a message without fields.
fn nothing<T>(_: &T) -> Value {
    json!({})
}

messages! {
    Response "Error" ErrorResp, |m: &ErrorResp| json!({ "errno": m.errno });

    Request "Mount" MountReq, nothing;
    Response "Mount" MountResp<'_>, |m: &MountResp<'_>| json!({
        "root": inode(&m.root),
        "max_message_size": m.max_message_size,
        "supported": m.supported.iter().collect::<Vec<_>>(),
    });

    Request "Channel" ChannelReq, nothing;
    Response "Channel" ChannelResp, |m: &ChannelResp| json!({
        "data_offset": m.data_offset,
        "data_length": m.data_length,
    });

    Request "FStat" FStatReq, |m: &FStatReq| json!({ "fd": m.fd.0 });
    Response "FStat" Statx, statx;

    Request "SetStat" SetStatReq, |m: &SetStatReq| json!({
        "fd": m.fd.0,
        "mask": m.mask.bits(),
        "mode": m.mode,
        "uid": m.uid,
        "gid": m.gid,
        "size": m.size,
        "atime": timespec(&m.atime),
        "mtime": timespec(&m.mtime),
    });
    Response "SetStat" SetStatResp, |m: &SetStatResp| json!({
        "failure_mask": m.failure_mask.bits(),
        "failure_errno": m.failure_errno,
    });

    Request "Walk" WalkReq<'_>, |m: &WalkReq<'_>| json!({ "dir_fd": m.dir.0, "path": texts(&m.path) });
    Response "Walk" WalkResp<'_>, |m: &WalkResp<'_>| {
        WalkStatus::try_from(m.status).unwrap();
        json!({ "status": m.status, "inodes": m.inodes.iter().map(|i: Inode| inode(&i)).collect::<Vec<_>>() })
    };

    Request "WalkStat" WalkStatReq<'_>, |m: &WalkStatReq<'_>| json!({ "dir_fd": m.dir.0, "path": texts(&m.path) });
    Response "WalkStat" WalkStatResp<'_>, |m: &WalkStatResp<'_>| json!({
        "stats": m.stats.iter().map(|stat: Statx| statx(&stat)).collect::<Vec<_>>(),
    });

    Request "OpenAt" OpenAtReq, |m: &OpenAtReq| json!({ "fd": m.fd.0, "flags": m.flags });
    Response "OpenAt" OpenAtResp, |m: &OpenAtResp| json!({ "open_fd": m.open_fd.0 });

    Request "OpenCreateAt" OpenCreateAtReq<'_>, |m: &OpenCreateAtReq<'_>| {
        create(&m.common, json!({ "flags": m.flags, "name": text(m.name) }))
    };
    Response "OpenCreateAt" OpenCreateAtResp, |m: &OpenCreateAtResp| json!({
        "child": inode(&m.child),
        "new_fd": m.open_fd.0,
    });

    Request "Close" CloseReq<'_>, |m: &CloseReq<'_>| json!({ "fds": fds(&m.fds) });
    Response "Close" CloseResp, nothing;

    Request "FSync" FSyncReq<'_>, |m: &FSyncReq<'_>| json!({ "fds": fds(&m.fds) });
    Response "FSync" FSyncResp, nothing;

    Request "PWrite" PWriteReq<'_>, |m: &PWriteReq<'_>| json!({
        "offset": m.offset,
        "fd": m.fd.0,
        "num_bytes": m.data.len(),
        "data_hex": to_hex(m.data),
    });
    Response "PWrite" PWriteResp, |m: &PWriteResp| json!({ "count": m.count });

    Request "PRead" PReadReq, |m: &PReadReq| json!({ "offset": m.offset, "fd": m.fd.0, "count": m.count });
    Response "PRead" PReadResp<'_>, |m: &PReadResp<'_>| json!({
        "num_bytes": m.data.len(),
        "data_hex": to_hex(m.data),
    });

    Request "MkdirAt" MkdirAtReq<'_>, |m: &MkdirAtReq<'_>| create(&m.common, json!({ "name": text(m.name) }));
    Response "MkdirAt" MkdirAtResp, |m: &MkdirAtResp| json!({ "child_dir": inode(&m.child) });

    Request "MknodAt" MknodAtReq<'_>, |m: &MknodAtReq<'_>| {
        create(&m.common, json!({ "minor": m.minor, "major": m.major, "name": text(m.name) }))
    };
    Response "MknodAt" MknodAtResp, |m: &MknodAtResp| json!({ "child": inode(&m.child) });

    Request "SymlinkAt" SymlinkAtReq<'_>, |m: &SymlinkAtReq<'_>| json!({
        "dir_fd": m.dir.0,
        "uid": m.uid,
        "gid": m.gid,
        "name": text(m.name),
        "target": text(m.target),
    });
    Response "SymlinkAt" SymlinkAtResp, |m: &SymlinkAtResp| json!({ "symlink": inode(&m.symlink) });

    Request "LinkAt" LinkAtReq<'_>, |m: &LinkAtReq<'_>| json!({
        "dir_fd": m.dir.0,
        "target": m.target.0,
        "name": text(m.name),
    });
    Response "LinkAt" LinkAtResp, |m: &LinkAtResp| json!({ "link": inode(&m.link) });

    Request "FStatFS" FStatFsReq, |m: &FStatFsReq| json!({ "fd": m.fd.0 });
    Response "FStatFS" FStatFsResp, |m: &FStatFsResp| json!({
        "type": m.stat.kind,
        "block_size": m.stat.block_size,
        "blocks": m.stat.blocks,
        "blocks_free": m.stat.blocks_free,
        "blocks_available": m.stat.blocks_available,
        "files": m.stat.files,
        "files_free": m.stat.files_free,
        "name_length": m.stat.name_length,
    });

    Request "FAllocate" FAllocateReq, |m: &FAllocateReq| json!({
        "fd": m.fd.0,
        "mode": m.mode,
        "offset": m.offset,
        "length": m.length,
    });
    Response "FAllocate" FAllocateResp, nothing;

    Request "ReadLinkAt" ReadLinkAtReq, |m: &ReadLinkAtReq| json!({ "fd": m.fd.0 });
    Response "ReadLinkAt" ReadLinkAtResp<'_>, |m: &ReadLinkAtResp<'_>| json!({ "target": text(m.target) });

    Request "Flush" FlushReq, |m: &FlushReq| json!({ "fd": m.fd.0 });
    Response "Flush" FlushResp, nothing;

    Request "Connect" ConnectReq, |m: &ConnectReq| json!({ "fd": m.fd.0, "sock_type": m.sock_type });
    Response "Connect" ConnectResp, nothing;

    Request "UnlinkAt" UnlinkAtReq<'_>, |m: &UnlinkAtReq<'_>| json!({
        "dir_fd": m.dir.0,
        "flags": m.flags,
        "name": text(m.name),
    });
    Response "UnlinkAt" UnlinkAtResp, nothing;

    Request "RenameAt" RenameAtReq<'_>, |m: &RenameAtReq<'_>| json!({
        "old_dir": m.old_dir.0,
        "new_dir": m.new_dir.0,
        "old_name": text(m.old_name),
        "new_name": text(m.new_name),
    });
    Response "RenameAt" RenameAtResp, nothing;

    Request "Getdents64" Getdents64Req, |m: &Getdents64Req| json!({ "dir_fd": m.dir.0, "count": m.count });
    Response "Getdents64" Getdents64Resp<'_>, |m: &Getdents64Resp<'_>| {
        assert_eq!(m.dirents.iter().count(), m.dirents.len());
        json!({ "dirents": m.dirents.iter().map(|entry| dirent(&entry)).collect::<Vec<_>>() })
    };

    Request "FGetXattr" FGetXattrReq<'_>, |m: &FGetXattrReq<'_>| json!({
        "fd": m.fd.0,
        "buf_size": m.buf_size,
        "name": text(m.name),
    });
    Response "FGetXattr" FGetXattrResp<'_>, |m: &FGetXattrResp<'_>| json!({ "value_hex": to_hex(m.value) });

    Request "FSetXattr" FSetXattrReq<'_>, |m: &FSetXattrReq<'_>| json!({
        "fd": m.fd.0,
        "flags": m.flags,
        "name": text(m.name),
        "value_hex": to_hex(m.value),
    });
    Response "FSetXattr" FSetXattrResp, nothing;

    Request "FListXattr" FListXattrReq, |m: &FListXattrReq| json!({ "fd": m.fd.0, "size": m.size });
    Response "FListXattr" FListXattrResp<'_>, |m: &FListXattrResp<'_>| json!({ "xattrs": texts(&m.names) });

    Request "FRemoveXattr" FRemoveXattrReq<'_>, |m: &FRemoveXattrReq<'_>| json!({
        "fd": m.fd.0,
        "name": text(m.name),
    });
    Response "FRemoveXattr" FRemoveXattrResp, nothing;

    Request "BindAt" BindAtReq<'_>, |m: &BindAtReq<'_>| {
        create(&m.common, json!({ "sock_type": m.sock_type, "name": text(m.name) }))
    };
    Response "BindAt" BindAtResp, |m: &BindAtResp| json!({
        "child": inode(&m.child),
        "bound_socket_fd": m.bound_socket_fd.0,
    });

    Request "Listen" ListenReq, |m: &ListenReq| json!({ "fd": m.fd.0, "backlog": m.backlog });
    Response "Listen" ListenResp, nothing;

    Request "Accept" AcceptReq, |m: &AcceptReq| json!({ "fd": m.fd.0 });
    Response "Accept" AcceptResp<'_>, |m: &AcceptResp<'_>| json!({ "peer_addr": text(m.peer_addr) });

    Request "ConnectWithCreds" ConnectWithCredsReq, |m: &ConnectWithCredsReq| json!({
        "fd": m.fd.0,
        "sock_type": m.sock_type,
        "uid": m.uid,
        "gid": m.gid,
    });
    Response "ConnectWithCreds" ConnectWithCredsResp, nothing;

    Request "RenameAt2" RenameAt2Req<'_>, |m: &RenameAt2Req<'_>| json!({
        "old_dir": m.old_dir.0,
        "new_dir": m.new_dir.0,
        "old_name": text(m.old_name),
        "new_name": text(m.new_name),
        "flags": m.flags,
    });
    Response "RenameAt2" RenameAt2Resp, nothing;
}
