//! Names: finding, making, removing and moving them.

use std::sync::Arc;

use crate::node::{Node, ROOT};
use crate::record::{Bucket, Entry, Inode, S_IFDIR, S_IFMT, Time, encode};
use crate::volume::{Volume, now};
use crate::{Errno, key};

/// Bytes of the longest name.
pub(crate) const MAX_NAME: usize = 255;

/// Links that a file can have.
const MAX_LINKS: u32 = u32::MAX - 2;

/// What may stand at a new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It is replaced.
    Replace,
    /// It is an error.
    Refuse,
    /// It gets the old name.
    Exchange,
}

/// A change of the metadata: a key and its new value.
type Put = (Vec<u8>, Option<Vec<u8>>);

impl Volume {
    fn hash(&self, name: &[u8]) -> Result<u64, Errno> {
        if name.len() > MAX_NAME {
            return Err(Errno::NAMETOOLONG);
        }
        Ok(key::hash(name, self.superblock.secret()))
    }

    fn bucket(&self, dir: u64, hash: u64) -> Result<Bucket, Errno> {
        Ok(self.get("entries", &key::bucket(dir, hash))?.unwrap_or_default())
    }

    /// The entry `name` of a directory.
    fn entry(&self, dir: &Node, name: &[u8]) -> Result<Option<Entry>, Errno> {
        let mut bucket = self.bucket(dir.ino, self.hash(name)?)?;
        let index = bucket.0.iter().position(|entry| entry.name == name);
        Ok(index.map(|index| bucket.0.swap_remove(index)))
    }

    /// The file `name` of a directory.
    pub(crate) fn lookup(self: &Arc<Self>, dir: &Node, name: &[u8]) -> Result<Arc<Node>, Errno> {
        loop {
            self.check_dir(dir)?;
            let entry = self.entry(dir, name)?.ok_or(Errno::NOENT)?;
            if let Some(node) = self.found(dir, &entry)? {
                return Ok(node);
            }
        }
    }

    /// The file of an entry that was there a moment ago; `None` if it has been removed since, and the file with it.
    fn found(self: &Arc<Self>, dir: &Node, entry: &Entry) -> Result<Option<Arc<Node>>, Errno> {
        if let Some(node) = self.live(entry.ino)? {
            return Ok(Some(node));
        }
        let is_there = self.entry(dir, &entry.name)?.is_some_and(|now| now.ino == entry.ino);
        if is_there { Err(self.missing(entry.ino)) } else { Ok(None) }
    }

    /// `ENOTDIR` if this is no directory, `ENOENT` if it is removed: nothing is in it, and nothing will be.
    fn check_dir(&self, dir: &Node) -> Result<(), Errno> {
        let state = dir.lock();
        match state.inode.is(S_IFDIR) {
            false => Err(Errno::NOTDIR),
            true if state.inode.nlink == 0 => Err(Errno::NOENT),
            true => Ok(()),
        }
    }

    /// Makes a file with a name in a directory.
    pub(crate) fn make(self: &Arc<Self>, dir: &Arc<Node>, name: &[u8], mut inode: Inode) -> Result<Arc<Node>, Errno> {
        self.throttle()?;
        // Whatever has to be read is read before anybody has to wait for it.
        self.entry(dir, name)?;
        let _names = self.names.lock();
        self.check_dir(dir)?;
        let (bucket_key, bucket) = self.free(dir, name)?;
        let is_dir = inode.is(S_IFDIR);
        inode.nlink = if is_dir { 2 } else { 1 };
        inode.parent = if is_dir { dir.ino } else { 0 };
        let kind = inode.mode & S_IFMT;
        let _barrier = self.barrier.read();
        let node = self.create(inode);
        self.change_metadata([(bucket_key, Some(with_entry(bucket, name, node.ino, kind)?))]);
        self.entries_changed(dir, 1, i64::from(is_dir), now());
        Ok(node)
    }

    /// Gives a file one more name.
    pub(crate) fn link(self: &Arc<Self>, dir: &Arc<Node>, name: &[u8], target: &Arc<Node>) -> Result<(), Errno> {
        self.throttle()?;
        self.entry(dir, name)?;
        let _names = self.names.lock();
        self.check_dir(dir)?;
        let (bucket_key, bucket) = self.free(dir, name)?;
        let _barrier = self.barrier.read();
        let kind = {
            let mut state = target.lock();
            let inode = &mut state.inode;
            match inode.nlink {
                _ if inode.is(S_IFDIR) => return Err(Errno::PERM),
                // A file whose last name is gone does not come back.
                0 => return Err(Errno::NOENT),
                links if links >= MAX_LINKS => return Err(Errno::MLINK),
                _ => {}
            }
            inode.nlink += 1;
            inode.ctime = now();
            inode.mode & S_IFMT
        };
        self.changed(target);
        self.change_metadata([(bucket_key, Some(with_entry(bucket, name, target.ino, kind)?))]);
        self.entries_changed(dir, 1, 0, now());
        Ok(())
    }

    /// Removes a name: that of a directory if `is_dir`, else of anything else.
    pub(crate) fn unlink(self: &Arc<Self>, dir: &Arc<Node>, name: &[u8], is_dir: bool) -> Result<(), Errno> {
        self.throttle()?;
        drop(self.lookup(dir, name)?);
        let _names = self.names.lock();
        let victim = self.lookup(dir, name)?;
        let is_directory = victim.lock().inode.is(S_IFDIR);
        match (is_dir, is_directory) {
            (false, true) => return Err(Errno::ISDIR),
            (true, false) => return Err(Errno::NOTDIR),
            _ => {}
        }
        check_empty(&victim)?;
        let removal = self.without(dir, name)?;
        let _barrier = self.barrier.read();
        let now = now();
        self.lose_name(&victim, now);
        self.change_metadata([removal]);
        self.entries_changed(dir, -1, -i64::from(is_directory), now);
        Ok(())
    }

    /// Gives the entry `from` of one directory the name `to` in another, which may be the same.
    pub(crate) fn rename(
        self: &Arc<Self>,
        (old_dir, from): (&Arc<Node>, &[u8]),
        (new_dir, to): (&Arc<Node>, &[u8]),
        existing: Existing,
    ) -> Result<(), Errno> {
        self.throttle()?;
        // Reads ahead what is needed below.
        let moved = self.lookup(old_dir, from)?;
        let _ = self.is_above(&moved, new_dir)?;
        drop((moved, self.entry(new_dir, to)?));
        let _names = self.names.lock();
        let moved = self.lookup(old_dir, from)?;
        self.check_dir(new_dir)?;
        let target = self.entry(new_dir, to)?.map(|entry| self.node(entry.ino)).transpose()?;
        match (existing, &target) {
            (Existing::Refuse, Some(_)) => return Err(Errno::EXIST),
            (Existing::Exchange, None) => return Err(Errno::NOENT),
            // Two names of one file: there is nothing to do.
            (_, Some(target)) if target.ino == moved.ino => return Ok(()),
            _ => {}
        }
        if self.is_above(&moved, new_dir)? {
            return Err(Errno::INVAL);
        }
        if let Some(target) = &target
            && self.is_above(target, old_dir)?
        {
            return Err(if existing == Existing::Exchange { Errno::INVAL } else { Errno::NOTEMPTY });
        }
        let old = Place { dir: old_dir, name: from };
        let new = Place { dir: new_dir, name: to };
        match &target {
            Some(target) if existing == Existing::Exchange => self.exchange(&old, &moved, &new, target),
            Some(target) => self.replace(&old, &moved, &new, target),
            None => self.shift(&old, &moved, &new),
        }
    }

    fn shift(&self, old: &Place<'_>, moved: &Arc<Node>, new: &Place<'_>) -> Result<(), Errno> {
        let kind = moved.lock().inode.mode & S_IFMT;
        let is_dir = i64::from(kind == S_IFDIR);
        // Both names may be in one bucket.
        let removal = self.without(old.dir, old.name)?;
        let same = removal.0 == key::bucket(new.dir.ino, self.hash(new.name)?);
        let insertion = if same {
            let bucket = removal.1.as_ref().map(|value| crate::record::decode("entries", value)).transpose()?;
            (removal.0.clone(), Some(with_entry(bucket.unwrap_or_default(), new.name, moved.ino, kind)?))
        } else {
            let (key, bucket) = self.free(new.dir, new.name)?;
            (key, Some(with_entry(bucket, new.name, moved.ino, kind)?))
        };
        let _barrier = self.barrier.read();
        let now = now();
        self.change_metadata([removal, insertion]);
        self.moved_to(moved, new.dir, now);
        self.entries_changed(old.dir, -1, -is_dir, now);
        self.entries_changed(new.dir, 1, is_dir, now);
        Ok(())
    }

    fn replace(&self, old: &Place<'_>, moved: &Arc<Node>, new: &Place<'_>, target: &Arc<Node>) -> Result<(), Errno> {
        let moved_is_dir = moved.lock().inode.is(S_IFDIR);
        let (kind, target_is_dir) = {
            let inode = &target.lock().inode;
            (inode.mode & S_IFMT, inode.is(S_IFDIR))
        };
        match (moved_is_dir, target_is_dir) {
            (true, false) => return Err(Errno::NOTDIR),
            (false, true) => return Err(Errno::ISDIR),
            _ => {}
        }
        debug_assert!(moved_is_dir == (kind == S_IFDIR));
        check_empty(target)?;
        let changes = self.point(new, moved, self.without(old.dir, old.name)?)?;
        let _barrier = self.barrier.read();
        let now = now();
        self.change_metadata(changes);
        self.lose_name(target, now);
        self.moved_to(moved, new.dir, now);
        let is_dir = i64::from(moved_is_dir);
        self.entries_changed(old.dir, -1, -is_dir, now);
        // One directory goes and one comes.
        self.entries_changed(new.dir, 0, 0, now);
        Ok(())
    }

    fn exchange(&self, old: &Place<'_>, moved: &Arc<Node>, new: &Place<'_>, target: &Arc<Node>) -> Result<(), Errno> {
        let is_dir = |node: &Node| i64::from(node.lock().inode.is(S_IFDIR));
        let shift = is_dir(moved) - is_dir(target);
        let bucket_key = key::bucket(old.dir.ino, self.hash(old.name)?);
        let bucket = self.get::<Bucket>("entries", &bucket_key)?.unwrap_or_default();
        let first = (bucket_key, Some(pointing(bucket, old.name, target)?));
        let changes = self.point(new, moved, first)?;
        let _barrier = self.barrier.read();
        let now = now();
        self.change_metadata(changes);
        self.moved_to(moved, new.dir, now);
        self.moved_to(target, old.dir, now);
        self.entries_changed(old.dir, 0, -shift, now);
        self.entries_changed(new.dir, 0, shift, now);
        Ok(())
    }

    /// `first`, and that the name `place`, which exists, leads to `node`. They may be of one bucket.
    fn point(&self, place: &Place<'_>, node: &Node, first: Put) -> Result<Vec<Put>, Errno> {
        let bucket_key = key::bucket(place.dir.ino, self.hash(place.name)?);
        let bucket: Bucket = match &first {
            (key, Some(value)) if *key == bucket_key => crate::record::decode("entries", value)?,
            _ => self.get("entries", &bucket_key)?.unwrap_or_default(),
        };
        let second = (bucket_key, Some(pointing(bucket, place.name, node)?));
        Ok(vec![first, second])
    }

    /// The bucket of a name that must not exist yet, with its key.
    fn free(&self, dir: &Node, name: &[u8]) -> Result<(Vec<u8>, Bucket), Errno> {
        let hash = self.hash(name)?;
        let bucket = self.bucket(dir.ino, hash)?;
        if bucket.get(name).is_some() {
            return Err(Errno::EXIST);
        }
        Ok((key::bucket(dir.ino, hash), bucket))
    }

    /// The removal of a name.
    fn without(&self, dir: &Node, name: &[u8]) -> Result<Put, Errno> {
        let hash = self.hash(name)?;
        let mut bucket = self.bucket(dir.ino, hash)?;
        bucket.0.retain(|entry| entry.name != name);
        Ok((key::bucket(dir.ino, hash), if bucket.0.is_empty() { None } else { Some(encode(&bucket)) }))
    }

    /// Whether `node` is `below`, or a directory above it.
    fn is_above(self: &Arc<Self>, node: &Node, below: &Arc<Node>) -> Result<bool, Errno> {
        if !node.lock().inode.is(S_IFDIR) {
            return Ok(false);
        }
        let mut at = below.clone();
        loop {
            if at.ino == node.ino {
                return Ok(true);
            }
            if at.ino == ROOT {
                return Ok(false);
            }
            let parent = at.lock().inode.parent;
            at = self.node(parent)?;
        }
    }

    /// Counts entries and directories in a directory. The caller holds the barrier.
    fn entries_changed(&self, dir: &Arc<Node>, entries: i64, directories: i64, now: Time) {
        let mut state = dir.lock();
        let inode = &mut state.inode;
        inode.size = inode.size.saturating_add_signed(entries);
        inode.nlink = u32::try_from(i64::from(inode.nlink) + directories).unwrap_or(2);
        inode.mtime = now;
        inode.ctime = now;
        drop(state);
        self.changed(dir);
    }

    /// Takes a name from a file, or its only one from a directory. The caller holds the barrier.
    fn lose_name(&self, node: &Arc<Node>, now: Time) {
        let mut state = node.lock();
        let inode = &mut state.inode;
        inode.nlink = if inode.is(S_IFDIR) { 0 } else { inode.nlink.saturating_sub(1) };
        inode.ctime = now;
        let is_nameless = inode.nlink == 0;
        drop(state);
        if is_nameless {
            // Who opens the volume after a crash deletes it.
            self.change_metadata([(key::orphan(node.ino), Some(Vec::new()))]);
        }
        self.changed(node);
    }

    /// Records in a file that it is now in `dir`. The caller holds the barrier.
    fn moved_to(&self, node: &Arc<Node>, dir: &Node, now: Time) {
        let mut state = node.lock();
        if state.inode.is(S_IFDIR) {
            state.inode.parent = dir.ino;
        }
        state.inode.ctime = now;
        drop(state);
        self.changed(node);
    }
}

/// A name in a directory.
struct Place<'a> {
    dir: &'a Arc<Node>,
    name: &'a [u8],
}

/// `ENOTEMPTY` if this is a directory with entries.
fn check_empty(node: &Node) -> Result<(), Errno> {
    let state = node.lock();
    if state.inode.is(S_IFDIR) && state.inode.size > 0 { Err(Errno::NOTEMPTY) } else { Ok(()) }
}

/// The bucket with one more name.
fn with_entry(mut bucket: Bucket, name: &[u8], ino: u64, kind: u16) -> Result<Vec<u8>, Errno> {
    let is_free = |slot: &u8| !bucket.0.iter().any(|entry| entry.slot == *slot);
    // So many equal hashes do not happen.
    let slot = (0..key::SLOTS).find(is_free).ok_or(Errno::NOSPC)?;
    bucket.0.push(Entry { slot, kind, ino, name: name.into() });
    bucket.0.sort_unstable_by_key(|entry| entry.slot);
    Ok(encode(&bucket))
}

/// The bucket with a name that leads to another file now.
fn pointing(mut bucket: Bucket, name: &[u8], node: &Node) -> Result<Vec<u8>, Errno> {
    let entry = bucket.0.iter_mut().find(|entry| entry.name == name).ok_or(Errno::NOENT)?;
    entry.ino = node.ino;
    entry.kind = node.lock().inode.mode & S_IFMT;
    Ok(encode(&bucket))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::S_IFREG;
    use crate::tests::Scene;

    /// A name that is removed after somebody has read it, and the file with it.
    #[test]
    fn a_file_that_goes_while_it_is_looked_up_is_not_found() {
        let scene = Scene::with("memory:?interval=1m");
        let fs = crate::BlobFs::new(scene.open());
        let volume = fs.volume();
        let dir = volume.node(ROOT).unwrap();
        let make = |name: &[u8]| {
            drop(volume.make(&dir, name, Inode { mode: S_IFREG | 0o644, ..Inode::default() }).unwrap());
            volume.sync().unwrap();
            volume.entry(&dir, name).unwrap().unwrap()
        };
        let entry = make(b"gone");
        assert_eq!(volume.found(&dir, &entry).unwrap().map(|node| node.ino), Some(entry.ino));
        volume.unlink(&dir, b"gone", false).unwrap();
        volume.sync().unwrap();
        assert!(volume.found(&dir, &entry).unwrap().is_none(), "after the commit");
        let entry = make(b"going");
        volume.unlink(&dir, b"going", false).unwrap();
        // A commit has begun, and the database still has the file.
        let frozen = volume.freeze(Vec::new());
        assert_eq!(frozen.doomed, [entry.ino]);
        assert!(volume.found(&dir, &entry).unwrap().is_none(), "during the commit");
    }
}
