//! The bridge as the FUSE library wants it.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fuser::{
    BackingId, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory,
    ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};
use lisafs::backend::SetStat;
use lisafs::iobuf::IoSource;
use lisafs::wire::Statx;

use super::backing::Backings;
use super::convert::{
    attributes, caller, errno, file_type, node, reply_empty, reply_written, reply_xattr, split_device, time_to_set,
};
use super::data::Device;
use crate::fs::bridge::{Bridge, Entry, permissions};
use crate::fs::caller::Caller;
use crate::fs::handles::Handle;
use crate::fs::identity::NodeId;
use crate::fs::policy::IoMode;
use crate::fs::xattr::CAPABILITIES;

/// A [`Bridge`] that answers the kernel.
pub(super) struct Adapter {
    bridge: Arc<Bridge>,
    device: Device,
    backings: Backings,
    /// Whether the kernel can work on donated files by itself.
    passthrough: AtomicBool,
    /// Whether reads and writes go past the kernel's cache.
    ///
    /// Where others change files the kernel drops cached pages all the time, also those that hold what is just being
    /// written: whoever reads them again before the server has the data sees the old bytes, for longer than the write
    /// takes if bad luck will have it. Databases have lost transactions that way.
    uncached: AtomicBool,
    stack_depth: u32,
    /// How many files were listed that could not be looked at.
    unused_ids: AtomicU64,
}

/// In the flags of an open file: writes go to the end.
const O_APPEND: u32 = libc::O_APPEND.cast_unsigned();

/// Files never share a number with an earlier one while the kernel remembers it, unless others have removed that one
/// when it was idle: then the kernel has nothing of it that it does not ask for again.
const GENERATION: Generation = Generation(0);

impl Adapter {
    /// An adapter for `bridge`. The kernel is offered to work on files that themselves lie `stack_depth` file systems
    /// deep; with 0 it never does. The requests come over `device`.
    pub(super) fn new(bridge: Arc<Bridge>, device: Device, stack_depth: u32) -> Self {
        Adapter {
            bridge,
            device,
            backings: Backings::default(),
            passthrough: AtomicBool::new(false),
            uncached: AtomicBool::new(false),
            stack_depth,
            unused_ids: AtomicU64::new(0),
        }
    }

    /// The handle's backing file, if the kernel is to work on it; an error if that was demanded and is impossible.
    fn backing(
        &self,
        id: NodeId,
        handle: &Handle,
        register: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<BackingId>,
    ) -> Result<Option<Arc<BackingId>>, Errno> {
        let io = self.bridge.policy().io;
        let wanted = matches!(io, IoMode::Auto | IoMode::Passthrough) && self.passthrough.load(Ordering::Relaxed);
        let backing = self.backings.open(id, || {
            let file = handle.donated().filter(|file| wanted && self.bridge.may_pass_through(*file))?;
            register(file).inspect_err(|error| tracing::debug!(%error, "the kernel does not take a file over")).ok()
        });
        let is_met = match io {
            IoMode::Passthrough => backing.is_some(),
            IoMode::Direct => handle.donated().is_some(),
            IoMode::Auto | IoMode::Rpc => true,
        };
        if is_met {
            return Ok(backing);
        }
        self.backings.release(id);
        Err(Errno::EOPNOTSUPP)
    }

    fn is_uncached(&self) -> bool {
        self.uncached.load(Ordering::Relaxed)
    }

    /// A number for a file that could not be looked at, which no other file has. The kernel must have one of each file
    /// that it is told of, since fuser 0.18 takes the inode number for it. As it may not trust this one, it looks the
    /// name up when it is used.
    fn unused_node_id(&self) -> NodeId {
        NodeId(u64::MAX - self.unused_ids.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether what is read and written through `handle` on `id`, which was opened with `flags`, goes past the kernel's
    /// cache, but to us.
    fn is_past_cache(&self, id: NodeId, handle: &Handle, flags: u32, is_backed: bool) -> bool {
        if is_backed {
            // The kernel opens the backing file to append, too. When the application ends that, or asks a single write
            // not to, it would go on.
            return flags & O_APPEND != 0 && handle.is_writable();
        }
        self.is_uncached() || self.bridge.has_more_than_its_size(id, handle, flags)
    }

    fn open_flags(&self, handle: &Handle, is_past_cache: bool, is_backed: bool) -> FopenFlags {
        let mut flags = FopenFlags::empty();
        // What the kernel does by itself it does not cache here, and it refuses to be told otherwise.
        if self.bridge.policy().keeps_cache() && !is_backed {
            flags |= FopenFlags::FOPEN_KEEP_CACHE;
        }
        if is_past_cache {
            flags |= FopenFlags::FOPEN_DIRECT_IO;
        }
        // A close is also when the kernel writes back what was stored in mappings.
        if !handle.is_writable() || !(self.bridge.wants_flush() || handle.can_change_by_map()) {
            flags |= FopenFlags::FOPEN_NOFLUSH;
        }
        flags
    }

    /// Gives `handle` on `id`, which was opened with `flags`, its number, and the kernel's flags for it.
    fn add_handle(&self, id: NodeId, mut handle: Handle, flags: u32, is_backed: bool) -> (FileHandle, FopenFlags) {
        let is_past_cache = self.is_past_cache(id, &handle, flags, is_backed);
        let open_flags = self.open_flags(&handle, is_past_cache, is_backed);
        if is_backed && handle.can_change_by_map() {
            self.bridge.may_change_unseen(id);
        }
        handle.is_backed = is_backed;
        (FileHandle(self.bridge.add_handle(id, handle, is_past_cache)), open_flags)
    }

    fn reply_entry(&self, result: Result<Entry, lisafs::Errno>, reply: ReplyEntry) {
        match result {
            Ok(entry) => reply.entry(&self.bridge.ttl_of(entry.id), &attributes(entry.id, &entry.stat), GENERATION),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn reply_attributes(&self, id: NodeId, result: Result<Statx, lisafs::Errno>, reply: ReplyAttr) {
        match result {
            Ok(stat) => reply.attr(&self.bridge.ttl_of(id), &attributes(id, &stat)),
            Err(error) => reply.error(errno(error)),
        }
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        let policy = self.bridge.policy();
        let mut wanted =
            vec![InitFlags::FUSE_PARALLEL_DIROPS, InitFlags::FUSE_ASYNC_DIO, InitFlags::FUSE_NO_EXPORT_SUPPORT];
        // What may not be remembered need not be told beforehand.
        if !policy.ttl().is_zero() {
            wanted.extend([InitFlags::FUSE_DO_READDIRPLUS, InitFlags::FUSE_READDIRPLUS_AUTO]);
        }
        if policy.keeps_cache() {
            wanted.extend([InitFlags::FUSE_CACHE_SYMLINKS, InitFlags::FUSE_EXPLICIT_INVAL_DATA]);
        } else {
            wanted.push(InitFlags::FUSE_AUTO_INVAL_DATA);
        }
        for flag in wanted {
            if config.add_capabilities(flag).is_err() {
                tracing::debug!(?flag, "not offered by this kernel");
            }
        }
        if self.bridge.keeps_lists() {
            // Whether the umask counts is up to the directory's default list.
            let _ = config.add_capabilities(InitFlags::FUSE_DONT_MASK);
            if policy.xattr && config.add_capabilities(InitFlags::FUSE_POSIX_ACL).is_ok() {
                self.bridge.lists_are_obeyed();
            }
        }
        // Without this a file that is open past the cache cannot be mapped to be shared.
        let can_be_uncached = config.add_capabilities(InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP).is_ok();
        self.uncached.store(!policy.keeps_cache() && can_be_uncached, Ordering::Relaxed);
        let wants_passthrough = matches!(policy.io, IoMode::Auto | IoMode::Passthrough) && self.stack_depth > 0;
        if wants_passthrough && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok() {
            let depth = config.set_max_stack_depth(self.stack_depth);
            self.passthrough.store(depth.is_ok(), Ordering::Relaxed);
        }
        // What the kernel allows at most by default; more threads than that would only wait.
        const MAX_WRITE: u32 = 1 << 20;
        const MAX_BACKGROUND: u16 = 64;
        let _ = config.set_max_write(MAX_WRITE);
        let _ = config.set_max_background(MAX_BACKGROUND);
        Ok(())
    }

    fn destroy(&mut self) {
        self.bridge.evictor().stop();
        self.bridge.invalidator().stop();
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.bridge.lookup(node(parent), name.as_bytes()) {
            // Number 0 says that the name does not exist, and lets the kernel remember that.
            Err(lisafs::Errno::NOENT) if self.bridge.policy().keeps_cache() => {
                reply.entry(&self.bridge.ttl(), &attributes(NodeId(0), &Statx::default()), GENERATION);
            }
            result => self.reply_entry(result, reply),
        }
    }

    fn forget(&self, _: &Request, ino: INodeNo, count: u64) {
        self.bridge.forget(node(ino), count);
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.bridge.look_for_maps(node(ino));
        self.reply_attributes(node(ino), self.bridge.getattr(node(ino)), reply);
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
        let result = self.bridge.setattr(node(ino), handle.map(|handle| handle.0), &change);
        self.reply_attributes(node(ino), result, reply);
    }

    fn readlink(&self, _: &Request, ino: INodeNo, reply: ReplyData) {
        match self.bridge.readlink(node(ino)) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn mknod(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32, reply: ReplyEntry) {
        let caller = Caller { umask, ..caller(req) };
        let result = self.bridge.mknod(node(parent), name.as_bytes(), mode, split_device(rdev), caller);
        self.reply_entry(result, reply);
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let caller = Caller { umask, ..caller(req) };
        self.reply_entry(self.bridge.mkdir(node(parent), name.as_bytes(), mode, caller), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.bridge.unlink(node(parent), name.as_bytes(), false), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        reply_empty(self.bridge.unlink(node(parent), name.as_bytes(), true), reply);
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let target = target.as_os_str().as_bytes();
        self.reply_entry(self.bridge.symlink(node(parent), name.as_bytes(), target, caller(req)), reply);
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
        reply_empty(self.bridge.rename(from, to, flags.bits()), reply);
    }

    fn link(&self, _: &Request, ino: INodeNo, new_parent: INodeNo, new_name: &OsStr, reply: ReplyEntry) {
        self.reply_entry(self.bridge.link(node(ino), node(new_parent), new_name.as_bytes()), reply);
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let id = node(ino);
        let _opening = self.bridge.opening();
        let opened = self.bridge.admit(req.pid()).and_then(|share| {
            let handle = self.bridge.open(id, flags.0.cast_unsigned())?;
            Ok(handle.counted_as(share))
        });
        let handle = match opened {
            Ok(handle) => handle,
            Err(error) => return reply.error(errno(error)),
        };
        match self.backing(id, &handle, |file| reply.open_backing(file)) {
            Ok(backing) => {
                let (number, open_flags) = self.add_handle(id, handle, flags.0.cast_unsigned(), backing.is_some());
                match backing {
                    Some(backing) => reply.opened_passthrough(number, open_flags, &backing),
                    None => reply.opened(number, open_flags),
                }
            }
            Err(error) => reply.error(error),
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
        let _opening = self.bridge.opening();
        let caller = Caller { umask, ..caller(req) };
        let created = self.bridge.admit(req.pid()).and_then(|share| {
            let flags = flags.cast_unsigned();
            let (entry, handle) = self.bridge.create(node(parent), name.as_bytes(), mode, flags, caller)?;
            Ok((entry, handle.counted_as(share)))
        });
        let (entry, handle) = match created {
            Ok(created) => created,
            Err(error) => return reply.error(errno(error)),
        };
        match self.backing(entry.id, &handle, |file| reply.open_backing(file)) {
            Ok(backing) => {
                let (number, open_flags) = self.add_handle(entry.id, handle, flags.cast_unsigned(), backing.is_some());
                // Nothing can be stored in a mapping of an empty file, and when it grows the kernel asks again.
                let is_empty = entry.stat.size == 0;
                let ttl = if is_empty { self.bridge.ttl() } else { self.bridge.ttl_of(entry.id) };
                let attr = attributes(entry.id, &entry.stat);
                match backing {
                    Some(backing) => {
                        reply.created_passthrough(&ttl, &attr, GENERATION, number, open_flags, &backing);
                    }
                    None => reply.created(&ttl, &attr, GENERATION, number, open_flags),
                }
            }
            Err(error) => {
                self.bridge.forget(entry.id, 1);
                reply.error(error);
            }
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
        let handle = match self.bridge.handle(handle.0) {
            Ok(handle) => handle,
            Err(error) => return reply.error(errno(error)),
        };
        let mut reply = Some(reply);
        let send = |data: IoSource<'_>| {
            if let Some(reply) = reply.take() {
                self.device.send(request.unique(), reply, data);
            }
        };
        // The kernel says who reads unless it is for its cache.
        let result = match owner {
            Some(_) => self.bridge.read(node(ino), &handle, offset, size as usize, send),
            None => self.bridge.read_into_cache(node(ino), &handle, offset, size as usize, send),
        };
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
        let written = || {
            let (id, handle) = (node(ino), self.bridge.handle(handle.0)?);
            if flags.contains(WriteFlags::FUSE_WRITE_CACHE) {
                // It was stored in a mapping: the kernel has done all it takes then, and knows the place.
                return self.bridge.write_back(id, &handle, offset, data);
            }
            if handle.is_past_cache() {
                self.bridge.end_privileges(id, flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID))?;
            }
            self.bridge.write(id, &handle, offset, data, open_flags.0.cast_unsigned() & O_APPEND != 0)
        };
        reply_written(written(), reply);
    }

    fn flush(&self, _: &Request, _: INodeNo, handle: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        if !self.bridge.wants_flush() {
            return reply.error(Errno::ENOSYS);
        }
        reply_empty(self.bridge.handle(handle.0).and_then(|handle| self.bridge.flush(&handle)), reply);
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
        self.backings.release(node(ino));
        self.bridge.release(node(ino), handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        reply_empty(self.bridge.handle(handle.0).and_then(|handle| self.bridge.fsync(&handle)), reply);
    }

    fn opendir(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.bridge.admit(req.pid()).and_then(|share| {
            let handle = self.bridge.open(node(ino), flags.0.cast_unsigned())?;
            Ok(handle.counted_as(share))
        });
        match opened {
            Ok(handle) => {
                let flags = match self.bridge.policy().keeps_cache() {
                    true if self.bridge.adopt_listing(node(ino), &handle) => {
                        FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR
                    }
                    true => FopenFlags::FOPEN_CACHE_DIR,
                    false => FopenFlags::empty(),
                };
                reply.opened(FileHandle(self.bridge.add_handle(node(ino), handle, false)), flags);
            }
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdir(&self, _: &Request, ino: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.bridge.handle(handle.0).and_then(|handle| {
            self.bridge.list(node(ino), &handle, offset, |entry, next| {
                let name = OsStr::from_bytes(&entry.name);
                Ok(!reply.add(INodeNo(entry.id.0), next, file_type(u32::from(entry.kind) << 12), name))
            })
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdirplus(&self, _: &Request, ino: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let (parent, ttl) = (node(ino), self.bridge.ttl());
        let listed = self.bridge.handle(handle.0).and_then(|handle| {
            self.bridge.list(parent, &handle, offset, |listed, next| {
                let name = OsStr::from_bytes(&listed.name);
                let is_dots = matches!(&*listed.name, b"." | b"..");
                let found = if is_dots { None } else { Some(self.bridge.lookup(parent, &listed.name)) };
                let unknown = Statx { mode: u16::from(listed.kind) << 12, ..Statx::default() };
                let (attr, ttl, found) = match found {
                    Some(Ok(entry)) => (attributes(entry.id, &entry.stat), self.bridge.ttl_of(entry.id), Some(entry)),
                    // It has gone meanwhile.
                    Some(Err(lisafs::Errno::NOENT)) => return Ok(true),
                    Some(Err(_)) => (attributes(self.unused_node_id(), &unknown), Duration::ZERO, None),
                    // The kernel does not count these two.
                    None => (attributes(listed.id, &unknown), ttl, None),
                };
                let is_full = reply.add(attr.ino, next, name, &ttl, &attr, GENERATION);
                if let (true, Some(entry)) = (is_full, found) {
                    self.bridge.forget(entry.id, 1);
                }
                Ok(!is_full)
            })
        });
        match listed {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn releasedir(&self, _: &Request, ino: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.bridge.release(node(ino), handle.0);
        reply.ok();
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        reply_empty(self.bridge.handle(handle.0).and_then(|handle| self.bridge.fsync(&handle)), reply);
    }

    fn statfs(&self, _: &Request, ino: INodeNo, reply: ReplyStatfs) {
        match self.bridge.statfs(node(ino)) {
            Ok(stat) => {
                let block = u32::try_from(stat.block_size).unwrap_or(4096);
                let longest = u32::try_from(stat.name_length).unwrap_or(255);
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
        if !self.bridge.has_xattr() {
            return reply.error(Errno::ENOSYS);
        }
        let set = self.bridge.setxattr(node(ino), name.as_bytes(), value, flags.cast_unsigned(), caller(req));
        reply_empty(set, reply);
    }

    fn getxattr(&self, _: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        if !self.bridge.has_xattr() {
            return reply.error(Errno::ENOSYS);
        }
        match self.bridge.getxattr(node(ino), name.as_bytes()) {
            // The kernel asks for this at each write, and stops asking for any attribute at the answer ENOSYS.
            Err(lisafs::Errno::OPNOTSUPP) if name.as_bytes() == CAPABILITIES => {
                let knows_none = self.bridge.knows_no_attributes(node(ino));
                reply.error(if knows_none { Errno::ENOSYS } else { Errno::ENODATA });
            }
            result => reply_xattr(result, size, reply),
        }
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        if !self.bridge.has_xattr() {
            return reply.error(Errno::ENOSYS);
        }
        reply_xattr(self.bridge.listxattr(node(ino), caller(req)), size, reply);
    }

    fn removexattr(&self, _: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        if !self.bridge.has_xattr() {
            return reply.error(Errno::ENOSYS);
        }
        reply_empty(self.bridge.removexattr(node(ino), name.as_bytes()), reply);
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
        let result = self
            .bridge
            .handle(handle.0)
            .and_then(|handle| self.bridge.fallocate(node(ino), &handle, mode.cast_unsigned(), offset, length));
        reply_empty(result, reply);
    }

    fn lseek(&self, _: &Request, ino: INodeNo, handle: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let Ok(offset) = u64::try_from(offset) else { return reply.error(Errno::ENXIO) };
        let hole = match whence {
            libc::SEEK_DATA => false,
            libc::SEEK_HOLE => true,
            _ => return reply.error(Errno::EINVAL),
        };
        let result = self.bridge.handle(handle.0).and_then(|handle| self.bridge.seek(node(ino), &handle, offset, hole));
        match result.map(i64::try_from) {
            Ok(Ok(offset)) => reply.offset(offset),
            Ok(Err(_)) => reply.error(Errno::EOVERFLOW),
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
        // The answer has 32 bits.
        let length = length.min(1 << 30);
        let result = self.bridge.handle(from.0).and_then(|from| {
            let to = self.bridge.handle(to.0)?;
            self.bridge.copy((&from, from_offset), node(target), (&to, to_offset), length)
        });
        reply_written(result, reply);
    }
}
