//! Stores that the kernel does not tell of: those in mappings of a donated file that it reads and writes by itself.
//!
//! They change the file's times and blocks below, while the attributes that the kernel caches for this mount stay as
//! they were. So these expire at once as long as there may be such a mapping. A mapping outlives the descriptor it was
//! made with, and nothing says when it is gone; but until then the file counts as open for writing, and no read lease
//! is granted on it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::RwLockReadGuard;
use rustix::fs::{Mode, OFlags};

use super::bridge::Bridge;
use super::identity::NodeId;

impl Bridge {
    /// How long the kernel may trust the attributes of `id`.
    pub fn ttl_of(&self, id: NodeId) -> Duration {
        let ttl = self.ttl();
        if !ttl.is_zero() && self.nodes.lock().changes_unseen(id) { Duration::ZERO } else { ttl }
    }

    /// To be held while a file is opened and until [`may_change_unseen`](Self::may_change_unseen) was called: no lease
    /// is taken meanwhile.
    pub fn opening(&self) -> RwLockReadGuard<'_, ()> {
        self.opening.read()
    }

    /// The kernel may make mappings of the donated file of `id` that change it.
    pub fn may_change_unseen(&self, id: NodeId) {
        if !self.ttl().is_zero() && !self.nodes.lock().set_changes_unseen(id, true) {
            self.invalidator.attributes(id);
        }
    }

    /// Looks whether somebody can still change `id` unseen, if all descriptors for that are closed.
    pub fn look_for_maps(&self, id: NodeId) {
        if self.ttl().is_zero()
            || self.hides_maps.load(Ordering::Relaxed)
            || !self.nodes.lock().is_closed_but_unseen(id)
        {
            return;
        }
        self.client.flush_closes();
        let Ok(handle) = self.open(id, 0) else { return };
        let Some(file) = handle.donated() else { return };
        if !knows_maps(file) {
            self.hides_maps.store(true, Ordering::Relaxed);
            return;
        }
        // Whoever opens it now may change it.
        let Some(_alone) = self.opening.try_write() else { return };
        let mut nodes = self.nodes.lock();
        if nodes.is_closed_but_unseen(id) && !is_open_for_writing(file) {
            nodes.set_changes_unseen(id, false);
        }
    }
}

/// Whether anybody has `file` open for writing, or a mapping of it that can change it. If it cannot be known, too.
fn is_open_for_writing(file: BorrowedFd<'_>) -> bool {
    // The server may have given its own descriptor, which can write.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()) else { return true };
    if lease(file.as_fd(), libc::F_RDLCK).is_err() {
        return true;
    }
    // If somebody opens it in between, he waits for this.
    let _ = lease(file.as_fd(), libc::F_UNLCK);
    false
}

/// Whether the file system of `file` knows who has mapped it. A stacked one leaves mappings to the file below; with a
/// remote one, leases mean something else.
fn knows_maps(file: BorrowedFd<'_>) -> bool {
    const EXT4: i64 = 0xEF53;
    const XFS: i64 = 0x5846_5342;
    const BTRFS: i64 = 0x9123_683E;
    const F2FS: i64 = 0xF2F5_2010;
    const TMPFS: i64 = 0x0102_1994;
    rustix::fs::fstatfs(file).is_ok_and(|stat| [EXT4, XFS, BTRFS, F2FS, TMPFS].contains(&stat.f_type))
}

#[expect(unsafe_code, reason = "neither rustix nor nix knows leases")]
fn lease(file: BorrowedFd<'_>, kind: libc::c_int) -> std::io::Result<()> {
    let fd = std::os::fd::AsRawFd::as_raw_fd(&file);
    // Who is in the way is told so by SIGIO, which would end this process. This signal is ignored unless somebody wants
    // it.
    const F_SETSIG: libc::c_int = 10;
    // SAFETY: takes numbers and a descriptor that is open as long as the borrow.
    let done = unsafe { libc::fcntl(fd, F_SETSIG, libc::SIGURG) == 0 && libc::fcntl(fd, libc::F_SETLEASE, kind) == 0 };
    if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_found_after_its_descriptor_was_closed() {
        use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
        let made = rustix::fs::memfd_create("mapped", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&made, 4096).unwrap();
        // What was not opened is not counted.
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&made));
        let file = std::fs::File::open(&path).unwrap();
        let writer = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        assert!(knows_maps(file.as_fd()));
        assert!(is_open_for_writing(file.as_fd()), "by a descriptor");
        #[expect(unsafe_code, reason = "mappings are made by addresses")]
        // SAFETY: the kernel chooses a place that nothing else uses, and nobody else unmaps it.
        unsafe {
            let map = mmap(std::ptr::null_mut(), 4096, ProtFlags::WRITE, MapFlags::SHARED, &writer, 0).unwrap();
            drop(writer);
            assert!(is_open_for_writing(file.as_fd()), "by a mapping");
            munmap(map, 4096).unwrap();
        }
        assert!(!is_open_for_writing(file.as_fd()));
    }
}
