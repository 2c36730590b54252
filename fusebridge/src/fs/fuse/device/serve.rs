//! Each request, done and answered.
//!
//! If nobody waits for the answer any more, what the kernel would have been told of is given back: files that it does
//! not know of, and open ones that it will not close; and names that have changed without its knowledge are doubted.

use lisafs::backend::SetStat;
use lisafs::wire::Timespec;
use zerocopy::FromZeros;

use super::encode::{Listing, attr_out, entry_out, open_out, statx_out};
use super::end::Backing;
use super::reply::Reply;
use super::slot::GivingUp;
use crate::fs::bridge::{Result, permissions};
use crate::fs::caller::Caller;
use crate::fs::flags::{ACCESS_MODE, TRUNCATE};
use crate::fs::fuse::abi::{
    CopyOut, CreateOut, EntryOut, GetXattrOut, InHeader, LSeekOut, READ_LOCKOWNER, SetAttrIn, StatFsOut, WRITE_CACHE,
    WRITE_KILL_SUIDGID, WriteOut, valid,
};
use crate::fs::fuse::convert::split_device;
use crate::fs::fuse::handler::{Handler, Looked, Opened, Told, XattrReply, small_statistics, xattr_reply};
use crate::fs::fuse::request::{Operation, Request};
use crate::fs::identity::NodeId;

/// What becomes of `operation` if its caller is interrupted.
pub(super) fn giving_up(operation: &Operation<'_>) -> GivingUp {
    use Operation as O;
    match operation {
        O::Write(..) => GivingUp::InOrder,
        O::Lookup { .. }
        | O::GetAttr
        | O::Statx(_)
        | O::ReadLink
        | O::Open(_)
        | O::Read(_)
        | O::StatFs
        | O::FSync(_)
        | O::GetXattr { .. }
        | O::ListXattr { .. }
        | O::Flush(_)
        | O::OpenDir(_)
        | O::ReadDir(_)
        | O::ReadDirPlus(_)
        | O::FSyncDir(_)
        | O::LSeek(_) => GivingUp::Freely,
        _ => GivingUp::Never,
    }
}

/// Whether `operation` depends on what the file's content is.
pub(super) fn follows_changes(operation: &Operation<'_>) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::GetAttr
            | O::Statx(_)
            | O::SetAttr(_)
            | O::Open(_)
            | O::Read(_)
            | O::Write(..)
            | O::FSync(_)
            | O::Flush(_)
            | O::FAllocate(_)
            | O::LSeek(_)
            | O::CopyFileRange(_)
            | O::CopyFileRange64(_)
    )
}

/// Whether `operation`, which asks for no attributes, leaves all of them as they are, but for times of access. A file that
/// is open for writing may be written without a request.
fn changes_nothing(operation: &Operation<'_>) -> bool {
    use Operation as O;
    match operation {
        O::Open(open) => open.flags & (TRUNCATE | ACCESS_MODE) == 0,
        O::ReadLink
        | O::Read(_)
        | O::StatFs
        | O::GetXattr { .. }
        | O::ListXattr { .. }
        | O::OpenDir(_)
        | O::ReadDir(_)
        | O::ReadDirPlus(_)
        | O::Release(_)
        | O::ReleaseDir(_)
        | O::LSeek(_) => true,
        _ => false,
    }
}

/// Does what `request` asks for.
pub(super) fn serve(handler: &Handler<Backing>, request: &Request<'_>, reply: &Reply<'_>) {
    use Operation as O;
    let id = NodeId(request.header.node);
    let (thread, moments) = (request.header.pid, handler.moments());
    let (mut begun, mut recalled, mut _changing) = (None, None, None);
    match &request.operation {
        O::Lookup { .. } => begun = Some(moments.begin(thread)),
        O::Statx(_) => recalled = moments.recall(thread, id),
        // Where the kernel remembers what it was told with the name, it has a reason not to believe that.
        O::GetAttr if !handler.lets_remember() => recalled = moments.recall(thread, id),
        operation if matches!(operation, O::GetAttr) || changes_nothing(operation) => moments.end(thread),
        _ => {
            let of_walks = (!handler.lets_remember()).then(|| handler.bridge.walks.changing());
            _changing = Some((moments.changing(), of_walks));
        }
    }
    let getattr = || recalled.map_or_else(|| handler.getattr(id), Ok);
    let caller = |umask| handler.asking(caller(&request.header, umask));
    let settle = |is_told: bool, names: &[(NodeId, &[u8])]| {
        if !is_told {
            handler.bridge.doubt(names);
        }
    };
    match request.operation {
        O::Lookup { name } => match handler.lookup(id, name) {
            Ok(Looked::Up(told)) => {
                if let Some(begun) = begun.filter(|_| !handler.may_change(told.id)) {
                    moments.remember(thread, told, begun);
                }
                entry(handler, reply, Ok(told));
            }
            Ok(Looked::Missing(ttl)) => {
                // Number 0 says that the name does not exist, and lets the kernel remember that.
                let missing = EntryOut { entry_valid: ttl.as_secs(), entry_valid_nsec: ttl.subsec_nanos(), ..zeros() };
                reply.body(&missing);
            }
            Err(error) => reply.refuse(error),
        },
        O::GetAttr => attributes(reply, getattr()),
        O::Statx(_) => match getattr() {
            Ok(told) => {
                reply.body(&statx_out(&told));
            }
            Err(error) => reply.refuse(error),
        },
        O::SetAttr(change) => {
            let handle = (change.valid & valid::HANDLE != 0).then_some(change.handle);
            attributes(reply, handler.setattr(id, handle, &set_stat(&change)));
        }
        O::ReadLink => bytes(reply, handler.bridge.readlink(id)),
        O::Symlink { name, target } => {
            let made = handler.bridge.symlink(id, name, target, caller(0));
            let is_told = entry(handler, reply, made.map(|entry| handler.tell(entry)));
            settle(is_told, &[(id, name)]);
        }
        O::MkNod(node, name) => {
            let made = handler.bridge.mknod(id, name, node.mode, split_device(node.device), caller(node.umask));
            let is_told = entry(handler, reply, made.map(|entry| handler.tell(entry)));
            settle(is_told, &[(id, name)]);
        }
        O::MkDir(dir, name) => {
            let made = handler.bridge.mkdir(id, name, dir.mode, caller(dir.umask));
            let is_told = entry(handler, reply, made.map(|entry| handler.tell(entry)));
            settle(is_told, &[(id, name)]);
        }
        O::Unlink { name } => settle(reply.tell_done(handler.bridge.unlink(id, name, false)), &[(id, name)]),
        O::RmDir { name } => settle(reply.tell_done(handler.bridge.unlink(id, name, true)), &[(id, name)]),
        O::Rename { to, name, new_name } => {
            let names = [(id, name), (NodeId(to.new_parent), new_name)];
            settle(reply.tell_done(handler.bridge.rename(names[0], names[1], to.flags)), &names);
        }
        O::Link(link, name) => {
            let made = handler.bridge.link(NodeId(link.old), id, name);
            let is_told = entry(handler, reply, made.map(|entry| handler.tell(entry)));
            settle(is_told, &[(id, name)]);
        }
        O::Open(open) => {
            let opened = handler.open(id, request.header.pid, open.flags, |file| reply.register(file));
            opened_file(reply, opened, |opened| handler.release(id, opened.handle));
        }
        O::OpenDir(open) => {
            let opened = handler.opendir(id, request.header.pid, open.flags);
            opened_file(reply, opened, |opened| handler.releasedir(id, opened.handle));
        }
        O::Create(create, name) => {
            let modes = (create.mode, create.flags);
            match handler.create((id, name), modes, caller(create.umask), |file| reply.register(file)) {
                Ok((told, opened)) => {
                    if !reply.body(&CreateOut { entry: entry_out(&told), open: open_out(&opened) }) {
                        handler.release(told.id, opened.handle);
                        handler.bridge.forget(told.id, 1);
                        settle(false, &[(id, name)]);
                    }
                }
                Err(error) => reply.refuse(error),
            }
        }
        O::Read(read) => {
            // The kernel says who reads unless it is for its cache.
            let is_for_cache = read.read_flags & READ_LOCKOWNER == 0;
            let send = |data: lisafs::iobuf::IoSource<'_>| reply.data(data);
            if let Err(error) = handler.read((id, read.handle), read.offset, read.size, is_for_cache, send) {
                reply.refuse(error);
            }
        }
        O::Write(write, data) => {
            let (is_cache, kills) = (write.write_flags & WRITE_CACHE != 0, write.write_flags & WRITE_KILL_SUIDGID != 0);
            written(reply, handler.write((id, write.handle), write.offset, data, (is_cache, kills, write.flags)));
        }
        O::StatFs => match handler.statfs(id) {
            Ok(stat) => {
                let (block_size, name_length) = small_statistics(&stat);
                reply.body(&StatFsOut {
                    blocks: stat.blocks,
                    free: stat.blocks_free,
                    available: stat.blocks_available,
                    files: stat.files,
                    files_free: stat.files_free,
                    block_size,
                    name_length,
                    fragment_size: block_size,
                    ..zeros()
                });
            }
            Err(error) => reply.refuse(error),
        },
        O::Release(release) => {
            handler.release(id, release.handle);
            reply.done(Ok(()));
        }
        O::ReleaseDir(release) => {
            handler.releasedir(id, release.handle);
            reply.done(Ok(()));
        }
        O::FSync(sync) | O::FSyncDir(sync) => reply.done(handler.fsync(sync.handle)),
        O::Flush(flush) => reply.done(handler.flush(flush.handle)),
        O::SetXattr { flags, name, value } => reply.done(handler.setxattr(id, name, value, flags, caller(0))),
        O::GetXattr { size, name } => value(reply, handler.getxattr(id, name), size),
        O::ListXattr { size } => value(reply, handler.listxattr(id, caller(0)), size),
        O::RemoveXattr { name } => reply.done(handler.removexattr(id, name)),
        O::ReadDir(read) => {
            let mut listing = Listing::new(read.size);
            listed(reply, handler.readdir((id, read.handle), read.offset, &mut listing), &listing);
        }
        O::ReadDirPlus(read) => {
            let mut listing = Listing::new(read.size);
            let result = handler.readdirplus((id, read.handle), read.offset, &mut listing);
            if !listed(reply, result, &listing) {
                listing.known().iter().for_each(|id| handler.bridge.forget(*id, 1));
            }
        }
        O::FAllocate(range) => {
            reply.done(handler.fallocate((id, range.handle), range.mode, range.offset, range.length));
        }
        O::LSeek(seek) => match handler.lseek((id, seek.handle), seek.offset, seek.whence) {
            Ok(offset) => {
                reply.body(&LSeekOut { offset });
            }
            Err(error) => reply.refuse(error),
        },
        O::CopyFileRange(copy) => {
            let (from, to) = ((copy.from, copy.from_offset), (copy.to, copy.to_offset));
            written(reply, handler.copy(from, NodeId(copy.node), to, copy.length));
        }
        O::CopyFileRange64(copy) => {
            let (from, to) = ((copy.from, copy.from_offset), (copy.to, copy.to_offset));
            match handler.copy(from, NodeId(copy.node), to, copy.length) {
                Ok(copied) => {
                    reply.body(&CopyOut { copied: copied.into() });
                }
                Err(error) => reply.refuse(error),
            }
        }
        O::Unknown => reply.refuse(lisafs::Errno::NOSYS),
        // It comes once, before all others. The rest has been seen to.
        O::Init(..) | O::Forget(_) | O::BatchForget(_) | O::Interrupt(_) | O::Destroy | O::NotifyReply => {
            reply.refuse(lisafs::Errno::IO);
        }
    }
}

fn caller(header: &InHeader, umask: u32) -> Caller {
    Caller { umask, pid: header.pid, ..Caller::new(header.uid, header.gid) }
}

fn zeros<T: FromZeros>() -> T {
    T::new_zeroed()
}

/// Answers with a file. `false`: nobody waits for that any more.
fn entry(handler: &Handler<Backing>, reply: &Reply<'_>, told: Result<Told>) -> bool {
    match told {
        Ok(told) => {
            let is_told = reply.body(&entry_out(&told));
            if !is_told {
                handler.bridge.forget(told.id, 1);
            }
            is_told
        }
        Err(error) => {
            reply.refuse(error);
            true
        }
    }
}

fn attributes(reply: &Reply<'_>, told: Result<Told>) {
    match told {
        Ok(told) => {
            reply.body(&attr_out(&told));
        }
        Err(error) => reply.refuse(error),
    }
}

fn bytes(reply: &Reply<'_>, result: Result<Vec<u8>>) {
    match result {
        Ok(bytes) => {
            reply.bytes(&bytes);
        }
        Err(error) => reply.refuse(error),
    }
}

fn opened_file(reply: &Reply<'_>, opened: Result<Opened<Backing>>, close: impl FnOnce(&Opened<Backing>)) {
    match opened {
        Ok(opened) => {
            if !reply.body(&open_out(&opened)) {
                close(&opened);
            }
        }
        Err(error) => reply.refuse(error),
    }
}

fn written(reply: &Reply<'_>, written: Result<u32>) {
    match written {
        Ok(size) => {
            reply.body(&WriteOut { size, padding: 0 });
        }
        Err(error) => reply.refuse(error),
    }
}

fn value(reply: &Reply<'_>, value: Result<Vec<u8>>, size: u32) {
    match value.and_then(|value| xattr_reply(value, size)) {
        Ok(XattrReply::Length(size)) => {
            reply.body(&GetXattrOut { size, padding: 0 });
        }
        Ok(XattrReply::Value(value)) => {
            reply.bytes(&value);
        }
        Err(error) => reply.refuse(error),
    }
}

/// `false`: nobody has got the listing.
fn listed(reply: &Reply<'_>, result: Result<()>, listing: &Listing) -> bool {
    match result {
        Ok(()) => reply.bytes(listing.bytes()),
        Err(error) => {
            reply.refuse(error);
            false
        }
    }
}

fn set_stat(change: &SetAttrIn) -> SetStat {
    let has = |flag| change.valid & flag != 0;
    let time = |flag, now, sec, nsec: u32| match (has(flag), has(now)) {
        (true, true) => Some(Timespec { sec: 0, nsec: Timespec::UTIME_NOW }),
        (true, false) => Some(Timespec { sec, nsec: nsec.into() }),
        (false, _) => None,
    };
    SetStat::new()
        .mode(has(valid::MODE).then(|| permissions(change.mode)))
        .uid(has(valid::UID).then_some(change.uid))
        .gid(has(valid::GID).then_some(change.gid))
        .size(has(valid::SIZE).then_some(change.size))
        .atime(time(valid::ATIME, valid::ATIME_NOW, change.atime, change.atime_nsec))
        .mtime(time(valid::MTIME, valid::MTIME_NOW, change.mtime, change.mtime_nsec))
}
