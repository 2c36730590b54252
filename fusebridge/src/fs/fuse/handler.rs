//! What the bridge does for each request, in the kernel's terms, whichever way requests come.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lisafs::Errno;
use lisafs::backend::SetStat;
use lisafs::iobuf::IoSource;
use lisafs::wire::{StatFs, Statx};

use super::abi::{capability, open};
use super::backing::Backings;
use super::moment::Moments;
use crate::fs::bridge::{Bridge, Entry, Result};
use crate::fs::caller::Caller;
use crate::fs::handles::Handle;
use crate::fs::identity::NodeId;
use crate::fs::policy::IoMode;
use crate::fs::xattr::CAPABILITIES;

/// Most bytes of one WRITE: what the kernel allows at most by default.
pub(super) const MAX_WRITE: u32 = 1 << 20;
/// Most requests in flight that no process waits for.
pub(super) const MAX_BACKGROUND: u16 = 64;

/// In the flags of an open file: writes go to the end.
const O_APPEND: u32 = libc::O_APPEND.cast_unsigned();

/// A [`Bridge`] that answers the kernel, which knows backing files as `B`.
pub(super) struct Handler<B> {
    pub(super) bridge: Arc<Bridge>,
    backings: Backings<B>,
    /// Whether the kernel can work on donated files by itself.
    passthrough: AtomicBool,
    /// Whether reads and writes go past the kernel's cache.
    ///
    /// Where others change files the kernel drops cached pages all the time, also those that hold what is just being
    /// written: whoever reads them again before the server has the data sees the old bytes, for longer than the write
    /// takes if bad luck will have it. Databases have lost transactions that way.
    uncached: AtomicBool,
    stack_depth: u32,
    /// See [`moments`](Self::moments).
    moments: Moments,
}

/// What was agreed on with the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Negotiated {
    /// Of [`capability`].
    pub(super) flags: u64,
    /// How deep the files lie that the kernel works on by itself; 0: it does not.
    pub(super) stack_depth: u32,
}

/// What the kernel is told of a file, and for how long it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) id: NodeId,
    pub(super) stat: Statx,
    pub(super) ttl: Duration,
}

/// What the kernel is told of a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Looked {
    Up(Told),
    /// It does not exist, which holds so long.
    Missing(Duration),
}

/// What the kernel is told of an open file.
pub(super) struct Opened<B> {
    pub(super) handle: u64,
    /// Of [`open`].
    pub(super) flags: u32,
    pub(super) backing: Option<Arc<B>>,
}

/// Takes a listing.
pub(super) trait Names {
    /// Adds a file whose type is in `mode`; `next` is the offset behind it. `false`: it does not fit.
    fn add(&mut self, id: NodeId, next: u64, mode: u32, name: &[u8]) -> bool;
}

/// Takes a listing with what is known of each file.
pub(super) trait NamesAndAttributes {
    /// For how many more files with short names there is room, as far as that is known.
    fn room(&self) -> usize;

    /// Adds a file as [`Names::add`] does, with what is `known`. The kernel counts it as looked up if that is anything.
    fn add(&mut self, known: Option<&Told>, id: NodeId, next: u64, mode: u32, name: &[u8]) -> bool;
}

impl<B> Handler<B> {
    /// A handler for `bridge`. The kernel is offered to work on files that themselves lie `stack_depth` file systems
    /// deep; with 0 it never does.
    pub(super) fn new(bridge: Arc<Bridge>, stack_depth: u32) -> Self {
        Handler {
            bridge,
            backings: Backings::default(),
            passthrough: AtomicBool::new(false),
            uncached: AtomicBool::new(false),
            stack_depth,
            moments: Moments::default(),
        }
    }

    /// What was told of names, for the rest of the system calls that they were looked up for.
    pub(super) fn moments(&self) -> &Moments {
        &self.moments
    }

    /// Whether the kernel may remember names and attributes.
    pub(super) fn lets_remember(&self) -> bool {
        !self.bridge.ttl().is_zero()
    }

    /// Whether `id` may change without a request, because somebody has it open.
    pub(super) fn may_change(&self, id: NodeId) -> bool {
        self.bridge.nodes.lock().is_open(id)
    }

    /// Chooses from what the kernel has `offered`.
    pub(super) fn negotiate(&self, offered: u64) -> Negotiated {
        let policy = self.bridge.policy();
        let mut wanted = capability::ASYNC_READ
            | capability::BIG_WRITES
            | capability::MAX_PAGES
            | capability::PARALLEL_DIROPS
            | capability::ASYNC_DIO
            | capability::NO_EXPORT_SUPPORT
            // Without this a file that is open past the cache cannot be mapped to be shared.
            | capability::DIRECT_IO_ALLOW_MMAP;
        // What may not be remembered need not be told beforehand. Left to itself (READDIRPLUS_AUTO), the kernel would do
        // without attributes for all but the beginning of a listing when that is read to its end before any file is
        // looked at: as nearly everybody does.
        if !policy.ttl().is_zero() {
            wanted |= capability::DO_READDIRPLUS;
        }
        wanted |= match policy.keeps_cache() {
            true => capability::CACHE_SYMLINKS | capability::EXPLICIT_INVAL_DATA,
            false => capability::AUTO_INVAL_DATA,
        };
        if self.bridge.keeps_lists() {
            // Whether the umask counts is up to the directory's default list.
            wanted |= capability::DONT_MASK;
            if self.bridge.can_obey_lists() {
                wanted |= capability::POSIX_ACL;
            }
        }
        if matches!(policy.io, IoMode::Auto | IoMode::Passthrough) && self.stack_depth > 0 {
            wanted |= capability::PASSTHROUGH;
        }
        let flags = wanted & offered;
        if flags != wanted {
            tracing::debug!(missing = format_args!("{:#x}", wanted & !offered), "not offered by this kernel");
        }
        let has = |flag| flags & flag != 0;
        if has(capability::POSIX_ACL) {
            self.bridge.lists_are_obeyed();
        }
        self.uncached.store(!policy.keeps_cache() && has(capability::DIRECT_IO_ALLOW_MMAP), Ordering::Relaxed);
        self.passthrough.store(has(capability::PASSTHROUGH), Ordering::Relaxed);
        Negotiated { flags, stack_depth: if has(capability::PASSTHROUGH) { self.stack_depth } else { 0 } }
    }

    /// Ends what works for the mount besides.
    pub(super) fn stop(&self) {
        self.bridge.evictor().stop();
        self.bridge.invalidator().stop();
    }

    /// What the kernel is told of `entry`.
    pub(super) fn tell(&self, entry: Entry) -> Told {
        let stat = self.bridge.policy().owners.shown(entry.stat);
        Told { id: entry.id, stat, ttl: self.bridge.ttl_of(entry.id) }
    }

    /// Who asks, as the server knows him.
    pub(super) fn asking(&self, caller: Caller) -> Caller {
        self.bridge.policy().owners.asking(caller)
    }

    /// The file `name` in `parent`.
    pub(super) fn lookup(&self, parent: NodeId, name: &[u8]) -> Result<Looked> {
        match self.bridge.lookup(parent, name) {
            Ok(entry) => Ok(Looked::Up(self.tell(entry))),
            Err(Errno::NOENT) if self.bridge.policy().keeps_cache() => Ok(Looked::Missing(self.bridge.ttl())),
            Err(error) => Err(error),
        }
    }

    /// Attributes of `id`.
    pub(super) fn getattr(&self, id: NodeId) -> Result<Told> {
        self.bridge.look_for_maps(id);
        let stat = self.bridge.getattr(id)?;
        Ok(self.tell(Entry { id, stat }))
    }

    /// Changes attributes of `id`.
    pub(super) fn setattr(&self, id: NodeId, handle: Option<u64>, change: &SetStat) -> Result<Told> {
        let mode = || self.bridge.getattr(id).map(|stat| stat.mode);
        let change = self.bridge.policy().owners.meant(change, mode)?;
        let stat = self.bridge.setattr(id, handle, &change)?;
        Ok(self.tell(Entry { id, stat }))
    }

    /// Opens a file for `process`. `register` makes a donated file known to the kernel.
    pub(super) fn open(
        &self,
        id: NodeId,
        process: u32,
        flags: u32,
        register: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<B>,
    ) -> Result<Opened<B>> {
        let _opening = self.bridge.opening();
        let share = self.bridge.admit(process)?;
        let handle = self.bridge.open(id, flags)?.counted_as(share);
        self.opened(id, handle, flags, register)
    }

    /// Makes a file and opens it.
    pub(super) fn create(
        &self,
        (parent, name): (NodeId, &[u8]),
        (mode, flags): (u32, u32),
        caller: Caller,
        register: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<B>,
    ) -> Result<(Told, Opened<B>)> {
        let _opening = self.bridge.opening();
        let share = self.bridge.admit(caller.pid)?;
        let (entry, handle) = self.bridge.create(parent, name, mode, flags, caller)?;
        let opened = self.opened(entry.id, handle.counted_as(share), flags, register);
        let opened = opened.inspect_err(|_| self.bridge.forget(entry.id, 1))?;
        // Nothing can be stored in a mapping of an empty file, and when it grows the kernel asks again.
        let is_empty = entry.stat.size == 0;
        let ttl = if is_empty { self.bridge.ttl() } else { self.bridge.ttl_of(entry.id) };
        Ok((Told { ttl, ..self.tell(entry) }, opened))
    }

    /// Gives `handle` on `id`, which was opened with `flags`, its number.
    fn opened(
        &self,
        id: NodeId,
        mut handle: Handle,
        flags: u32,
        register: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<B>,
    ) -> Result<Opened<B>> {
        let backing = self.backing(id, &handle, register)?;
        let is_backed = backing.is_some();
        let is_past_cache = self.is_past_cache(id, &handle, flags, is_backed);
        let open_flags = self.open_flags(&handle, is_past_cache, is_backed);
        if handle.is_writable() {
            self.bridge.walks.changed();
        }
        if is_backed && handle.can_change_by_map() {
            self.bridge.may_change_unseen(id);
        }
        handle.is_backed = is_backed;
        let handle = self.bridge.add_handle(id, handle, is_past_cache);
        Ok(Opened { handle, flags: open_flags, backing })
    }

    /// The handle's backing file, if the kernel is to work on it; an error if that was demanded and is impossible.
    fn backing(
        &self,
        id: NodeId,
        handle: &Handle,
        register: impl FnOnce(BorrowedFd<'_>) -> std::io::Result<B>,
    ) -> Result<Option<Arc<B>>> {
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
        Err(Errno::OPNOTSUPP)
    }

    /// Whether what is read and written through `handle` on `id`, which was opened with `flags`, goes past the kernel's
    /// cache, but to us.
    fn is_past_cache(&self, id: NodeId, handle: &Handle, flags: u32, is_backed: bool) -> bool {
        if is_backed {
            // The kernel opens the backing file to append, too. When the application ends that, or asks a single write
            // not to, it would go on.
            return flags & O_APPEND != 0 && handle.is_writable();
        }
        self.uncached.load(Ordering::Relaxed) || self.bridge.has_more_than_its_size(id, handle, flags)
    }

    fn open_flags(&self, handle: &Handle, is_past_cache: bool, is_backed: bool) -> u32 {
        let mut flags = if is_backed { open::PASSTHROUGH } else { 0 };
        // What the kernel does by itself it does not cache here, and it refuses to be told otherwise.
        if self.bridge.policy().keeps_cache() && !is_backed {
            flags |= open::KEEP_CACHE;
        }
        if is_past_cache {
            flags |= open::DIRECT_IO;
        }
        // A close is also when the kernel writes back what was stored in mappings.
        if !handle.is_writable() || !(self.bridge.wants_flush() || handle.can_change_by_map()) {
            flags |= open::NOFLUSH;
        }
        flags
    }

    /// Reads `size` bytes at `offset` and hands them to `send`, unless there is an error. The kernel does it for its
    /// cache or for somebody.
    pub(super) fn read(
        &self,
        (id, handle): (NodeId, u64),
        offset: u64,
        size: u32,
        is_for_cache: bool,
        send: impl FnOnce(IoSource<'_>),
    ) -> Result<()> {
        let handle = self.bridge.handle(handle)?;
        match is_for_cache {
            true => self.bridge.read_into_cache(id, &handle, offset, size as usize, send),
            false => self.bridge.read_ahead(id, &handle, offset, size as usize, send),
        }
    }

    /// Writes `data` at `offset` to a file that was opened with `flags`.
    pub(super) fn write(
        &self,
        (id, handle): (NodeId, u64),
        offset: u64,
        data: &[u8],
        (is_cache, ends_privileges, flags): (bool, bool, u32),
    ) -> Result<u32> {
        let handle = self.bridge.handle(handle)?;
        let written = if is_cache {
            // It was stored in a mapping: the kernel has done all it takes then, and knows the place.
            self.bridge.write_back(id, &handle, offset, data)?
        } else {
            if handle.is_past_cache() {
                self.bridge.end_privileges(id, ends_privileges)?;
            }
            self.bridge.write(id, &handle, offset, data, flags & O_APPEND != 0)?
        };
        u32::try_from(written).map_err(|_| Errno::IO)
    }

    /// An application has closed a descriptor.
    pub(super) fn flush(&self, handle: u64) -> Result<()> {
        if !self.bridge.wants_flush() {
            return Err(Errno::NOSYS);
        }
        self.bridge.handle(handle).and_then(|handle| self.bridge.flush(&handle))
    }

    /// Closes a file.
    pub(super) fn release(&self, id: NodeId, handle: u64) {
        self.backings.release(id);
        self.bridge.release(id, handle);
    }

    /// Closes a directory.
    pub(super) fn releasedir(&self, id: NodeId, handle: u64) {
        self.bridge.release(id, handle);
    }

    /// Makes a file or directory durable.
    pub(super) fn fsync(&self, handle: u64) -> Result<()> {
        self.bridge.handle(handle).and_then(|handle| self.bridge.fsync(&handle))
    }

    /// Opens a directory for `process`.
    pub(super) fn opendir(&self, id: NodeId, process: u32, flags: u32) -> Result<Opened<B>> {
        let share = self.bridge.admit(process)?;
        let handle = self.bridge.open(id, flags)?.counted_as(share);
        let flags = match self.bridge.policy().keeps_cache() {
            true if self.bridge.adopt_listing(id, &handle) => open::KEEP_CACHE | open::CACHE_DIR,
            true => open::CACHE_DIR,
            false => 0,
        };
        Ok(Opened { handle: self.bridge.add_handle(id, handle, false), flags, backing: None })
    }

    /// Lists a directory from `offset` on, as far as it fits.
    pub(super) fn readdir(&self, (id, handle): (NodeId, u64), offset: u64, to: &mut impl Names) -> Result<()> {
        let handle = self.bridge.handle(handle)?;
        self.bridge.list(id, &handle, offset, |entries, next| {
            let entry = &entries[0];
            Ok(to.add(entry.id, next, u32::from(entry.kind) << 12, &entry.name))
        })
    }

    /// Lists a directory with what is known of each file.
    pub(super) fn readdirplus(
        &self,
        (parent, handle): (NodeId, u64),
        offset: u64,
        to: &mut impl NamesAndAttributes,
    ) -> Result<()> {
        let handle = self.bridge.handle(handle)?;
        // Those of a long listing take a slow server long, and many descriptors, and may not be wanted.
        let has_attributes = offset == 0 || !self.bridge.looks_up_slowly() && self.bridge.evictor().has_spare();
        // What was looked up together, from this entry on.
        let mut ahead = VecDeque::new();
        self.bridge.list(parent, &handle, offset, |entries, next| {
            let listed = &entries[0];
            if has_attributes && ahead.is_empty() && self.bridge.looks_up_slowly() {
                let names: Vec<_> = entries.iter().take(to.room()).map(|entry| entry.name.clone()).collect();
                let names = names.split(|name| matches!(&**name, b"." | b"..")).next().unwrap_or_default();
                ahead.extend(self.bridge.look_up_all(parent, names)?);
            }
            let found = ahead.pop_front().flatten();
            let known = match &*listed.name {
                b"." | b".." => None,
                _ if !has_attributes => None,
                name => match self.bridge.lookup_as(parent, name, found) {
                    Ok(entry) => Some(self.tell(entry)),
                    // It has gone meanwhile.
                    Err(Errno::NOENT) => return Ok(true),
                    // The kernel looks it up when it is used.
                    Err(_) => None,
                },
            };
            let fits = to.add(known.as_ref(), listed.id, next, u32::from(listed.kind) << 12, &listed.name);
            if let (false, Some(told)) = (fits, known) {
                self.bridge.forget(told.id, 1);
            }
            Ok(fits)
        })
    }

    /// Statistics of the file system that `id` is on.
    pub(super) fn statfs(&self, id: NodeId) -> Result<StatFs> {
        self.bridge.statfs(id)
    }

    fn check_xattr(&self) -> Result<()> {
        if self.bridge.has_xattr() { Ok(()) } else { Err(Errno::NOSYS) }
    }

    /// Sets an extended attribute.
    pub(super) fn setxattr(&self, id: NodeId, name: &[u8], value: &[u8], flags: u32, caller: Caller) -> Result<()> {
        self.check_xattr()?;
        self.bridge.setxattr(id, name, value, flags, caller)
    }

    /// The value of an extended attribute.
    pub(super) fn getxattr(&self, id: NodeId, name: &[u8]) -> Result<Vec<u8>> {
        self.check_xattr()?;
        match self.bridge.getxattr(id, name) {
            // The kernel asks for this at each write, and stops asking for any attribute at the answer ENOSYS.
            Err(Errno::OPNOTSUPP) if name == CAPABILITIES => {
                Err(if self.bridge.knows_no_attributes(id) { Errno::NOSYS } else { Errno::NODATA })
            }
            result => result,
        }
    }

    /// The names of all extended attributes.
    pub(super) fn listxattr(&self, id: NodeId, caller: Caller) -> Result<Vec<u8>> {
        self.check_xattr()?;
        self.bridge.listxattr(id, caller)
    }

    /// Removes an extended attribute.
    pub(super) fn removexattr(&self, id: NodeId, name: &[u8]) -> Result<()> {
        self.check_xattr()?;
        self.bridge.removexattr(id, name)
    }

    /// Reserves or frees space.
    pub(super) fn fallocate(&self, (id, handle): (NodeId, u64), mode: u32, offset: u64, length: u64) -> Result<()> {
        let handle = self.bridge.handle(handle)?;
        self.bridge.fallocate(id, &handle, mode, offset, length)
    }

    /// Where the next data or hole is.
    pub(super) fn lseek(&self, (id, handle): (NodeId, u64), offset: u64, whence: u32) -> Result<u64> {
        // Negative for the application.
        if i64::try_from(offset).is_err() {
            return Err(Errno::NXIO);
        }
        let hole = match whence.cast_signed() {
            libc::SEEK_DATA => false,
            libc::SEEK_HOLE => true,
            _ => return Err(Errno::INVAL),
        };
        let handle = self.bridge.handle(handle)?;
        let found = self.bridge.seek(id, &handle, offset, hole)?;
        if i64::try_from(found).is_ok() { Ok(found) } else { Err(Errno::OVERFLOW) }
    }

    /// Copies from one open file to another.
    pub(super) fn copy(&self, from: (u64, u64), target: NodeId, to: (u64, u64), length: u64) -> Result<u32> {
        let (source, destination) = (self.bridge.handle(from.0)?, self.bridge.handle(to.0)?);
        // The answer has 32 bits.
        let length = length.min(1 << 30);
        let copied = self.bridge.copy((&source, from.1), target, (&destination, to.1), length)?;
        u32::try_from(copied).map_err(|_| Errno::IO)
    }
}

/// What a value of an extended attribute, or a list of names, comes to if the caller has room for `size` bytes.
pub(super) enum XattrReply {
    /// How long it is: that was asked for.
    Length(u32),
    Value(Vec<u8>),
}

/// [`XattrReply`], or `ERANGE`.
pub(super) fn xattr_reply(value: Vec<u8>, size: u32) -> Result<XattrReply> {
    match value.len() {
        len if size == 0 => Ok(XattrReply::Length(u32::try_from(len).unwrap_or(u32::MAX))),
        len if len > size as usize => Err(Errno::RANGE),
        _ => Ok(XattrReply::Value(value)),
    }
}

/// Block size and longest name as the kernel wants them.
pub(super) fn small_statistics(stat: &StatFs) -> (u32, u32) {
    (u32::try_from(stat.block_size).unwrap_or(4096), u32::try_from(stat.name_length).unwrap_or(255))
}
