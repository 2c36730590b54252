//! Commits: everything that has changed up to a moment goes to the store, data first, then one batch of metadata.
//!
//! One thread commits. Others ask for it and wait, as many as there are for one commit.

mod freeze;
mod place;
mod tidy;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use self::tidy::Tidy;
use crate::Errno;
use crate::meta::Failure;
use crate::volume::Volume;

/// How long to wait before a commit that failed is tried again, at first and at last.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Who wants a commit, and how far they are.
pub(crate) struct Commits {
    progress: Mutex<Progress>,
    /// Somebody wants a commit, or there is something new.
    wanted: Condvar,
    /// A commit is done.
    done: Condvar,
    /// Whether there was a change since the last commit began.
    has_changes: AtomicBool,
    /// Bytes that wait for a commit: data, and about what changes of metadata take.
    dirty: AtomicU64,
    /// How many of them may.
    limit: u64,
}

#[derive(Default)]
struct Progress {
    /// Commits that have begun, are done, and that somebody waits for.
    begun: u64,
    done: u64,
    wanted: u64,
    /// When the first change came that no commit has begun with.
    since: Option<Instant>,
    stop: bool,
}

impl Commits {
    /// Nothing to do yet. `limit` is how many bytes may wait.
    pub(crate) fn new(limit: u64) -> Self {
        Commits {
            progress: Mutex::default(),
            wanted: Condvar::new(),
            done: Condvar::new(),
            has_changes: AtomicBool::new(false),
            dirty: AtomicU64::new(0),
            limit,
        }
    }

    /// Notes that something has changed.
    pub(crate) fn changed(&self) {
        if self.has_changes.swap(true, Ordering::AcqRel) {
            return;
        }
        self.progress.lock().since.get_or_insert_with(Instant::now);
        self.wanted.notify_one();
    }

    /// Notes that bytes wait, and that others do so no more.
    pub(crate) fn waits(&self, more: u64, less: u64) {
        let before = self.dirty.fetch_add(more.wrapping_sub(less), Ordering::AcqRel);
        let now = before.wrapping_add(more).wrapping_sub(less);
        if before < self.limit / 2 && now >= self.limit / 2 {
            self.want();
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.dirty.load(Ordering::Acquire)
    }

    /// Asks for a commit that begins after now, and says which it is.
    fn want(&self) -> u64 {
        let mut progress = self.progress.lock();
        let wanted = progress.begun + 1;
        progress.wanted = progress.wanted.max(wanted);
        drop(progress);
        self.wanted.notify_one();
        wanted
    }
}

impl Volume {
    /// Makes everything durable that was done before. `EIO` if the store does not take it in time.
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        if self.options.read_only {
            return Ok(());
        }
        self.check()?;
        let deadline = Instant::now() + self.meta.limit();
        let mut progress = self.commits.progress.lock();
        let is_idle = progress.begun == progress.done;
        if is_idle && self.is_clean() {
            return Ok(());
        }
        let wanted = progress.begun + 1;
        progress.wanted = progress.wanted.max(wanted);
        self.commits.wanted.notify_one();
        while progress.done < wanted {
            if self.check().is_err() {
                return Err(Errno::IO);
            }
            if self.commits.done.wait_until(&mut progress, deadline).timed_out() && progress.done < wanted {
                tracing::error!("changes could not be made durable in time; they are kept and retried");
                return Err(Errno::IO);
            }
        }
        Ok(())
    }

    /// Waits until there is room for more changes. `EIO` if there is none in time.
    pub(crate) fn throttle(&self) -> Result<(), Errno> {
        self.check()?;
        if self.commits.waiting() < self.commits.limit {
            return Ok(());
        }
        let deadline = Instant::now() + self.meta.limit();
        while self.commits.waiting() >= self.commits.limit {
            let wanted = self.commits.want();
            let mut progress = self.commits.progress.lock();
            while progress.done < wanted && self.commits.waiting() >= self.commits.limit {
                self.check()?;
                if self.commits.done.wait_until(&mut progress, deadline).timed_out() {
                    tracing::error!("the store accepts no data, and too much is already waiting");
                    return Err(Errno::IO);
                }
            }
        }
        Ok(())
    }

    /// Has the thread that [commits](Self::commit_until_stopped) end, after a last commit.
    pub(crate) fn stop(&self) {
        self.commits.progress.lock().stop = true;
        self.commits.wanted.notify_one();
    }

    /// Commits whenever it is time, until [stopped](Self::stop) or until the volume is lost.
    pub(crate) fn commit_until_stopped(self: &Arc<Self>) {
        let mut tidy = Tidy::new(Instant::now());
        while let Some(is_last) = self.next_commit() {
            let bytes = self.commits.waiting();
            if !self.commit() {
                self.lose();
                self.commits.done.notify_all();
                return;
            }
            if is_last && self.is_clean() {
                return;
            }
            if tidy.is_due(bytes, Instant::now()) {
                gofer::memory::trim();
            }
        }
    }

    /// Waits until a commit is due and begins it. The answer says whether there is to be no other; nothing if there is
    /// none left to do.
    fn next_commit(&self) -> Option<bool> {
        let mut progress = self.commits.progress.lock();
        loop {
            if progress.stop && self.is_clean() && progress.wanted <= progress.done {
                return None;
            }
            let due = progress.since.map(|since| since + self.options.interval);
            let is_much = progress.since.is_some() && self.commits.waiting() >= self.commits.limit / 2;
            let is_wanted = progress.wanted > progress.begun || progress.stop || is_much;
            if is_wanted || due.is_some_and(|due| Instant::now() >= due) {
                break;
            }
            match due {
                Some(due) => drop(self.commits.wanted.wait_until(&mut progress, due)),
                None => self.commits.wanted.wait(&mut progress),
            }
        }
        progress.begun += 1;
        progress.since = None;
        self.commits.has_changes.store(false, Ordering::Release);
        Some(progress.stop)
    }

    /// Makes everything durable that has changed before now, as long as it takes. Says whether that is possible.
    fn commit(self: &Arc<Self>) -> bool {
        let moves = self.prepare_moves();
        let mut frozen = self.freeze(moves);
        let mut pause = PAUSE;
        let mut has_failed = false;
        loop {
            match self.wait(self.write_frozen(&mut frozen)) {
                Ok(()) => break,
                Err(Failure::Fenced) => return false,
                Err(Failure::Passing(_)) if self.meta.is_fenced() => return false,
                Err(Failure::Passing(reason)) => {
                    if !has_failed {
                        let reason = self.wait(self.store.why_not()).unwrap_or_else(|| reason.clone());
                        tracing::warn!(reason, "the store does not accept changes; they are kept and retried");
                    }
                    has_failed = true;
                    if self.gives_up() {
                        tracing::error!(reason, "changes that were not durable yet are lost");
                        return false;
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
        if has_failed {
            tracing::info!("the store accepts changes again");
        }
        self.durable.send_replace(frozen.state.commits);
        let mut progress = self.commits.progress.lock();
        progress.done = progress.begun;
        drop(progress);
        self.commits.done.notify_all();
        true
    }

    /// Whether nobody will wait for the store any longer.
    fn gives_up(&self) -> bool {
        self.commits.progress.lock().stop
    }
}

#[cfg(test)]
mod tests {
    use crate::node::ROOT;
    use crate::record::{Inode, S_IFREG};
    use crate::tests::Scene;

    /// What is punched while a commit writes it, in a part of the file that was cut off and written again.
    #[test]
    fn a_hole_that_is_made_during_a_commit_stays() {
        let scene = Scene::with("memory:?interval=1m");
        let fs = crate::BlobFs::new(scene.open());
        let volume = fs.volume();
        let (block, dir) = (volume.block(), volume.node(ROOT).unwrap());
        let file = volume.make(&dir, b"file", Inode { mode: S_IFREG | 0o644, ..Inode::default() }).unwrap();
        let content = vec![7; 3 * usize::try_from(block).unwrap()];
        volume.write(&file, (&content[..]).into(), 0).unwrap();
        volume.sync().unwrap();
        volume.set_size(&file, 0).unwrap();
        volume.write(&file, (&content[..]).into(), 0).unwrap();
        let mut frozen = volume.freeze(Vec::new());
        volume.punch(&file, block..2 * block).unwrap();
        volume.wait(volume.write_frozen(&mut frozen)).unwrap();
        let mut read = content.clone();
        assert_eq!(volume.read(&file, (&mut read[..]).into(), 0), Ok(content.len()));
        let (from, to) = (usize::try_from(block).unwrap(), usize::try_from(2 * block).unwrap());
        assert!(read[from..to].iter().all(|byte| *byte == 0), "the hole");
        assert!(read[..from].iter().chain(&read[to..]).all(|byte| *byte == 7), "beside it");
        assert_eq!(file.lock().inode.held, 2 * block);
        volume.sync().unwrap();
        assert_eq!(scene.check(), Vec::<String>::new());
    }
}
