//! What all files of a volume share.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use object_store::path::Path;
use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;

use crate::ahead::Readers;
use crate::cache::Blocks;
use crate::collect::Collector;
use crate::commit::Commits;
use crate::location::Options;
use crate::meta::Meta;
use crate::node::Node;
use crate::overlay::Overlay;
use crate::record::{Inode, RequestCounts, State, Time, decode};
use crate::superblock::Superblock;
use crate::warm::Warm;
use crate::{Errno, Store, key};

/// A volume that is open.
///
/// # Locks, in the order in which they are taken
///
/// 1. `names`: one change of names runs at a time;
/// 2. `barrier`: held for reading by every change of anything, for writing while a commit takes what has changed;
/// 3. files' states, of several in any order under `names`, else one;
/// 4. the tables here, under which nothing else is taken.
///
/// Nobody waits for the store under 2 to 4, and under 1 only for what another change of names has pushed out of memory
/// since it was looked at before.
pub(crate) struct Volume {
    pub(crate) superblock: Superblock,
    pub(crate) options: Options,
    pub(crate) store: Store,
    pub(crate) meta: Meta,
    pub(crate) runtime: Handle,
    pub(crate) overlay: Overlay,
    /// Metadata that was read ahead.
    pub(crate) warmed: Warm,
    pub(crate) blocks: Blocks,
    pub(crate) readers: Readers,
    pub(crate) commits: Commits,
    pub(crate) collector: Collector,
    /// Which volume's segments are this one's own.
    pub(crate) own: u16,
    /// Where the volumes are that made segments.
    pub(crate) prefixes: Vec<Path>,
    /// Held while names are changed.
    pub(crate) names: Mutex<()>,
    /// See above.
    pub(crate) barrier: RwLock<()>,
    /// Files in use.
    nodes: Mutex<HashMap<u64, Weak<Node>>>,
    /// Files with changes to commit.
    dirty: Mutex<HashMap<u64, Arc<Node>>>,
    /// Files without a name that nobody uses any more. Taken with `nodes` held, too.
    doomed: Mutex<Doomed>,
    counters: Counters,
    /// How many commits are durable.
    pub(crate) durable: watch::Sender<u64>,
    /// How many commits the database has seen.
    published: AtomicU64,
    /// Somebody else writes, or a commit can never succeed.
    lost: AtomicBool,
    /// The checkpoint of this process for the snapshot that it looks at.
    pub(crate) held: Mutex<Option<Uuid>>,
    /// Minor number of the device.
    pub(crate) device: u32,
}

/// Files that are to be deleted.
#[derive(Default)]
struct Doomed {
    /// By the next commit.
    next: HashSet<u64>,
    /// By the commit under way: the database still has them.
    going: HashSet<u64>,
}

/// Memory that a file with changes takes beside its data: here, and in the commit that is made of it.
pub(crate) const NODE: u64 = 3 << 10;

/// The counters of [`State`], as they are now.
struct Counters {
    next_ino: AtomicU64,
    openings: u32,
    next_segment: AtomicU64,
    commits: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    /// Requests of those who wrote before.
    requests: RequestCounts,
}

impl Counters {
    fn new(state: &State) -> Self {
        Counters {
            next_ino: state.next_ino.into(),
            openings: state.openings,
            next_segment: AtomicU64::new(0),
            commits: state.commits.into(),
            files: state.files.into(),
            bytes: state.bytes.into(),
            requests: state.requests,
        }
    }
}

/// The kernel's own minor numbers have 20 bits; ours are beyond, and not those of other file systems of this program.
static NEXT_DEVICE: AtomicU64 = AtomicU64::new(1 << 24);

impl Volume {
    /// A volume whose metadata are open.
    pub(crate) fn new(
        superblock: Superblock,
        options: Options,
        store: Store,
        meta: Meta,
        state: &State,
        runtime: Handle,
    ) -> Arc<Self> {
        Arc::new(Volume {
            blocks: Blocks::new(options.cache),
            readers: Readers::new(options.cache),
            commits: Commits::new(options.dirty),
            collector: Collector::default(),
            own: superblock.index(),
            prefixes: superblock.prefixes(&store.prefix),
            superblock,
            options,
            store,
            meta,
            runtime,
            warmed: Warm::default(),
            overlay: Overlay::default(),
            names: Mutex::new(()),
            barrier: RwLock::new(()),
            nodes: Mutex::default(),
            dirty: Mutex::default(),
            doomed: Mutex::default(),
            counters: Counters::new(state),
            durable: watch::Sender::new(state.commits),
            published: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            held: Mutex::default(),
            device: u32::try_from(NEXT_DEVICE.fetch_add(1, Ordering::Relaxed)).unwrap_or(u32::MAX),
        })
    }

    /// Bytes of a block.
    pub(crate) fn block(&self) -> u64 {
        self.superblock.block.into()
    }

    /// Waits for what the store does. Not on the runtime's own threads.
    pub(crate) fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        /// The threads of connections have small stacks, and the database and the store's client are deep.
        const ENOUGH: usize = 512 << 10;
        stacker::maybe_grow(ENOUGH, 2 * ENOUGH, || self.runtime.block_on(call))
    }

    /// The value of `key` with all changes.
    pub(crate) fn get<T: DeserializeOwned>(&self, what: &'static str, key: &[u8]) -> Result<Option<T>, Errno> {
        match self.overlay.get(key) {
            Some(change) => change.map(|value| decode(what, &value)).transpose(),
            None => {
                self.check()?;
                self.wait(self.meta.record(what, key))
            }
        }
    }

    /// Up to about `most` records of `range` with all changes, in order, and where to go on.
    pub(crate) fn scan(&self, range: &Range<Vec<u8>>, most: usize) -> Result<Page, Errno> {
        self.check()?;
        // First: what a commit writes meanwhile is then in both, not in neither.
        let changes = self.overlay.range(range);
        let stored = self.wait(self.meta.scan(range.clone(), most))?;
        let next = if stored.len() < most { None } else { stored.last().map(|last| [&last.key[..], &[0]].concat()) };
        let mut records: std::collections::BTreeMap<_, _> =
            stored.into_iter().map(|record| (record.key.to_vec(), record.value.to_vec())).collect();
        for (key, value) in changes {
            if next.as_ref().is_some_and(|next| key >= *next) {
                break;
            }
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
        Ok(Page { records: records.into_iter().collect(), next })
    }

    /// The file of a number that some name leads to.
    pub(crate) fn node(self: &Arc<Self>, ino: u64) -> Result<Arc<Node>, Errno> {
        self.live(ino)?.ok_or_else(|| self.missing(ino))
    }

    /// The same of a number that some name has led to a moment ago; `None` if the file is gone, or about to go.
    pub(crate) fn live(self: &Arc<Self>, ino: u64) -> Result<Option<Arc<Node>>, Errno> {
        if let Some(node) = self.known(ino) {
            return Ok(Some(node));
        }
        loop {
            let (published, version) = (self.published.load(Ordering::Acquire), self.meta.version());
            self.check()?;
            let inode: Option<Inode> = self.wait(self.meta.record("inode", &key::inode(ino)))?;
            let mut nodes = self.nodes.lock();
            // Somebody else may have been faster.
            match nodes.get(&ino).map(Weak::upgrade) {
                Some(Some(other)) => {
                    drop(nodes);
                    return Ok(Some(other));
                }
                // It is being dropped, upon which it may be doomed.
                Some(None) => {
                    drop(nodes);
                    std::thread::yield_now();
                    continue;
                }
                None => {}
            }
            let is_doomed = self.is_doomed(ino);
            // Or somebody may have changed it, and be gone already.
            if self.published.load(Ordering::Acquire) == published {
                return Ok(inode.filter(|inode| inode.nlink > 0 && !is_doomed).map(|inode| {
                    let node = Node::new(self, ino, inode, version);
                    nodes.insert(ino, Arc::downgrade(&node));
                    node
                }));
            }
            drop(nodes);
        }
    }

    /// What a name that leads to no file is.
    pub(crate) fn missing(&self, ino: u64) -> Errno {
        if self.options.read_only {
            tracing::debug!(ino, "a file was deleted after its name was read, unless the volume is damaged");
            return Errno::NOENT;
        }
        tracing::error!(ino, "the volume is damaged: a name leads to a file that does not exist");
        Errno::IO
    }

    /// Reads a file's attributes again if the volume is only read here, and somebody else has written since.
    pub(crate) fn refresh(&self, node: &Node) -> Result<(), Errno> {
        let version = self.meta.version();
        if !self.options.read_only || node.lock().version == version {
            return Ok(());
        }
        self.check()?;
        let inode: Option<Inode> = self.wait(self.meta.record("inode", &key::inode(node.ino)))?;
        self.renew(node, inode, version);
        Ok(())
    }

    /// What is known of a file that somebody else has written to is from now on what was read at `version`.
    fn renew(&self, node: &Node, inode: Option<Inode>, version: u64) {
        let mut state = node.lock();
        match inode {
            Some(inode) => {
                state.committed = inode.size.div_ceil(self.block());
                state.inode = inode;
            }
            // It was deleted: who has it open here cannot keep it.
            None => state.inode.nlink = 0,
        }
        state.version = version;
        state.forget();
    }

    /// Whether somebody else has changed a file since its attributes were read, of a volume that is only read here. What
    /// is read meanwhile may be of either state. `ESTALE` if it was deleted, and its data with it.
    pub(crate) async fn has_moved_on(&self, node: &Node) -> Result<bool, Errno> {
        if !self.options.read_only {
            return Ok(false);
        }
        let version = self.meta.version();
        let inode: Option<Inode> = self.meta.record("inode", &key::inode(node.ino)).await?;
        let is_deleted = inode.is_none();
        let has_changed = inode.as_ref() != Some(&node.lock().inode);
        if has_changed {
            self.renew(node, inode, version);
        }
        if is_deleted { Err(Errno::STALE) } else { Ok(has_changed) }
    }

    /// Notes that a commit is in the database. What it has written may be forgotten afterwards.
    pub(crate) fn publish(&self) {
        self.published.fetch_add(1, Ordering::AcqRel);
        self.overlay.committed();
        self.doomed.lock().going.clear();
    }

    pub(crate) fn known(&self, ino: u64) -> Option<Arc<Node>> {
        self.nodes.lock().get(&ino).and_then(Weak::upgrade)
    }

    /// A new file, which nobody can find yet. The caller holds the barrier.
    pub(crate) fn create(self: &Arc<Self>, inode: Inode) -> Arc<Node> {
        let ino = self.counters.next_ino.fetch_add(1, Ordering::Relaxed);
        self.counters.files.fetch_add(1, Ordering::Relaxed);
        let node = Node::created(self, ino, inode);
        self.nodes.lock().insert(ino, Arc::downgrade(&node));
        self.changed(&node);
        node
    }

    /// Notes that `node` has changes to commit. The caller holds the barrier.
    pub(crate) fn changed(&self, node: &Arc<Node>) {
        self.write_too(node);
        self.commits.changed();
    }

    /// Makes changes of the metadata, all at once. The caller holds the barrier.
    pub(crate) fn change_metadata(&self, changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) {
        let (more, less) = self.overlay.apply(changes);
        self.commits.waits(more, less);
        self.commits.changed();
    }

    /// Notes that the last user of a file is gone.
    pub(crate) fn dropped(&self, ino: u64, inode: &Inode) {
        // First: whoever looks for it and finds it gone is to know why.
        if inode.nlink == 0 && !self.options.read_only {
            self.doom(ino, inode);
        }
        let mut nodes = self.nodes.lock();
        if nodes.get(&ino).is_some_and(|node| node.strong_count() == 0) {
            nodes.remove(&ino);
        }
    }

    /// Has a file without a name deleted that nobody uses.
    pub(crate) fn doom(&self, ino: u64, inode: &Inode) {
        // A commit takes the counters and the files that go together.
        let mut doomed = self.doomed.lock();
        self.counters.files.fetch_sub(1, Ordering::Relaxed);
        self.count_bytes(0, inode.held);
        doomed.next.insert(ino);
        drop(doomed);
        self.commits.changed();
    }

    /// Has the next commit write a file. The caller holds the barrier.
    pub(crate) fn write_too(&self, node: &Arc<Node>) {
        let is_new = match self.dirty.lock().entry(node.ino) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                entry.insert(node.clone());
                true
            }
        };
        if is_new {
            self.commits.waits(NODE, 0);
        }
    }

    /// Whether a file is about to be deleted.
    fn is_doomed(&self, ino: u64) -> bool {
        let doomed = self.doomed.lock();
        doomed.next.contains(&ino) || doomed.going.contains(&ino)
    }

    /// How often the volume was opened for writing, this time included.
    pub(crate) fn opening(&self) -> u32 {
        self.counters.openings
    }

    /// Takes the files with changes. The caller holds the barrier for writing.
    pub(crate) fn take_dirty(&self) -> Vec<Arc<Node>> {
        std::mem::take(&mut *self.dirty.lock()).into_values().collect()
    }

    /// Takes the files that are to be deleted, counts a commit, and says what the counters are.
    pub(crate) fn take_doomed(&self) -> (Vec<u64>, State) {
        let mut doomed = self.doomed.lock();
        self.counters.commits.fetch_add(1, Ordering::Relaxed);
        doomed.going = std::mem::take(&mut doomed.next);
        (doomed.going.iter().copied().collect(), self.state())
    }

    /// Whether there is nothing to commit.
    pub(crate) fn is_clean(&self) -> bool {
        let has_moves = self.collector.has_moves();
        !has_moves && self.overlay.is_empty() && self.dirty.lock().is_empty() && self.doomed.lock().next.is_empty()
    }

    /// The number of a new segment, which nobody else who has or had the volume open gives to one of his.
    pub(crate) fn next_segment(&self) -> u64 {
        u64::from(self.counters.openings) << 32 | self.counters.next_segment.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts bytes of content that were written and freed.
    pub(crate) fn count_bytes(&self, written: u64, freed: u64) {
        self.counters.bytes.fetch_add(written.wrapping_sub(freed), Ordering::Relaxed);
    }

    /// The counters.
    pub(crate) fn state(&self) -> State {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        State {
            next_ino: of(&self.counters.next_ino),
            openings: self.counters.openings,
            commits: of(&self.counters.commits),
            files: of(&self.counters.files),
            bytes: of(&self.counters.bytes),
            is_closed: false,
            requests: self.counters.requests + self.store.requests.counts(),
        }
    }

    /// Gives the volume up: nothing is read or written any more.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// `EIO` if the volume was given up.
    pub(crate) fn check(&self) -> Result<(), Errno> {
        if self.lost.load(Ordering::Acquire) || self.meta.is_fenced() { Err(Errno::IO) } else { Ok(()) }
    }
}

/// A part of what a scan finds.
pub(crate) struct Page {
    /// Keys and values.
    pub(crate) records: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where to go on, if there may be more.
    pub(crate) next: Option<Vec<u8>>,
}

/// The time by the clock on the wall.
pub(crate) fn now() -> Time {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(time) => Time { sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), nsec: time.subsec_nanos() },
        Err(_) => Time::default(),
    }
}
