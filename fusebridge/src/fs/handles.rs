//! Open files and directories.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use lisafs::wire::FdId;
use parking_lot::{Mutex, RwLock};
use slab::Slab;

use super::ahead::Ahead;
use super::flags::ACCESS_MODE;
use super::listing::Shared;
use super::mapped::Mapped;
use super::policy::IoMode;
use super::shares::Share;
use lisafs::client::Client;

/// An opened file or directory. Dropping it gives the open FD back.
pub struct Handle {
    client: Arc<Client>,
    fd: FdId,
    donated: Option<OwnedFd>,
    /// Whether it costs descriptors, here or there.
    is_costly: bool,
    share: Option<Share>,
    access: u32,
    listing: Mutex<Option<Shared>>,
    /// Whether the kernel has a donated file of its own for it: mappings are made of that.
    pub(super) is_backed: bool,
    /// The file, if this goes past the kernel's cache.
    pub(super) mapped: Option<Arc<Mapped<Handle>>>,
    /// What is read ahead, if this goes past the kernel's cache.
    pub(super) ahead: Option<Arc<Ahead>>,
}

impl Handle {
    /// A handle on open FD `fd`, which was opened with `access`.
    pub(super) fn new(client: Arc<Client>, fd: FdId, donated: Option<OwnedFd>, access: u32, io: IoMode) -> Self {
        let is_costly = donated.is_some();
        Handle {
            client,
            fd,
            donated: donated.filter(|_| io != IoMode::Rpc),
            is_costly,
            share: None,
            access: access & ACCESS_MODE,
            listing: Mutex::default(),
            is_backed: false,
            mapped: None,
            ahead: None,
        }
    }

    /// The server's open FD.
    pub fn fd(&self) -> FdId {
        self.fd
    }

    /// The host file, if it was donated and is to be used.
    pub fn donated(&self) -> Option<BorrowedFd<'_>> {
        self.donated.as_ref().map(AsFd::as_fd)
    }

    /// Counts it as `share` as long as it is open, if it costs descriptors.
    pub fn counted_as(mut self, share: Share) -> Self {
        self.share = share.of(self.is_costly);
        self
    }

    /// Whether the file was opened for writing.
    pub fn is_writable(&self) -> bool {
        self.access != 0
    }

    /// Whether the file was opened for reading.
    pub fn is_readable(&self) -> bool {
        const O_WRONLY: u32 = 1;
        self.access != O_WRONLY
    }

    /// Whether a mapping of the file can change it.
    pub fn can_change_by_map(&self) -> bool {
        const O_RDWR: u32 = 2;
        self.access == O_RDWR
    }

    /// Whether reads and writes go past the kernel's cache.
    pub fn is_past_cache(&self) -> bool {
        self.mapped.is_some()
    }

    /// What is known of mappings of the file, if reads and writes go past the kernel's cache.
    pub(super) fn mapped(&self) -> Option<&Mapped<Handle>> {
        self.mapped.as_deref()
    }

    /// What was read ahead, if that may be.
    pub(super) fn ahead(&self) -> Option<&Arc<Ahead>> {
        self.ahead.as_ref()
    }

    /// What was read of the directory, if anything was.
    pub(super) fn listing(&self) -> &Mutex<Option<Shared>> {
        &self.listing
    }

    /// Sets the size through this handle, which works where the file's mode would not let it be opened again.
    pub(super) fn truncate(&self, size: u64) -> bool {
        self.is_writable() && self.donated().is_some_and(|file| rustix::fs::ftruncate(file, size).is_ok())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.client.close(self.fd);
    }
}

/// All handles of a mount, by the numbers that the kernel knows.
#[derive(Default)]
pub struct Handles(RwLock<Slab<Arc<Handle>>>);

impl Handles {
    /// Adds a handle; returns its number.
    pub fn add(&self, handle: Handle) -> u64 {
        self.0.write().insert(Arc::new(handle)) as u64
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.read().len()
    }

    /// The handle with number `number`.
    pub fn get(&self, number: u64) -> Option<Arc<Handle>> {
        self.0.read().get(usize::try_from(number).ok()?).cloned()
    }

    /// Takes the handle with number `number` out.
    pub fn remove(&self, number: u64) -> Option<Arc<Handle>> {
        self.0.write().try_remove(usize::try_from(number).ok()?)
    }
}
