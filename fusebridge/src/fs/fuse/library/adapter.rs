//! The handler as the FUSE library wants it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fuser::{
    BackingId, CopyFileRangeFlags, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use lisafs::backend::SetStat;
use lisafs::iobuf::IoSource;
use lisafs::wire::Statx;

use super::convert::{
    attributes, caller, errno, file_type, node, reply_empty, reply_written, reply_xattr, time_to_set,
};
use super::data::Device;
use crate::fs::bridge::{Bridge, Entry, permissions};
use crate::fs::caller::Caller;
use crate::fs::fuse::abi::open::PASSTHROUGH;
use crate::fs::fuse::convert::split_device;
use crate::fs::fuse::handler::{
    Handler, Looked, MAX_BACKGROUND, MAX_WRITE, Names, NamesAndAttributes, Told, small_statistics,
};
use crate::fs::identity::NodeId;

/// A [`Handler`] that answers by the library.
pub(super) struct Adapter {
    handler: Handler<BackingId>,
    device: Device,
}

/// Numbers of files that could not be looked at, which no other file has: fuser 0.18 takes the inode number for that of
/// the kernel's file. As the kernel may not trust this one, it looks the name up when it is used.
static UNUSED: AtomicU64 = AtomicU64::new(u64::MAX);

/// All files are of one generation.
const GENERATION: Generation = Generation(0);

impl Adapter {
    /// An adapter for `bridge`. The kernel is offered to work on files that themselves lie `stack_depth` file systems
    /// deep; with 0 it never does. The requests come over `device`.
    pub(super) fn new(bridge: Arc<Bridge>, device: Device, stack_depth: u32) -> Self {
        Adapter { handler: Handler::new(bridge, stack_depth), device }
    }

    fn caller(&self, request: &Request) -> Caller {
        self.handler.asking(caller(request))
    }

    fn reply_made(&self, result: Result<Entry, lisafs::Errno>, reply: ReplyEntry) {
        reply_entry(result.map(|entry| self.handler.tell(entry)), reply);
    }
}

fn reply_entry(result: Result<Told, lisafs::Errno>, reply: ReplyEntry) {
    match result {
        Ok(told) => reply.entry(&told.ttl, &attributes(told.id, &told.stat), GENERATION),
        Err(error) => reply.error(errno(error)),
    }
}

fn reply_attributes(result: Result<Told, lisafs::Errno>, reply: ReplyAttr) {
    match result {
        Ok(told) => reply.attr(&told.ttl, &attributes(told.id, &told.stat)),
        Err(error) => reply.error(errno(error)),
    }
}

/// The library sets the flag that says so by itself.
fn open_flags(flags: u32) -> FopenFlags {
    FopenFlags::from_bits_retain(flags & !PASSTHROUGH)
}

impl Names for ReplyDirectory {
    fn add(&mut self, id: NodeId, next: u64, mode: u32, name: &[u8]) -> bool {
        !self.add(INodeNo(id.0), next, file_type(mode), OsStr::from_bytes(name))
    }
}

impl NamesAndAttributes for ReplyDirectoryPlus {
    fn room(&self) -> usize {
        // The library does not say.
        1
    }

    fn add(&mut self, known: Option<&Told>, id: NodeId, next: u64, mode: u32, name: &[u8]) -> bool {
        let is_dots = matches!(name, b"." | b"..");
        let (attr, ttl) = if let Some(told) = known {
            (attributes(told.id, &told.stat), told.ttl)
        } else {
            let id = if is_dots { id } else { NodeId(UNUSED.fetch_sub(1, Ordering::Relaxed)) };
            let [low, high, ..] = mode.to_le_bytes();
            (attributes(id, &Statx { mode: u16::from_le_bytes([low, high]), ..Statx::default() }), Duration::ZERO)
        };
        !self.add(attr.ino, next, OsStr::from_bytes(name), &ttl, &attr, GENERATION)
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let agreed = self.handler.negotiate(config.capabilities().bits());
        let _ = config.add_capabilities(InitFlags::from_bits_retain(agreed.flags));
        if agreed.stack_depth > 0 {
            let _ = config.set_max_stack_depth(agreed.stack_depth);
        }
        let _ = config.set_max_write(MAX_WRITE);
        let _ = config.set_max_background(MAX_BACKGROUND);
        Ok(())
    }

    fn destroy(&mut self) {
        self.handler.stop();
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.handler.lookup(node(parent), name.as_bytes()) {
            Ok(Looked::Up(told)) => reply_entry(Ok(told), reply),
            // Number 0 says that the name does not exist, and lets the kernel remember that.
            Ok(Looked::Missing(ttl)) => reply.entry(&ttl, &attributes(NodeId(0), &Statx::default()), GENERATION),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn forget(&self, _: &Request, ino: INodeNo, count: u64) {
        self.handler.bridge.forget(node(ino), count);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply_attributes(self.handler.getattr(node(ino)), reply);
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = SetStat::new()
            .mode(mode.map(permissions))
            .uid(uid)
            .gid(gid)
            .size(size)
            .atime(atime.map(time_to_set))
            .mtime(mtime.map(time_to_set));
        reply_attributes(self.handler.setattr(node(ino), handle.map(|handle| handle.0), &change), reply);
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.handler.bridge.readlink(node(ino)) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry) {
        let caller = Caller { umask, ..self.caller(req) };
        let result = self.handler.bridge.mknod(node(parent), name.as_bytes(), mode, split_device(rdev), caller);
        self.reply_made(result, reply);
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let caller = Caller { umask, ..self.caller(req) };
        self.reply_made(self.handler.bridge.mkdir(node(parent), name.as_bytes(), mode, caller), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.handler.bridge.unlink(node(parent), name.as_bytes(), false), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.handler.bridge.unlink(node(parent), name.as_bytes(), true), reply);
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let target = target.as_os_str().as_bytes();
        self.reply_made(self.handler.bridge.symlink(node(parent), name.as_bytes(), target, self.caller(req)), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (from, to) = ((node(parent), name.as_bytes()), (node(new_parent), new_name.as_bytes()));
        reply_empty(self.handler.bridge.rename(from, to, flags.bits()), reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, new_parent: INodeNo, new_name: &OsStr, reply: ReplyEntry) {
        self.reply_made(self.handler.bridge.link(node(ino), node(new_parent), new_name.as_bytes()), reply);
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let flags = flags.0.cast_unsigned();
        match self.handler.open(node(ino), req.pid(), flags, |file| reply.open_backing(file)) {
            Ok(opened) => {
                let (number, flags) = (FileHandle(opened.handle), open_flags(opened.flags));
                match opened.backing {
                    Some(backing) => reply.opened_passthrough(number, flags, &backing),
                    None => reply.opened(number, flags),
                }
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let caller = Caller { umask, ..self.caller(req) };
        let (place, modes) = ((node(parent), name.as_bytes()), (mode, flags.cast_unsigned()));
        match self.handler.create(place, modes, caller, |file| reply.open_backing(file)) {
            Ok((told, opened)) => {
                let (number, flags) = (FileHandle(opened.handle), open_flags(opened.flags));
                let attr = attributes(told.id, &told.stat);
                match opened.backing {
                    Some(backing) => {
                        reply.created_passthrough(&told.ttl, &attr, GENERATION, number, flags, &backing);
                    }
                    None => reply.created(&told.ttl, &attr, GENERATION, number, flags),
                }
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn read(
        &self,
        request: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut reply = Some(reply);
        let send = |data: IoSource<'_>| {
            if let Some(reply) = reply.take() {
                self.device.send(request.unique(), reply, data);
            }
        };
        // The kernel says who reads unless it is for its cache.
        let result = self.handler.read((node(ino), handle.0), offset, size, owner.is_none(), send);
        if let (Err(error), Some(reply)) = (result, reply) {
            reply.error(errno(error));
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        flags: WriteFlags,
        open_flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let is_cache = flags.contains(WriteFlags::FUSE_WRITE_CACHE);
        let kills = flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        let kind = (is_cache, kills, open_flags.0.cast_unsigned());
        reply_written(self.handler.write((node(ino), handle.0), offset, data, kind), reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, handle: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply_empty(self.handler.flush(handle.0), reply);
    }

    fn release(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.handler.release(node(ino), handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        reply_empty(self.handler.fsync(handle.0), reply);
    }

    fn opendir(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match self.handler.opendir(node(ino), req.pid(), flags.0.cast_unsigned()) {
            Ok(opened) => reply.opened(FileHandle(opened.handle), open_flags(opened.flags)),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.handler.readdir((node(ino), handle.0), offset, &mut reply);
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdirplus(&self, _: &Request, ino: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let listed = self.handler.readdirplus((node(ino), handle.0), offset, &mut reply);
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn releasedir(&self, _: &Request, ino: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.handler.releasedir(node(ino), handle.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        reply_empty(self.handler.fsync(handle.0), reply);
    }

    fn statfs(&self, _: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.handler.statfs(node(ino)) {
            Ok(stat) => {
                let (block, longest) = small_statistics(&stat);
                reply.statfs(
                    stat.blocks,
                    stat.blocks_free,
                    stat.blocks_available,
                    stat.files,
                    stat.files_free,
                    block,
                    longest,
                    block,
                );
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn setxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, value: &[u8], flags: i32, _: u32, reply: ReplyEmpty) {
        let set = self.handler.setxattr(node(ino), name.as_bytes(), value, flags.cast_unsigned(), self.caller(req));
        reply_empty(set, reply);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        reply_xattr(self.handler.getxattr(node(ino), name.as_bytes()), size, reply);
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        reply_xattr(self.handler.listxattr(node(ino), self.caller(req)), size, reply);
    }

    fn removexattr(&self, _: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.handler.removexattr(node(ino), name.as_bytes()), reply);
    }

    fn fallocate(
        &self,
        _: &Request,
        ino: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let range = (node(ino), handle.0);
        reply_empty(self.handler.fallocate(range, mode.cast_unsigned(), offset, length), reply);
    }

    fn lseek(&self, _: &Request, ino: INodeNo, handle: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let found = self.handler.lseek((node(ino), handle.0), offset.cast_unsigned(), whence.cast_unsigned());
        match found {
            Ok(offset) => reply.offset(offset.cast_signed()),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        from: FileHandle,
        from_offset: u64,
        target: INodeNo,
        to: FileHandle,
        to_offset: u64,
        length: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let result = self.handler.copy((from.0, from_offset), node(target), (to.0, to_offset), length);
        reply_written(result, reply);
    }
}
