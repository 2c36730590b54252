//! Writing back: changes of data are acknowledged when the disk of the cache has them, and uploaded later.
//!
//! What was changed of a file is in journals of the disk ([`Journal`](crate::back::Journal)), each with what it has of
//! the file in an [`Overlay`](crate::back::Overlay): the layers of a [`Pending`], below which are the cache and the
//! backend as they are without them. A thread that uploads takes the oldest layer of a file, makes its changes as
//! `write=through` would, has the backend keep them, and removes the journal. What is written meanwhile comes into
//! another layer. So a journal can be uploaded again from the beginning, as after a kill, to the same end.
//!
//! Names never go this way: they are changed in the backend at once. A journal says which path leads to its file, so a
//! path does not change as long as there are journals below it: who renames waits for them.
//!
//! # Locks
//!
//! The state of a [`Pending`], then the [`Queue`].

mod pending;
mod recover;
mod root;
mod upload;

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use lisafs::backend::{Errno, Result};
use parking_lot::{Condvar, Mutex};

pub(super) use pending::{Hold, Part, Pending, Unsaved, User, read_part};
pub(super) use recover::RecoverError;

use super::inode::Inode;
use super::{Options, Write};
use crate::store::Store;

/// How many files are uploaded at once.
const THREADS: usize = 4;
/// How long a change waits for others that are uploaded with it.
const DELAY: Duration = Duration::from_secs(1);
/// How long an upload that has failed waits at first, and at most.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Files of a volume with changes that the backend does not have.
pub(super) struct Back {
    store: Arc<Store>,
    directory: PathBuf,
    /// Bytes of journals, from which on who writes waits.
    limit: u64,
    /// Whether `fsync` is content with the disk of the cache.
    pub(super) syncs_locally: bool,
    /// Whether it takes changes. Otherwise, it uploads what was left.
    takes_changes: bool,
    numbers: AtomicU64,
    queue: Mutex<Queue>,
    /// There may be something to upload.
    work: Condvar,
    /// Something was uploaded, or could not be.
    progress: Condvar,
}

#[derive(Default)]
struct Queue {
    /// By the numbers of their oldest journals.
    files: BTreeMap<u64, Entry>,
    /// Bytes of all journals.
    bytes: u64,
    /// How many names are being changed.
    moves: usize,
    has_ended: bool,
}

struct Entry {
    inode: Arc<Inode>,
    since: Instant,
    date: SystemTime,
    is_busy: bool,
    /// Somebody waits for it.
    is_wanted: bool,
    /// Since it has failed.
    retry: Option<Retry>,
}

/// What comes of an upload that has failed.
struct Retry {
    /// When it is tried again.
    at: Instant,
    /// How long that was waited for.
    delay: Duration,
    /// Why it has failed.
    errno: Errno,
}

impl Entry {
    fn new(inode: Arc<Inode>, is_wanted: bool) -> Self {
        let (since, date) = (Instant::now(), SystemTime::now());
        Entry { inode, since, date, is_busy: false, is_wanted, retry: None }
    }

    /// Has it uploaded at once.
    fn want(&mut self) {
        self.is_wanted = true;
        self.retry = None;
    }

    /// When it is to be uploaded.
    fn due(&self, is_urgent: bool) -> Instant {
        match self.retry {
            Some(Retry { at, .. }) => at,
            None if is_urgent || self.is_wanted => self.since,
            None => self.since + DELAY,
        }
    }
}

/// What waits to be uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dirty {
    pub(super) bytes: u64,
    /// How long the oldest change has waited.
    pub(super) age: Duration,
}

impl Back {
    /// Begins to upload what [`recover`](super::Volume::recover) finds and what is written from now on.
    pub(super) fn start(store: &Arc<Store>, volume: u64, limit: u64, options: &Options) -> io::Result<Arc<Self>> {
        let directory = store.directory().dirty(volume);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let back = Arc::new(Back {
            store: store.clone(),
            directory,
            limit,
            syncs_locally: options.fsync_locally,
            takes_changes: options.write == Write::Back,
            numbers: AtomicU64::new(1),
            queue: Mutex::default(),
            work: Condvar::new(),
            progress: Condvar::new(),
        });
        for index in 0..THREADS {
            let back = back.clone();
            std::thread::Builder::new().name(format!("cache-up-{index}")).spawn(move || back.work())?;
        }
        Ok(back)
    }

    /// Ends the threads, as soon as they are done with what they do.
    pub(super) fn end(&self) {
        self.queue.lock().has_ended = true;
        self.work.notify_all();
        self.progress.notify_all();
    }

    pub(super) fn dirty(&self) -> Dirty {
        let queue = self.queue.lock();
        let oldest = queue.files.values().map(|file| file.date).min();
        Dirty { bytes: queue.bytes, age: oldest.and_then(|date| date.elapsed().ok()).unwrap_or_default() }
    }

    /// Waits until everything is uploaded, which stays so if nobody writes. An error if an upload fails; what is not
    /// uploaded by `until` stays on the disk.
    pub(super) fn flush_all(&self, until: Option<Instant>) -> Result<()> {
        let mut queue = self.queue.lock();
        queue.files.values_mut().for_each(Entry::want);
        self.work.notify_all();
        while !queue.files.is_empty() {
            if let Some(errno) = queue.obstacle() {
                return Err(errno.into());
            }
            match until {
                None => self.progress.wait(&mut queue),
                Some(until) if self.progress.wait_until(&mut queue, until).timed_out() => {
                    return Err(Errno::TIMEDOUT.into());
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Waits until there is room for more.
    fn wait_for_room(&self) -> Result<()> {
        let mut queue = self.queue.lock();
        while queue.bytes >= self.limit {
            if let Some(errno) = queue.obstacle() {
                return Err(errno.because("the backend takes no changes, and the cache holds as many as it may"));
            }
            self.work.notify_all();
            self.progress.wait(&mut queue);
        }
        Ok(())
    }

    /// Has the file with the oldest journal `number` uploaded at once.
    fn want(&self, number: u64) {
        if let Some(file) = self.queue.lock().files.get_mut(&number) {
            file.want();
        }
        self.work.notify_all();
    }

    fn grow(&self, bytes: u64) {
        let mut queue = self.queue.lock();
        let was_urgent = queue.is_urgent(self.limit);
        queue.bytes += bytes;
        if !was_urgent && queue.is_urgent(self.limit) {
            self.work.notify_all();
        }
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// The next file to upload.
    fn next(&self) -> Option<Arc<Inode>> {
        let mut queue = self.queue.lock();
        loop {
            if queue.has_ended {
                return None;
            }
            let (now, is_urgent) = (Instant::now(), queue.is_urgent(self.limit));
            let mut waiting = queue.files.values_mut().filter(|file| !file.is_busy);
            if let Some(file) = waiting.find(|file| file.due(is_urgent) <= now) {
                file.is_busy = true;
                return Some(file.inode.clone());
            }
            let waiting = queue.files.values().filter(|file| !file.is_busy);
            match waiting.map(|file| file.due(is_urgent)).min() {
                Some(due) => drop(self.work.wait_until(&mut queue, due)),
                None => self.work.wait(&mut queue),
            }
        }
    }

    fn work(self: Arc<Self>) {
        while let Some(inode) = self.next() {
            let user = inode.pending.upload_first(&self);
            // Without a position, its number may be another file's.
            drop(inode);
            drop(user);
        }
    }

    /// Names are about to be changed: until this is dropped, no file that has no journal gets one.
    pub(super) fn begin_move(&self) -> Move<'_> {
        self.queue.lock().moves += 1;
        Move(self)
    }
}

impl Queue {
    fn is_urgent(&self, limit: u64) -> bool {
        self.bytes > limit / 2
    }

    /// Why nothing is uploaded just now, if everything has failed.
    fn obstacle(&self) -> Option<Errno> {
        let mut last = None;
        for file in self.files.values() {
            last = Some(file.retry.as_ref().filter(|_| !file.is_busy)?.errno);
        }
        last
    }
}

/// Names are being changed.
pub(super) struct Move<'a>(&'a Back);

impl Move<'_> {
    /// Uploads `inode`, or what is below it, and has nothing more written to journals as long as what is returned
    /// lives.
    pub(super) fn settle(&self, inode: &Arc<Inode>) -> Result<Vec<Hold>> {
        let inodes: Vec<Arc<Inode>> = {
            let queue = self.0.queue.lock();
            queue.files.values().filter(|file| file.inode.is_below(inode)).map(|file| file.inode.clone()).collect()
        };
        // All of them at once.
        inodes.iter().for_each(|inode| inode.pending.want(self.0));
        inodes.iter().map(|inode| self.0.settle(inode)).collect()
    }
}

impl Drop for Move<'_> {
    fn drop(&mut self) {
        self.0.queue.lock().moves -= 1;
    }
}
