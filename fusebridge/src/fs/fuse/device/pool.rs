//! The threads that read requests and answer them.
//!
//! As long as requests are answered soon there are as many threads as processors, each with an end of its own: one
//! thread sees a request through, and no other is woken for it. When all of them wait for something slow, a thread that
//! otherwise sleeps notices and calls others, so that requests are read all the time, interrupts among them. Those that
//! are under way and still waited for are at most as many as was asked for; what is read beyond that waits in a queue.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Builder;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::callers::{Caller, Patrol};
use super::end::{Backing, End};
use super::idle::IdleThreads;
use super::init::BUFFER;
use super::interrupts::{GRACE_PERIOD, Interrupt, Interrupts};
use super::late::Late;
use super::origin::Origin;
use super::queue::{Job, Queue};
use super::reply::Reply;
use super::room::Room;
use super::serve::{follows_changes, giving_up, serve};
use super::slot::{Current, GivingUp, Slot, now};
use super::watch::Watch;
use crate::fs::fuse::abi::InHeader;
use crate::fs::fuse::handler::Handler;
use crate::fs::fuse::options::{InProcess, MountOptions};
use crate::fs::fuse::request::{Malformed, Operation, Request};
use crate::fs::identity::NodeId;

/// What the threads of a mount share.
pub(in super::super) struct Pool {
    handler: Handler<Backing>,
    first: Arc<End>,
    /// Most requests under way.
    most: usize,
    /// If requests are answered on these threads, and not by a server elsewhere.
    in_process: Option<InProcess>,
    /// Threads that are enough for requests that do not wait.
    usual: AtomicUsize,
    /// Requests under way, but for those that were given up.
    busy: AtomicUsize,
    /// Where threads of rings wait while as many are under way as may be.
    room: Room,
    /// Requests that were given up and go on.
    given_up: AtomicUsize,
    /// Threads that wait for requests.
    readers: AtomicUsize,
    idle: IdleThreads,
    queue: Queue,
    late: Late,
    interrupts: Interrupts,
    watch: Watch,
    patrol: Patrol,
    threads: Mutex<Threads>,
    all_ended: Condvar,
    is_over: AtomicBool,
}

#[derive(Default)]
struct Threads {
    /// One for each thread that was started and has not ended.
    slots: Vec<Arc<Slot>>,
    /// How many threads have been started.
    started: usize,
    /// Why one of them could not go on.
    error: Option<io::Error>,
}

impl Pool {
    /// A pool that answers what comes over `first`, as `options` say. `usual` says how many threads read there as a rule.
    pub(in super::super) fn start(
        handler: Handler<Backing>,
        first: Arc<End>,
        options: &MountOptions,
        usual: Usual,
    ) -> io::Result<Arc<Self>> {
        let most = options.threads.max(1);
        let pool = Arc::new(Pool {
            handler,
            first,
            most,
            in_process: options.in_process,
            usual: AtomicUsize::new(usual.count(most)),
            busy: AtomicUsize::new(0),
            room: Room::default(),
            given_up: AtomicUsize::new(0),
            readers: AtomicUsize::new(0),
            idle: IdleThreads::default(),
            queue: Queue::default(),
            late: Late::default(),
            interrupts: Interrupts::default(),
            watch: Watch::default(),
            patrol: Patrol::default(),
            threads: Mutex::default(),
            all_ended: Condvar::new(),
            is_over: AtomicBool::new(false),
        });
        for _ in 0..pool.usual() {
            pool.add_thread()?;
        }
        let watched = pool.clone();
        let watcher = Builder::new().name("fuse-watch".into()).spawn(move || watched.keep_watch())?;
        pool.watch.set(watcher.thread().clone());
        Ok(pool)
    }

    /// Waits until the file system is unmounted, and everything is answered that somebody waits for. The rest is not
    /// waited for: that ends with the connection to the server.
    pub(in super::super) fn wait(&self) -> io::Result<()> {
        let mut threads = self.threads.lock();
        while !threads.slots.iter().all(|slot| slot.has_been_given_up()) || !self.is_over.load(Ordering::Acquire) {
            self.all_ended.wait(&mut threads);
        }
        let (error, late) = (threads.error.take(), !threads.slots.is_empty());
        drop(threads);
        self.watch.wake();
        self.handler.stop();
        if late {
            self.handler.bridge.disconnect();
        }
        error.map_or(Ok(()), Err)
    }

    /// Reads from now on as many requests at once as `usual` says, and no fewer than before.
    pub(in super::super) fn widen(self: &Arc<Self>, usual: Usual) {
        let usual = usual.count(self.most);
        let before = self.usual.fetch_max(usual, Ordering::SeqCst);
        self.add_threads(usual.saturating_sub(before));
    }

    /// Most requests under way.
    pub(in super::super) fn most(&self) -> usize {
        self.most
    }

    /// An end of the connection.
    pub(in super::super) fn device(&self) -> &Arc<End> {
        &self.first
    }

    fn usual(&self) -> usize {
        self.usual.load(Ordering::Relaxed)
    }

    fn add_thread(self: &Arc<Self>) -> io::Result<()> {
        let mut threads = self.threads.lock();
        // An end of its own is better, but none is needed.
        let is_first = threads.started == 0;
        let own = if is_first { Ok(self.first.clone()) } else { self.first.another() };
        let end = own.unwrap_or_else(|error| {
            tracing::debug!(%error, "a thread has no end of the device of its own");
            self.first.clone()
        });
        let origin = Origin::Device(end.clone());
        let slot = Arc::new(Slot::new(origin.clone()));
        let worker = Worker { pool: self.clone(), slot: slot.clone(), end, origin, reads: true };
        Builder::new().name(format!("fuse-{}", threads.started)).spawn(move || worker.run())?;
        threads.started += 1;
        threads.slots.push(slot);
        Ok(())
    }

    /// Calls or starts `count` threads more.
    fn add_threads(self: &Arc<Self>, count: usize) {
        for _ in self.idle.wake(count)..count {
            if let Err(error) = self.add_thread() {
                tracing::warn!(%error, "requests wait, since no thread can be started");
                return;
            }
        }
    }

    /// Ends all threads, each as soon as it has answered.
    pub(in super::super) fn end(&self, error: Option<io::Error>) {
        self.is_over.store(true, Ordering::Release);
        if let Some(error) = error {
            self.threads.lock().error.get_or_insert(error);
        }
        self.idle.close();
        self.watch.wake();
    }

    /// The caller of request `unique` was interrupted.
    fn interrupt(&self, unique: u64) {
        let due = match self.give_up(unique) {
            Outcome::Over => return,
            Outcome::Later(due) => due,
            // Its thread may not have said yet that it has it.
            Outcome::NotFound => now() + GRACE_PERIOD,
        };
        self.interrupts.put_off(Interrupt { unique, due });
        self.watch.wake();
    }

    /// Gives request `unique` up, if it has taken long enough.
    fn give_up(&self, unique: u64) -> Outcome {
        if let Some(job) = self.queue.remove(unique) {
            job.end.refuse(unique, lisafs::Errno::INTR);
            return Outcome::Over;
        }
        let slots = self.threads.lock().slots.clone();
        let Some((slot, current)) = slots.iter().find_map(|slot| Some((slot, slot.find(unique)?))) else {
            return Outcome::NotFound;
        };
        if current.giving_up == GivingUp::Never {
            return Outcome::Over;
        }
        let due = current.since + GRACE_PERIOD;
        if now() < due {
            return Outcome::Later(due);
        }
        // Each keeps a thread until its server has answered.
        if self.given_up.load(Ordering::SeqCst) >= most_given_up(self.most) {
            return Outcome::Later(now() + GRACE_PERIOD);
        }
        self.refuse_late(slot, unique, &current, lisafs::Errno::INTR);
        Outcome::Over
    }

    /// Ends a call whose backend, in this process, does not answer in time. It may still do so, and what it does then
    /// is done.
    fn expire(&self, slot: &Slot, unique: u64, current: &Current) {
        if self.given_up.load(Ordering::SeqCst) < most_given_up(self.most)
            && self.refuse_late(slot, unique, current, lisafs::Errno::IO)
        {
            tracing::warn!("the backend does not answer in time");
        }
    }

    /// Answers request `unique` with an error, in place of the thread that is at work on it. `false`: it was faster.
    fn refuse_late(&self, slot: &Slot, unique: u64, current: &Current, error: lisafs::Errno) -> bool {
        if current.giving_up == GivingUp::InOrder {
            // Before anybody can know of it.
            self.late.add(current.node, unique);
        }
        let Some(origin) = slot.give_up(unique) else {
            self.late.remove(unique);
            return false;
        };
        if current.is_counted {
            self.given_up.fetch_add(1, Ordering::SeqCst);
            self.busy.fetch_sub(1, Ordering::SeqCst);
        }
        origin.refuse_for_another(unique, error);
        self.room.changed();
        // Whoever waits for the end has looked, or looks again.
        drop(self.threads.lock());
        self.all_ended.notify_all();
        true
    }

    /// Counts one more request as under way, if there may be one.
    fn begin(&self) -> bool {
        let one_more = |busy| if busy < self.most { Some(busy + 1) } else { None };
        self.busy.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    /// What the thread does that notices when others wait.
    fn keep_watch(self: &Arc<Self>) {
        let mut before = Vec::new();
        let mut patrolled = Instant::now();
        while !self.is_over.load(Ordering::Acquire) {
            for unique in self.interrupts.take_due() {
                // What is not found now has ended.
                if let Outcome::Later(due) = self.give_up(unique) {
                    self.interrupts.put_off(Interrupt { unique, due });
                }
            }
            if self.patrol.is_due(&mut patrolled, || self.busy.load(Ordering::SeqCst) > 0) {
                self.look_at_callers();
            }
            if !self.queue.is_empty() && self.busy.load(Ordering::SeqCst) < self.most {
                self.add_threads(1);
            }
            let next = self.interrupts.next().map(Duration::from_millis);
            let next = next.into_iter().chain(self.patrol.next()).min();
            if self.watch.pause(next, || self.readers.load(Ordering::SeqCst) == 0) {
                let has_called = self.call_others(&mut before);
                self.watch.looked(has_called);
            }
        }
    }

    /// Gives up what callers wait long for in spite of a signal, and what takes too long in this process.
    fn look_at_callers(&self) {
        let slots = self.threads.lock().slots.clone();
        let long_ago = now().saturating_sub(GRACE_PERIOD);
        for slot in slots {
            let unique = slot.request();
            let Some(current) = slot.find(unique).filter(|_| unique != 0) else { continue };
            let took = Duration::from_millis(now().saturating_sub(current.since));
            if self.in_process.is_some_and(|server| took >= server.time_limit) {
                self.expire(&slot, unique, &current);
                continue;
            }
            if current.giving_up != GivingUp::Never && current.since <= long_ago && current.caller.is_interrupted() {
                self.interrupt(unique);
            }
        }
    }

    /// Looks who is still at work on the same request as `before`, and calls others in their place. Returns whether
    /// that was needed.
    fn call_others(self: &Arc<Self>, before: &mut Vec<u64>) -> bool {
        let requests: Vec<u64> = {
            let threads = self.threads.lock();
            threads.slots.iter().map(|slot| slot.request()).filter(|request| *request != 0).collect()
        };
        let stuck = requests.iter().filter(|request| before.contains(request)).count();
        let working = requests.len();
        *before = requests;
        let readers = self.readers.load(Ordering::SeqCst);
        let busy = self.busy.load(Ordering::SeqCst);
        if stuck == 0 || readers + working - stuck >= self.usual() {
            return false;
        }
        // Twice as many as are stuck, if that was not noticed soon enough: then they come in crowds. Beyond what may be
        // under way, one reads on.
        let crowd = if readers == 0 { stuck } else { 0 };
        let room = (self.most + 1).saturating_sub(busy + readers);
        let missing = (self.usual() + stuck + crowd).saturating_sub(readers + working).min(room);
        self.add_threads(missing);
        missing > 0
    }
}

/// How many requests may go on at most that nobody waits for any more.
fn most_given_up(most: usize) -> usize {
    most.max(16)
}

/// How many calls to a server a mount can make at once that works on `threads` requests.
#[must_use]
pub fn calls_at_most(threads: usize) -> usize {
    threads + most_given_up(threads)
}

/// How many threads read the device as a rule.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Usual {
    /// One for each processor, since all requests come there.
    Processors,
    /// As many as it takes so that interrupts are read while files are forgotten.
    Few,
}

impl Usual {
    fn count(self, most: usize) -> usize {
        match self {
            Usual::Processors => std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 16).min(most),
            Usual::Few => 2,
        }
    }
}

/// What has become of an interrupt.
enum Outcome {
    /// Its request was answered, or is not to be given up.
    Over,
    /// It comes too early.
    Later(u64),
    /// Nobody is at work on its request.
    NotFound,
}

/// One thread.
pub(in super::super) struct Worker {
    pool: Arc<Pool>,
    slot: Arc<Slot>,
    end: Arc<End>,
    /// Where what comes over `end` is answered. Made once: each request would count references otherwise.
    origin: Origin,
    /// Whether it reads the device.
    reads: bool,
}

impl Worker {
    /// A thread of a ring.
    pub(in super::super) fn of_ring(pool: &Arc<Pool>) -> Self {
        let end = pool.first.clone();
        let origin = Origin::Device(end.clone());
        let slot = Arc::new(Slot::new(origin.clone()));
        pool.threads.lock().slots.push(slot.clone());
        Worker { pool: pool.clone(), slot, end, origin, reads: false }
    }

    /// Makes this thread ready to work.
    pub(in super::super) fn enter(&self) {
        if self.pool.in_process.is_some()
            && let Err(error) = gofer::in_process::enter_thread()
        {
            tracing::warn!(%error, "this process's umask takes permissions from new files");
        }
    }

    fn run(self) {
        self.enter();
        let mut buffer = vec![0; BUFFER];
        loop {
            while let Some(job) = self.next_job() {
                self.handle(&job.bytes, job.end);
            }
            if self.pool.is_over.load(Ordering::Acquire) {
                return;
            }
            // Fewer that are called more often have what they need in their processor's cache.
            let is_needed = self.pool.readers.load(Ordering::SeqCst) < self.pool.usual() || self.pool.idle.wait();
            if !is_needed || !self.receive(&mut buffer) {
                return;
            }
        }
    }

    /// Reads a request and sees to it. `false`: there will be none any more.
    fn receive(&self, buffer: &mut [u8]) -> bool {
        let pool = &self.pool;
        pool.readers.fetch_add(1, Ordering::SeqCst);
        let received = self.end.receive(buffer);
        if pool.readers.fetch_sub(1, Ordering::SeqCst) == 1 {
            pool.watch.begin();
        }
        match received {
            Ok(Some(len)) => {
                self.take(&buffer[..len], &self.origin);
                true
            }
            Ok(None) => {
                pool.end(None);
                false
            }
            Err(error) => {
                pool.end(Some(error.into()));
                false
            }
        }
    }

    /// Sees to the request in `bytes`, which has come from `origin`. `false`: this thread has not answered it, so that
    /// others do or have done, or nobody needs to.
    pub(in super::super) fn take(&self, bytes: &[u8], origin: &Origin) -> bool {
        let pool = &self.pool;
        let request = match Request::decode(bytes) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!("{error}");
                return match error {
                    Malformed::Content(header) => {
                        origin.refuse(header.unique, lisafs::Errno::IO);
                        true
                    }
                    Malformed::NoHeader(_) => false,
                };
            }
        };
        let unique = request.header.unique;
        match request.operation {
            Operation::Interrupt(interrupt) => pool.interrupt(interrupt.unique),
            Operation::Forget(forget) => pool.handler.bridge.forget(NodeId(request.header.node), forget.count),
            Operation::BatchForget(forgotten) => {
                forgotten.iter().for_each(|one| pool.handler.bridge.forget(NodeId(one.node), one.count));
            }
            Operation::NotifyReply => {}
            Operation::Destroy => {
                origin.answer(unique, &[]);
                pool.end(None);
                return true;
            }
            _ if pool.begin() => {
                if matches!(origin, Origin::Ring(_)) || pool.in_process.is_some() {
                    self.slot.set_caller(Caller::of(&request));
                    pool.patrol.begin(&pool.watch);
                }
                return self.work(&request, origin);
            }
            _ => match origin {
                // Whoever is done next takes it, or this thread if somebody is by now.
                Origin::Device(end) => pool.queue.push(Job { unique, bytes: bytes.into(), end: end.clone() }),
                Origin::Ring(_) => {
                    self.slot.set_caller(Caller::of(&request));
                    return self.wait_for_room(&request.header, origin) && self.work(&request, origin);
                }
            },
        }
        false
    }

    /// Waits until one more request may be under way. `false`: it was given up before.
    fn wait_for_room(&self, header: &InHeader, origin: &Origin) -> bool {
        let (pool, slot, unique) = (&self.pool, &self.slot, header.unique);
        slot.wait(unique, NodeId(header.node), origin);
        let has_room =
            pool.room.wait(|| if slot.is_given_up(unique) { Some(false) } else { pool.begin().then_some(true) });
        if !has_room {
            slot.end();
        } else if !slot.claim(unique) {
            slot.end();
            pool.busy.fetch_sub(1, Ordering::SeqCst);
            pool.room.changed();
            return false;
        }
        has_room
    }

    /// A request from the queue that may be worked on.
    fn next_job(&self) -> Option<Job> {
        if self.pool.queue.is_empty() || !self.pool.begin() {
            return None;
        }
        let job = self.pool.queue.pop();
        if job.is_none() {
            self.pool.busy.fetch_sub(1, Ordering::SeqCst);
        }
        job
    }

    /// Works on a request that was taken apart before it was put aside.
    fn handle(&self, bytes: &[u8], end: Arc<End>) {
        if let Ok(request) = Request::decode(bytes) {
            self.work(&request, &Origin::Device(end));
        }
    }

    /// Works on `request`, which is counted as busy. `false`: it was given up, and another has answered it.
    fn work(&self, request: &Request<'_>, origin: &Origin) -> bool {
        let (unique, node) = (request.header.unique, NodeId(request.header.node));
        let (pool, slot) = (&self.pool, &*self.slot);
        let giving_up = giving_up(&request.operation);
        slot.begin(unique, node, giving_up, origin);
        // However it ends, others must know.
        let _done = Done { pool, slot, origin, unique };
        let reply = Reply::new(origin, &pool.first, unique, slot);
        if follows_changes(&request.operation) {
            pool.late.wait(node);
            if reply.is_given_up() {
                return false;
            }
        }
        serve(&pool.handler, request, &reply);
        reply.is_answered()
    }
}

/// Ends the work on a request.
struct Done<'a> {
    pool: &'a Pool,
    slot: &'a Slot,
    origin: &'a Origin,
    unique: u64,
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && self.slot.claim(self.unique) {
            // The thread ends with this.
            self.origin.refuse_for_another(self.unique, lisafs::Errno::IO);
        }
        if self.slot.end() {
            self.pool.late.remove(self.unique);
            self.pool.given_up.fetch_sub(1, Ordering::SeqCst);
        } else {
            self.pool.busy.fetch_sub(1, Ordering::SeqCst);
            self.pool.room.changed();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.reads && std::thread::panicking() && !self.pool.is_over.load(Ordering::Acquire) {
            // The panic was reported, and the request answered.
            self.pool.add_threads(1);
        }
        let mut threads = self.pool.threads.lock();
        threads.slots.retain(|slot| !Arc::ptr_eq(slot, &self.slot));
        drop(threads);
        self.pool.all_ended.notify_all();
    }
}
