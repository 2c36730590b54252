//! The entries that no thread has yet, and the thread that has their requests handed on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::Builder;

use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};

use super::area::Area;
use super::commands::{BELL, Commands};
use super::entry::Entry;
use super::homeless::Homeless;
use super::thread;
use crate::fs::fuse::device::{End, Pool};

/// So many entries all queues begin with, at most.
const AT_FIRST: usize = 4096;
/// So many more than requests may be under way: their callers are told when they are interrupted.
const SPARE: usize = 16;
/// A queue with fewer of them gets others.
const LOW: usize = 4;
/// How many.
const MORE: usize = 16;

/// Entries that others have answered, and the reserve is to commit.
#[derive(Debug)]
pub(super) struct Commits {
    entries: Mutex<Vec<Arc<Entry>>>,
    bell: OwnedFd,
}

impl Commits {
    /// None yet.
    pub(super) fn new() -> io::Result<Arc<Self>> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Commits { entries: Mutex::default(), bell }))
    }

    /// Has `entry` committed.
    pub(super) fn push(&self, entry: Arc<Entry>) {
        self.entries.lock().push(entry);
        // It cannot be full.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn take(&self) -> Vec<Arc<Entry>> {
        // In this order: what is pushed afterwards rings again.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        std::mem::take(&mut *self.entries.lock())
    }
}

/// The rings of a mount, which nothing uses yet. Whether the system has such is known by now.
pub(in super::super) struct Rings {
    commands: Commands,
    queues: usize,
    commits: Arc<Commits>,
}

impl Rings {
    /// Rings for the connection over `device`.
    pub(in super::super) fn new(device: &End) -> io::Result<Self> {
        let queues = possible_processors()?;
        // As many answers as there are entries may wait; beyond that the kernel has them wait elsewhere.
        let answers = u32::try_from(AT_FIRST.max(queues)).unwrap_or(u32::MAX).min(1 << 14);
        let commands = Commands::disabled(device.as_fd(), answers).map_err(|error| {
            io::Error::new(io::ErrorKind::Unsupported, format!("io_uring does not work here: {error}"))
        })?;
        Ok(Rings { commands, queues, commits: Commits::new()? })
    }

    /// Has the kernel send requests here, whose data has up to `payload` bytes. If that fails, they come over the device.
    pub(in super::super) fn start(self, pool: &Arc<Pool>, payload: usize) -> io::Result<()> {
        let (started, is_started) = sync_channel(1);
        let most = pool.most() + SPARE;
        let queues = (0..self.queues).map(|_| Queue::default()).collect();
        let reserve = Reserve {
            commands: self.commands,
            commits: self.commits,
            pool: pool.clone(),
            payload,
            most,
            queues,
            entries: Vec::new(),
            threads: 0,
        };
        Builder::new().name("fuse-reserve".into()).spawn(move || reserve.run(&started))?;
        is_started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread with the reserve of entries ended")))
    }
}

/// How many queues the kernel has: one for each processor that there may ever be.
fn possible_processors() -> io::Result<usize> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible")?;
    count(text.trim()).filter(|count| (1..=usize::from(u16::MAX)).contains(count)).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("cannot tell how many processors there may be: {text:?}"))
    })
}

/// How many numbers a list like `0-3,8` names.
fn count(list: &str) -> Option<usize> {
    let range = |range: &str| match range.split_once('-') {
        Some((first, last)) => last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)?.checked_add(1),
        None => range.parse::<usize>().ok().map(|_| 1),
    };
    list.split(',').map(range).try_fold(0_usize, |sum, count| sum.checked_add(count?))
}

#[derive(Default)]
struct Queue {
    homeless: Arc<Homeless>,
    /// Entries that are registered.
    all: usize,
    /// Those of them that the reserve waits for.
    waiting: usize,
}

struct Reserve {
    commands: Commands,
    commits: Arc<Commits>,
    pool: Arc<Pool>,
    payload: usize,
    /// Most entries of one queue.
    most: usize,
    queues: Vec<Queue>,
    /// By their numbers.
    entries: Vec<Arc<Entry>>,
    /// How many threads have been started.
    threads: usize,
}

impl Reserve {
    fn run(mut self, started: &SyncSender<io::Result<()>>) {
        let begun = self.begin();
        let has_begun = begun.is_ok();
        // Whoever has asked waits for it.
        let _ = started.send(begun);
        if !has_begun {
            return;
        }
        let ended = self.serve();
        self.pool.end(ended.err());
        self.queues.iter().for_each(|queue| queue.homeless.close());
    }

    /// Registers entries for all queues. After an error the kernel sends requests over the device.
    fn begin(&mut self) -> io::Result<()> {
        self.commands.enable()?;
        let each = (AT_FIRST / self.queues.len()).clamp(1, self.most);
        let begun = self.commands.listen(self.commits.bell.as_fd()).and_then(|()| {
            (0..self.queues.len()).try_for_each(|queue| self.register(queue, each))?;
            self.commands.submit()
        });
        let refused = std::iter::from_fn(|| self.commands.next()).find(|(id, result)| *id != BELL && *result < 0);
        match (begun, refused) {
            (Ok(()), None) => Ok(()),
            (Err(error), _) => {
                let _ = self.commands.give_up();
                Err(error)
            }
            (Ok(()), Some((_, error))) => Err(io::Error::from_raw_os_error(-error)),
        }
    }

    /// Registers up to `count` entries more for `queue`.
    fn register(&mut self, queue: usize, count: usize) -> io::Result<()> {
        let count = count.min(self.most.saturating_sub(self.queues[queue].all));
        if count == 0 {
            return Ok(());
        }
        let area = Arc::new(Area::new(count, self.payload)?);
        let number = u16::try_from(queue).map_err(io::Error::other)?;
        for index in 0..count {
            let entry = Entry::new(self.entries.len(), number, (&area, index), &self.commits);
            self.commands.register(&entry)?;
            self.entries.push(entry);
            self.queues[queue].all += 1;
            self.queues[queue].waiting += 1;
        }
        Ok(())
    }

    /// Hands requests on, until none come any more.
    fn serve(&mut self) -> io::Result<()> {
        loop {
            self.commands.wait()?;
            while let Some((id, result)) = self.commands.next() {
                if id == BELL {
                    for entry in self.commits.take() {
                        self.commit(&entry)?;
                    }
                    self.commands.listen(self.commits.bell.as_fd())?;
                    continue;
                }
                let entry = usize::try_from(id).ok().and_then(|id| self.entries.get(id)).cloned();
                let entry =
                    entry.ok_or_else(|| io::Error::other("the kernel answers with an entry that does not exist"))?;
                match -result {
                    0 => self.hand_on(entry)?,
                    libc::ENOTCONN | libc::ECONNABORTED => return Ok(()),
                    error => self.lose(&entry, io::Error::from_raw_os_error(error))?,
                }
            }
        }
    }

    fn commit(&mut self, entry: &Entry) -> io::Result<()> {
        self.queues[usize::from(entry.queue())].waiting += 1;
        self.commands.commit(entry)
    }

    /// The kernel does not take `entry`. That is the end if it was the last one that its queue had here.
    fn lose(&mut self, entry: &Entry, error: io::Error) -> io::Result<()> {
        let queue = &mut self.queues[usize::from(entry.queue())];
        queue.waiting = queue.waiting.saturating_sub(1);
        if queue.waiting == 0 {
            return Err(error);
        }
        tracing::warn!(%error, "the kernel does not take an entry of a ring");
        Ok(())
    }

    /// Gives the request in `entry` to a thread of its queue.
    fn hand_on(&mut self, entry: Arc<Entry>) -> io::Result<()> {
        let number = usize::from(entry.queue());
        let queue = &mut self.queues[number];
        queue.waiting = queue.waiting.saturating_sub(1);
        let is_low = queue.waiting < LOW;
        if let Err(entry) = queue.homeless.give(entry) {
            if let Err(error) = thread::start(&self.pool, entry.clone(), queue.homeless.clone(), self.threads) {
                tracing::warn!(%error, "a request is refused, since no thread can be started");
                entry.refuse(entry.commit(), lisafs::Errno::NOMEM);
                self.commit(&entry)?;
            }
            self.threads += 1;
        }
        if is_low && let Err(error) = self.register(number, MORE) {
            tracing::warn!(%error, "a queue gets no more entries");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_counted() {
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-1"), Some(2));
        assert_eq!(count("0-3,8,10-11"), Some(7));
        assert_eq!([count(""), count("a-b"), count("3-1")], [None; 3]);
        assert!(possible_processors().unwrap() >= std::thread::available_parallelism().unwrap().get());
    }
}
