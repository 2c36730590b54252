//! Looking names up ahead, for who goes through a directory that he has listed.
//!
//! Over a slow server each name costs a round trip, one after the other. A listing with attributes (READDIRPLUS) asks
//! for several names at once, as part of the one request. Where nothing may be remembered the kernel makes no such
//! requests, but looks up each name when somebody wants to know of it, and asks for the directory's own attributes before
//! that each time. Whoever looks names up in the order of the listing, as `ls -l` and `find -size` do, will ask for the
//! next ones: these are looked up with the one that he asks for, as are extended attributes that he wants of each, and
//! kept for as long as that makes no difference:
//!
//! * What is kept was asked for no longer than `FRESH` before.
//! * It is dropped when anything is changed through this mount, or may be: by what is open for writing.
//! * A name that was not found is always asked for.
//!
//! A server that answers quickly is asked for each name.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lisafs::Errno;
use lisafs::wire::{MessageId, Statx};
use parking_lot::Mutex;

use super::{FRESH, SLOW};
use crate::fs::bridge::{Bridge, Entry, Result};
use crate::fs::control::Control;
use crate::fs::identity::{Identity, NodeId};
use crate::fs::listing::Shared;
use crate::fs::policy::Access;

/// So many names are looked up at once, at most and to begin with.
const MOST: usize = 32;
const FEWEST: usize = 4;

/// As many lookups in a row must have been slow.
const SLOW_LOOKUPS: u32 = 2;

/// So many names of a listing may be left out by who goes through it.
const SKIPPED: usize = 8;

/// So many directories are gone through at once, with listings of no more entries.
const MOST_WALKS: usize = 8;
const MOST_ENTRIES: usize = 1 << 16;

/// What a name leads to.
#[derive(Clone)]
pub(in crate::fs) enum Ahead {
    /// It was walked to.
    Walked(Arc<Control>, Statx),
    /// It still is the file that it was known to be.
    Known(Statx),
}

/// What was answered about an extended attribute.
type Value = Result<Vec<u8>>;

/// The name of a file and that of its extended attribute.
type Attribute = (Box<[u8]>, Box<[u8]>);

/// Who goes through which directories.
#[derive(Default)]
pub(in crate::fs) struct Walks {
    walks: Mutex<HashMap<NodeId, Walk>>,
    /// Something tells of all changes.
    is_told: AtomicBool,
    /// How many have begun or ended.
    changes: AtomicU64,
    /// Lookups in a row that were slow.
    slow: AtomicU64,
}

/// One directory that is gone through.
struct Walk {
    listing: Shared,
    since: Instant,
    /// Which entry is next.
    next: usize,
    /// Lookups in a row that were in order, and slow.
    slow: u32,
    /// How many names are looked up at once the next time.
    size: usize,
    /// How often which extended attribute was asked for.
    wanted: HashMap<Box<[u8]>, u32>,
    kept: Option<Kept>,
}

/// What was looked up ahead.
struct Kept {
    asked: Instant,
    changes: u64,
    directory: Option<Statx>,
    /// Where in the listing it begins.
    start: usize,
    names: HashMap<Box<[u8]>, Ahead>,
    attributes: HashMap<Attribute, Value>,
}

impl Walk {
    fn new(listing: Shared) -> Self {
        Walk { listing, since: Instant::now(), next: 0, slow: 0, size: FEWEST, wanted: HashMap::new(), kept: None }
    }

    /// Where `name` is, if it comes next.
    fn position(&self, name: &[u8]) -> Option<usize> {
        let listing = self.listing.lock();
        let next = listing.entries.get(self.next..)?;
        Some(self.next + next.iter().take(SKIPPED).position(|entry| *entry.name == *name)?)
    }

    /// Drops what is not good any more. Who has not used it in time gets less.
    fn drop_old(&mut self, name: &[u8], changes: u64) {
        let Some(kept) = self.kept.take_if(|kept| !kept.is_good(changes)) else { return };
        let end = std::mem::replace(&mut self.next, kept.start);
        let entries = self.listing.lock();
        let rest = entries.entries.get(kept.start..end).unwrap_or_default();
        self.next += rest.iter().position(|entry| *entry.name == *name).unwrap_or(rest.len());
        // As the next one will be twice as many.
        self.size = (self.size / 4).max(1);
    }

    /// Whether `name` was the last one.
    fn is_last(&self, name: &[u8]) -> bool {
        let last = self.next.checked_sub(1);
        last.and_then(|last| Some(*self.listing.lock().entries.get(last)?.name == *name)).unwrap_or(false)
    }

    /// The names to look up together with `name`, which is the first of them.
    fn batch(&mut self, name: &[u8]) -> Option<Vec<Box<[u8]>>> {
        if self.slow < SLOW_LOOKUPS {
            return None;
        }
        let start = self.position(name)?;
        let names: Vec<_> = {
            let listing = self.listing.lock();
            listing.entries[start..].iter().take(self.size).map(|entry| entry.name.clone()).collect()
        };
        self.next = start + names.len();
        self.size = (self.size * 2).min(MOST);
        Some(names)
    }
}

impl Kept {
    fn is_good(&self, changes: u64) -> bool {
        self.changes == changes && self.asked.elapsed() < FRESH
    }
}

/// See [`Walks::changing`].
pub(in crate::fs) struct Changing<'a>(&'a Walks);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.changed();
    }
}

impl Walks {
    /// From now on all changes are told.
    pub(in crate::fs) fn are_told(&self) {
        self.is_told.store(true, Ordering::Relaxed);
    }

    /// To be held while something is changed through this mount.
    pub(in crate::fs) fn changing(&self) -> Changing<'_> {
        self.changed();
        Changing(self)
    }

    /// Something was changed through this mount, or may be from now on.
    pub(in crate::fs) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        // Whoever changes one file after the other will go on with that, and has no use for what is kept.
        self.walks.lock().retain(|_, walk| walk.kept.is_none());
    }

    fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// A listing of `directory` is read from its beginning.
    pub(in crate::fs) fn listed(&self, directory: NodeId, listing: &Shared) {
        let mut walks = self.walks.lock();
        let oldest = walks.iter().min_by_key(|(_, walk)| walk.since).map(|(id, _)| *id);
        if walks.len() >= MOST_WALKS
            && let Some(oldest) = oldest
        {
            walks.remove(&oldest);
        }
        walks.insert(directory, Walk::new(listing.clone()));
    }

    /// A lookup took so long.
    fn took(&self, took: Duration) {
        let before = self.slow.load(Ordering::Relaxed);
        let slow = if took >= SLOW { before + 1 } else { 0 };
        // As a rule it stays 0, which all threads can go on reading.
        if slow != before {
            self.slow.store(slow, Ordering::Relaxed);
        }
    }

    /// `name` in `directory` was looked up, which took so long.
    fn answered(&self, directory: NodeId, name: &[u8], took: Duration) {
        let is_slow = took >= SLOW;
        let mut walks = self.walks.lock();
        let Some(walk) = walks.get_mut(&directory) else { return };
        if walk.is_last(name) {
            // `ls -l` looks a file up once more for each attribute.
            return;
        }
        match walk.position(name) {
            Some(position) if is_slow => {
                walk.next = position + 1;
                walk.slow += 1;
            }
            Some(position) => (walk.next, walk.slow) = (position + 1, 0),
            None => walk.slow = 0,
        }
        if walk.listing.lock().entries.len() > MOST_ENTRIES {
            walks.remove(&directory);
        }
    }
}

impl Bridge {
    /// Whether lookups are answered slowly.
    pub(in crate::fs) fn looks_up_slowly(&self) -> bool {
        self.walks.slow.load(Ordering::Relaxed) > 0
    }

    /// Whether names are looked up ahead for who looks up one.
    pub(in crate::fs) fn goes_ahead(&self) -> bool {
        self.policy.access == Access::Shared && self.ttl().is_zero() && self.walks.is_told.load(Ordering::Relaxed)
    }

    /// Does `look_up` for `name` in `parent`, and remembers how long it took.
    pub(in crate::fs) fn timed<T>(&self, parent: NodeId, name: &[u8], look_up: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let found = look_up();
        let took = started.elapsed();
        self.walks.took(took);
        if self.goes_ahead() {
            self.walks.answered(parent, name, took);
        }
        found
    }

    /// The attributes of directory `id`, if they were asked for with the names that somebody looks up there.
    pub(in crate::fs) fn directory_ahead(&self, id: NodeId) -> Option<Statx> {
        if !self.goes_ahead() {
            return None;
        }
        let walks = self.walks.walks.lock();
        let kept = walks.get(&id)?.kept.as_ref()?;
        kept.directory.filter(|_| kept.is_good(self.walks.changes()))
    }

    /// The file `name` in `parent`, if it is looked up together with what comes next, or was.
    pub(in crate::fs) fn name_ahead(&self, parent: NodeId, name: &[u8]) -> Result<Option<Entry>> {
        if !self.goes_ahead() {
            return Ok(None);
        }
        let changes = self.walks.changes();
        let (start, names) = {
            let mut walks = self.walks.walks.lock();
            let Some(walk) = walks.get_mut(&parent) else { return Ok(None) };
            walk.drop_old(name, changes);
            if let Some(found) = walk.kept.as_mut().and_then(|kept| kept.names.get_mut(name)) {
                let (Ahead::Walked(_, stat) | Ahead::Known(stat)) = &*found;
                // Its control FD is the node's from now on.
                let known = Ahead::Known(*stat);
                let found = std::mem::replace(found, known);
                drop(walks);
                return self.use_ahead(parent, name, found);
            }
            let Some(names) = walk.batch(name) else { return Ok(None) };
            (walk.next - names.len(), names)
        };
        let asked = Instant::now();
        let directory = self.getattr_of_server(parent).ok();
        let found = self.look_up_all(parent, &names)?;
        let first = found.first().cloned().flatten();
        let names = names.into_iter().zip(found).filter_map(|(name, found)| Some((name, found?))).collect();
        if asked.elapsed() < SLOW * SLOW_LOOKUPS {
            self.walks.slow.store(0, Ordering::Relaxed);
        }
        if let Some(walk) = self.walks.walks.lock().get_mut(&parent)
            && self.walks.changes() == changes
        {
            walk.kept = Some(Kept { asked, changes, directory, start, names, attributes: HashMap::new() });
        }
        match first {
            Some(first) if self.walks.changes() == changes => self.use_ahead(parent, name, first),
            _ => Ok(None),
        }
    }

    /// Extended attribute `attribute` of `id`, if it is asked for together with those of files that come next, or was.
    pub(in crate::fs) fn attribute_ahead(&self, id: NodeId, attribute: &[u8]) -> Option<Value> {
        if !self.goes_ahead() {
            return None;
        }
        let place = self.nodes.lock().name(id)?;
        let changes = self.walks.changes();
        let files: Vec<(Box<[u8]>, Ahead)> = {
            let mut walks = self.walks.walks.lock();
            let walk = walks.get_mut(&place.parent)?;
            let kept =
                walk.kept.as_ref().filter(|kept| kept.is_good(changes) && kept.names.contains_key(&*place.name))?;
            let key = (Box::from(&*place.name), Box::from(attribute));
            if let Some(value) = kept.attributes.get(&key) {
                return Some(value.clone());
            }
            let wanted = walk.wanted.entry(Box::from(attribute)).or_default();
            *wanted += 1;
            if *wanted < SLOW_LOOKUPS {
                return None;
            }
            let listing = walk.listing.lock();
            let names = listing.entries.get(kept.start..walk.next)?.iter().map(|entry| &entry.name);
            let rest = names.skip_while(|name| ***name != *place.name);
            rest.filter_map(|name| Some((name.clone(), kept.names.get(name)?.clone()))).collect()
        };
        let names: Vec<Box<[u8]>> = files.iter().map(|(name, _)| name.clone()).collect();
        let controls = files.into_iter().map(|(name, found)| match found {
            Ahead::Walked(control, _) => Some(control),
            Ahead::Known(_) => {
                let (id, _) = self.nodes.lock().child(place.parent, &name)?;
                self.control(id).ok()
            }
        });
        let controls: Vec<Option<Arc<Control>>> = controls.collect();
        let values: Arc<Mutex<Vec<Option<Value>>>> = Arc::new(Mutex::new(vec![None; names.len()]));
        let (client, of_all, name) = (self.client.clone(), values.clone(), attribute.to_vec());
        self.fetchers.share(names.len(), self.helpers(), move |number| {
            let value = controls[number].as_ref().map(|control| client.get_xattr(control.id(), &name, 0));
            of_all.lock()[number] = value;
        });
        let values = std::mem::take(&mut *values.lock());
        let first = values.first().cloned().flatten();
        let mut walks = self.walks.walks.lock();
        let kept = walks.get_mut(&place.parent).and_then(|walk| walk.kept.as_mut());
        if let Some(kept) = kept.filter(|kept| kept.is_good(changes) && self.walks.changes() == changes) {
            let pairs = names.into_iter().zip(values);
            let known = pairs.filter_map(|(name, value)| Some(((name, Box::from(attribute)), value?)));
            kept.attributes.extend(known);
        }
        first
    }

    /// By how many other threads something is done at once: calls that somebody waits for come first.
    fn helpers(&self) -> usize {
        self.client.calls_without_waiting().saturating_sub(2)
    }

    /// What all of `names` in `parent` lead to, asked for at once. `None`: nowhere, or it cannot be known.
    pub(in crate::fs) fn look_up_all(&self, parent: NodeId, names: &[Box<[u8]>]) -> Result<Vec<Option<Ahead>>> {
        let dir = self.control(parent)?;
        let found = Arc::new(Mutex::new(vec![None; names.len()]));
        let (client, nodes, names, places) = (self.client.clone(), self.nodes.clone(), names.to_vec(), found.clone());
        self.fetchers.share(names.len(), self.helpers(), move |number| {
            let name = &names[number];
            let known = nodes.lock().child(parent, name).filter(|_| client.supports(MessageId::WALK_STAT));
            let seen = match known {
                Some((_, identity)) => client
                    .walk_stat(dir.id(), &[name])
                    .ok()
                    .and_then(|mut stats| stats.pop().filter(|stat| Identity::of(stat) == identity).map(Ahead::Known)),
                None => client
                    .lookup(dir.id(), name)
                    .ok()
                    .map(|inode| Ahead::Walked(Control::new(&client, inode.control_fd), inode.stat)),
            };
            places.lock()[number] = seen;
        });
        Ok(std::mem::take(&mut *found.lock()))
    }

    /// The file `name` in `parent`, which `found` says. `None`: look it up.
    pub(in crate::fs) fn use_ahead(&self, parent: NodeId, name: &[u8], found: Ahead) -> Result<Option<Entry>> {
        let known = self.nodes.lock().child(parent, name);
        match (found, known) {
            // What is open may change without a request.
            (_, Some((id, _))) if self.nodes.lock().is_open(id) => Ok(None),
            (Ahead::Walked(_, stat) | Ahead::Known(stat), Some((id, identity))) if Identity::of(&stat) == identity => {
                match self.again(id, stat) {
                    Err(Errno::NOENT | Errno::STALE) => Ok(None),
                    again => again,
                }
            }
            (Ahead::Walked(control, stat), _) => self.enter_by(parent, name, control, stat).map(Some),
            (Ahead::Known(_), _) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::listing::DirEntry;

    fn listing(count: usize) -> Shared {
        let listing = Shared::default();
        let entry = |number: usize| DirEntry { name: number.to_string().into_bytes().into(), id: NodeId(9), kind: 8 };
        listing.lock().entries = (0..count).map(entry).collect();
        listing
    }

    fn batch(walks: &Walks, name: &str) -> Option<Vec<String>> {
        let names = walks.walks.lock().get_mut(&NodeId(1))?.batch(name.as_bytes())?;
        Some(names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    #[test]
    fn whoever_goes_slowly_through_a_listing_gets_what_comes_next() {
        let walks = Walks::default();
        assert_eq!(batch(&walks, "0"), None);
        walks.listed(NodeId(1), &listing(100));
        for (name, took) in [("0", SLOW), ("1", SLOW), ("1", SLOW / 2), ("3", SLOW)] {
            walks.answered(NodeId(1), name.as_bytes(), took);
        }
        assert_eq!(batch(&walks, "4").unwrap(), ["4", "5", "6", "7"]);
        assert_eq!(batch(&walks, "8").unwrap().len(), 8);
        assert_eq!(batch(&walks, "8"), None, "it was there");
        assert_eq!(batch(&walks, "99"), None, "far ahead");
        assert_eq!(batch(&walks, "16").unwrap().len(), 16);
        walks.answered(NodeId(1), b"32", SLOW / 2);
        assert_eq!(batch(&walks, "33"), None, "it is quick by now");
        walks.answered(NodeId(1), b"50", SLOW);
        walks.answered(NodeId(1), b"20", SLOW);
        assert_eq!(batch(&walks, "33"), None, "out of order");
    }

    #[test]
    fn few_directories_are_remembered() {
        let walks = Walks::default();
        for id in 0..100 {
            walks.listed(NodeId(id), &listing(1));
        }
        assert_eq!(walks.walks.lock().len(), MOST_WALKS);
        walks.listed(NodeId(7), &listing(MOST_ENTRIES + 1));
        walks.answered(NodeId(7), b"0", SLOW);
        assert!(!walks.walks.lock().contains_key(&NodeId(7)));
    }
}
