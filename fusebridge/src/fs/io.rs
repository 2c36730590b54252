//! Reading and writing.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use lisafs::Errno;
use lisafs::iobuf::{IoSource, IoTarget};
use lisafs::wire::MessageId;
use rustix::fs::{OFlags, StatVfsMountFlags, fstatvfs};
use rustix::io::{ReadWriteFlags, pwritev2, retry_on_intr};

use super::bridge::{Bridge, Result};
use super::flags::{ACCESS_MODE, EXCLUSIVE, TRUNCATE};
use super::handles::Handle;
use super::identity::NodeId;
use super::policy::Access;
use super::shares::Share;

/// `O_NOATIME`.
const NO_ATIME: u32 = OFlags::NOATIME.bits();

impl Bridge {
    /// Lets `process` open one more file, unless few are left and it has many.
    pub fn admit(&self, process: u32) -> Result<Share> {
        self.shares.take(process)
    }

    /// Opens `id`.
    pub fn open(&self, id: NodeId, flags: u32) -> Result<Handle> {
        let flags = flags & (ACCESS_MODE | TRUNCATE) | self.no_atime(flags);
        let fd = self.control(id)?;
        let (open_fd, donated) = self.evictor.with_room(|| self.client.open_at(fd.id(), flags))?;
        if flags & TRUNCATE != 0 {
            self.content_changes(id);
        }
        Ok(Handle::new(self.client.clone(), open_fd, donated, flags, self.policy.io))
    }

    /// The flag for a file that an application opens with `flags`, if reading is to leave its time of access.
    pub(super) fn no_atime(&self, flags: u32) -> u32 {
        if self.policy.no_atime { NO_ATIME } else { flags & NO_ATIME }
    }

    /// Whether the kernel may read `file` by itself: it opens it anew, and not with `O_NOATIME` if the application has
    /// not.
    pub fn may_pass_through(&self, file: BorrowedFd<'_>) -> bool {
        let leaves_atime = || fstatvfs(file).is_ok_and(|stat| stat.f_flag.contains(StatVfsMountFlags::NOATIME));
        !self.policy.no_atime || leaves_atime()
    }

    /// Whether `handle` on `id`, opened with `flags`, may read more than the file's size says. Files in /proc have size
    /// 0, and the kernel's cache would not even ask for their data.
    pub fn has_more_than_its_size(&self, id: NodeId, handle: &Handle, flags: u32) -> bool {
        if !handle.is_readable() || flags & (TRUNCATE | EXCLUSIVE) != 0 || self.nodes.lock().size(id) != Some(0) {
            return false;
        }
        // What the kernel has written meanwhile was not looked at.
        if !self.getattr(id).is_ok_and(|stat| stat.size == 0) {
            return false;
        }
        // A read might wait. An empty file that is only read loses little where it is not cached.
        !handle.is_writable() || self.read(id, handle, 0, 1, |data| !data.is_empty()).unwrap_or(false)
    }

    /// Gives an opened handle on `id` its number. `is_past_cache`: the kernel will not keep what is read and written
    /// through it.
    pub fn add_handle(&self, id: NodeId, mut handle: Handle, is_past_cache: bool) -> u64 {
        if is_past_cache {
            handle.ahead = self.new_window(id, &handle);
            handle.mapped = Some(self.mapped.open(id, handle.can_change_by_map()));
        }
        let mut nodes = self.nodes.lock();
        nodes.opened(id, handle.can_change_by_map());
        if handle.is_writable() && !self.policy.keeps_cache() {
            // Others may have given it some.
            nodes.set_no_capabilities(id, false);
        }
        drop(nodes);
        self.handles.add(handle)
    }

    /// The handle with number `number`.
    pub fn handle(&self, number: u64) -> Result<Arc<Handle>> {
        self.handles.get(number).ok_or(Errno::BADF)
    }

    /// Closes handle `number` on `id`.
    pub fn release(&self, id: NodeId, number: u64) {
        let handle = self.handles.remove(number);
        if handle.as_ref().is_some_and(|handle| handle.is_writable()) {
            self.walks.changed();
        }
        if handle.as_ref().is_some_and(|handle| handle.is_past_cache()) {
            self.mapped.close(id);
        }
        let fds = {
            let mut nodes = self.nodes.lock();
            nodes.closed(id, handle.is_some_and(|handle| handle.can_change_by_map()));
            nodes.fds()
        };
        self.evictor.released(fds);
    }

    /// Does [`read`](Self::read), and knows that the kernel keeps what it is given.
    pub fn read_into_cache<R>(
        &self,
        id: NodeId,
        handle: &Arc<Handle>,
        offset: u64,
        size: usize,
        with: impl FnOnce(IoSource<'_>) -> R,
    ) -> Result<R> {
        let _reading = handle.mapped().and_then(|mapped| mapped.reading(handle, offset, size));
        self.read(id, handle, offset, size, with)
    }

    /// Reads up to `size` bytes of `id` at `offset` and hands them to `with`. Fewer than that are the end of the file.
    pub fn read<R>(
        &self,
        id: NodeId,
        handle: &Handle,
        offset: u64,
        size: usize,
        with: impl FnOnce(IoSource<'_>) -> R,
    ) -> Result<R> {
        // Files and servers may give fewer bytes than there are, which is the end for the kernel only.
        let is_all =
            |n: usize| n == 0 || n == size || self.nodes.lock().size(id) == Some(offset.saturating_add(n as u64));
        if let Some(file) = handle.donated() {
            return with_buffer(size, |buffer| {
                let mut done = 0;
                loop {
                    let n = IoTarget::from(&mut buffer[done..]).fill_from(file, offset + done as u64)?;
                    done += n;
                    if n == 0 || is_all(done) {
                        return Ok(with(IoSource::from(&buffer[..done])));
                    }
                }
            });
        }
        let most = self.client.max_read();
        let first = self.client.pread(handle.fd(), offset, size.min(most), |data| match is_all(data.len()) {
            true => Ok(with(data)),
            false => Err((with, data.to_vec())),
        })?;
        let (with, mut data) = match first {
            Ok(done) => return Ok(done),
            Err(incomplete) => incomplete,
        };
        loop {
            let (at, most) = (data.len(), most.min(size - data.len()));
            let n = self.client.pread(handle.fd(), offset + at as u64, most, |more| {
                data.resize(at + more.len(), 0);
                more.get(0, &mut data[at..]);
                more.len()
            })?;
            if n == 0 || is_all(data.len()) {
                return Ok(with(IoSource::from(&data[..])));
            }
        }
    }

    /// Writes `data` to `id` at `offset`, or if it `appends`, behind what others have appended meanwhile. Fewer bytes
    /// than there are is the answer if an error came up behind them.
    pub fn write(&self, id: NodeId, handle: &Handle, offset: u64, data: &[u8], appends: bool) -> Result<usize> {
        // One write alone can be asked not to append (RWF_NOAPPEND); only its place tells. What others have appended the
        // kernel may not know yet, though it was seen here.
        let may_be_end = || self.nodes.lock().least_end(id).is_none_or(|end| offset >= end);
        if !appends || self.policy.access != Access::Shared || !may_be_end() {
            return self.change(id, handle, offset, data.len() as u64, || self.write_at(handle, offset, data));
        }
        // Somewhere from there on.
        let written = self.change(id, handle, offset, u64::MAX, || match handle.donated() {
            Some(file) => all_of(data, |done, rest| append(file, place(offset, done)?, rest)),
            None => self.write_at(handle, self.client.fstat(handle.fd())?.size.max(offset), data),
        })?;
        // That is where the kernel believes the end to be, and puts the next.
        self.nodes.lock().grown(id, place(offset, written)?);
        Ok(written)
    }

    /// Writes `data` at `offset`, whatever the kernel has of the file.
    pub(super) fn write_at(&self, handle: &Handle, offset: u64, data: &[u8]) -> Result<usize> {
        all_of(data, |done, rest| {
            let at = place(offset, done)?;
            match handle.donated() {
                Some(file) => IoSource::from(rest).drain_to(file, at),
                None => self.client.pwrite(handle.fd(), at, &rest[..rest.len().min(self.client.max_write())]),
            }
        })
    }

    /// The application has closed a descriptor.
    pub fn flush(&self, handle: &Handle) -> Result<()> {
        if handle.is_writable() { self.client.flush(handle.fd()) } else { Ok(()) }
    }

    /// Makes a file's or directory's data durable. That can take longer than any answer of a server may.
    pub fn fsync(&self, handle: &Handle) -> Result<()> {
        match handle.donated() {
            Some(file) => Ok(rustix::fs::fsync(file)?),
            None => self.client.fsync(&[handle.fd()]),
        }
    }

    /// Reserves or frees space.
    pub fn fallocate(&self, id: NodeId, handle: &Handle, mode: u32, offset: u64, length: u64) -> Result<()> {
        self.change(id, handle, offset, length, || self.client.fallocate(handle.fd(), mode.into(), offset, length))
    }

    /// Copies to `id` within the host's kernel, if it has both files.
    pub fn copy(&self, from: (&Handle, u64), id: NodeId, to: (&Handle, u64), length: u64) -> Result<usize> {
        // For the kernel, this means to copy by reading and writing.
        let (source, target) = from.0.donated().zip(to.0.donated()).ok_or(Errno::OPNOTSUPP)?;
        if !to.0.is_backed && self.nodes.lock().is_mappable(id) {
            // Afterwards it would drop whole pages, with what mappings have changed in them meanwhile.
            return Err(Errno::OPNOTSUPP);
        }
        let (mut source_offset, mut target_offset) = (from.1, to.1);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let copied =
            rustix::fs::copy_file_range(source, Some(&mut source_offset), target, Some(&mut target_offset), length);
        self.content_changes(id);
        Ok(copied?)
    }

    /// Whether the server wants to be told when applications close descriptors.
    pub fn wants_flush(&self) -> bool {
        self.supports(MessageId::FLUSH)
    }
}

/// Calls `write` with how much was written and the rest of `data` until nothing is left. An error counts only if
/// nothing was written.
fn all_of(data: &[u8], mut write: impl FnMut(usize, &[u8]) -> Result<usize>) -> Result<usize> {
    let mut done = 0;
    while done < data.len() {
        match write(done, &data[done..]) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// The place `done` bytes behind `offset`.
fn place(offset: u64, done: usize) -> Result<u64> {
    offset.checked_add(done as u64).ok_or(Errno::FBIG)
}

/// Writes `data` at the end of `file`, which should be at `offset`.
fn append(file: BorrowedFd<'_>, offset: u64, data: &[u8]) -> Result<usize> {
    Ok(retry_on_intr(|| pwritev2(file, &[IoSlice::new(data)], offset, ReadWriteFlags::APPEND))?)
}

/// Runs `with` with `size` bytes of this thread's own buffer.
fn with_buffer<R>(size: usize, with: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static BUFFER: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
    }
    BUFFER.with_borrow_mut(|buffer| {
        if buffer.len() < size {
            buffer.resize(size, 0);
        }
        with(&mut buffer[..size])
    })
}
