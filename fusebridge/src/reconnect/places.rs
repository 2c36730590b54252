//! Names: where the files in use were found, and where they have been moved since.

use std::collections::HashMap;
use std::sync::Arc;

use slab::Slab;

use super::identity::Identity;
use super::numbers::Numbers;

/// A directory entry that was seen to be one certain file.
pub(super) type PlaceId = usize;

/// The place of the root.
pub(super) const ROOT: PlaceId = 0;

/// A longer way goes in circles.
const LONGEST_WAY: usize = 1 << 16;

/// A name in a directory.
pub(super) type Entry<'a> = (PlaceId, &'a [u8]);

type OwnEntry = (PlaceId, Arc<[u8]>);

/// Names from the root on.
type Path = Vec<Arc<[u8]>>;

/// All places of which somebody has the file, and of the directories on the way to them.
pub(super) struct Places {
    slab: Slab<Place>,
    numbers: Numbers,
}

struct Place {
    /// Where it is, unless it is the root or gone.
    at: Option<OwnEntry>,
    /// Where it is if a rename has happened of which nobody knows.
    maybe: Option<OwnEntry>,
    identity: Identity,
    /// The inode number that the mount is told.
    number: u64,
    children: HashMap<Arc<[u8]>, PlaceId>,
    /// How many files and places need it.
    users: usize,
}

/// A way to a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// From the root.
    pub(super) names: Path,
    /// If it leads to the file, this one on the way has been moved.
    moved: Option<PlaceId>,
}

impl Places {
    /// The root alone.
    pub(super) fn new(root: Identity) -> Self {
        let mut places = Places { slab: Slab::new(), numbers: Numbers::default() };
        let id = places.add(None, root);
        debug_assert_eq!(id, ROOT);
        places
    }

    fn add(&mut self, at: Option<OwnEntry>, identity: Identity) -> PlaceId {
        let number = self.numbers.hold(&identity);
        self.slab.insert(Place { at, maybe: None, identity, number, children: HashMap::new(), users: 1 })
    }

    /// The place of a file that was found at `entry`, which has one more user now.
    pub(super) fn enter(&mut self, entry: Entry<'_>, identity: Identity) -> PlaceId {
        let (parent, name) = entry;
        if let Some(id) = self.child(entry) {
            let place = &mut self.slab[id];
            if place.identity.is(&identity) {
                place.users += 1;
                return id;
            }
            self.leave(id);
        }
        let name: Arc<[u8]> = Arc::from(name);
        let id = self.add(Some((parent, name.clone())), identity);
        self.slab[parent].children.insert(name, id);
        self.hold(parent);
        id
    }

    /// Which file was at `entry`, if anybody has it.
    pub(super) fn identity_at(&self, entry: Entry<'_>) -> Option<Identity> {
        self.child(entry).map(|place| self.identity(place))
    }

    /// Which file was at `place`.
    pub(super) fn identity(&self, place: PlaceId) -> Identity {
        self.slab[place].identity
    }

    /// The inode number of the file at `place`.
    pub(super) fn number(&self, place: PlaceId) -> u64 {
        self.slab[place].number
    }

    /// The inode number of a file that may have no place.
    pub(super) fn number_of(&mut self, identity: &Identity) -> u64 {
        self.numbers.of(identity)
    }

    /// `place` has one more user.
    pub(super) fn hold(&mut self, place: PlaceId) {
        self.slab[place].users += 1;
    }

    /// `place` has one user less.
    pub(super) fn release(&mut self, place: PlaceId) {
        let mut left = vec![place];
        while let Some(id) = left.pop() {
            self.slab[id].users -= 1;
            if self.slab[id].users > 0 {
                continue;
            }
            let Place { at, maybe, identity, .. } = self.slab.remove(id);
            self.numbers.release(&identity);
            for (parent, name) in at.into_iter().chain(maybe) {
                let children = &mut self.slab[parent].children;
                if children.get(&name) == Some(&id) {
                    children.remove(&name);
                }
                left.push(parent);
            }
        }
    }

    fn child(&self, (parent, name): Entry<'_>) -> Option<PlaceId> {
        self.slab[parent].children.get(name).copied()
    }

    /// Moves `place` to another entry, or nowhere.
    fn put(&mut self, place: PlaceId, to: Option<&OwnEntry>) {
        if let Some((parent, name)) = to {
            self.hold(*parent);
            self.slab[*parent].children.insert(name.clone(), place);
        }
        let it = &mut self.slab[place];
        let (at, maybe) = (std::mem::replace(&mut it.at, to.cloned()), it.maybe.take());
        if let Some((parent, name)) = &at
            && at.as_ref() != to
            && self.slab[*parent].children.get(name) == Some(&place)
        {
            self.slab[*parent].children.remove(name);
        }
        for (parent, _) in at.into_iter().chain(maybe) {
            self.release(parent);
        }
    }

    /// The file at `place` is not there any more.
    fn leave(&mut self, place: PlaceId) {
        self.put(place, None);
    }

    /// `entry` was removed.
    pub(super) fn removed(&mut self, entry: Entry<'_>) {
        if let Some(place) = self.child(entry) {
            self.leave(place);
        }
    }

    /// A rename has succeeded.
    pub(super) fn renamed(&mut self, from: Entry<'_>, to: Entry<'_>, exchange: bool) {
        let (source, target) = (self.child(from), self.child(to));
        if let (Some(source), Some(target)) = (source, target)
            && self.slab[source].identity.is(&self.slab[target].identity)
        {
            // Two names of one file: nothing has happened.
            return;
        }
        for place in [source, target].into_iter().flatten() {
            // It is in neither place until it is put there.
            if let Some((parent, name)) = self.slab[place].at.clone() {
                self.slab[parent].children.remove(&name);
            }
        }
        if let Some(target) = target {
            self.put(target, exchange.then(|| owned(from)).as_ref());
        }
        if let Some(source) = source {
            self.put(source, Some(&owned(to)));
        }
    }

    /// A rename may have succeeded.
    pub(super) fn may_be_renamed(&mut self, from: Entry<'_>, to: Entry<'_>, exchange: bool) {
        let moves = [(from, to), (to, from)];
        for (from, to) in moves.into_iter().take(if exchange { 2 } else { 1 }) {
            // Nothing gets into itself, and what was told to be there would hold itself for ever.
            let Some(place) = self.child(from).filter(|place| !self.is_on_the_way(*place, to.0)) else { continue };
            self.hold(to.0);
            if let Some((parent, _)) = self.slab[place].maybe.replace(owned(to)) {
                self.release(parent);
            }
        }
    }

    /// Whether `place` is `to` or above it.
    fn is_on_the_way(&self, place: PlaceId, to: PlaceId) -> bool {
        let above = |id: &PlaceId| self.slab[*id].at.as_ref().map(|(parent, _)| *parent);
        std::iter::successors(Some(to), above).any(|id| id == place)
    }

    /// The ways on which the file at `place` may be found: none if its name is gone.
    pub(super) fn ways(&self, place: PlaceId) -> Vec<Way> {
        let Some((names, unsure)) = self.way(place, None) else { return Vec::new() };
        let first = Way { names, moved: None };
        let others = unsure.into_iter().filter_map(|moved| {
            let (names, _) = self.way(place, Some(moved))?;
            Some(Way { names, moved: Some(moved) })
        });
        std::iter::once(first).chain(others).collect()
    }

    /// The way to `place` if `moved` has been moved, and who on it may have been.
    fn way(&self, place: PlaceId, moved: Option<PlaceId>) -> Option<(Path, Vec<PlaceId>)> {
        let (mut names, mut unsure, mut id) = (Vec::new(), Vec::new(), place);
        while id != ROOT {
            let place = &self.slab[id];
            unsure.extend(place.maybe.is_some().then_some(id));
            let (parent, name) = if moved == Some(id) { place.maybe.as_ref()? } else { place.at.as_ref()? };
            names.push(name.clone());
            id = *parent;
            if names.len() > LONGEST_WAY {
                return None;
            }
        }
        names.reverse();
        Some((names, unsure))
    }

    /// `way` has led to the file.
    pub(super) fn found(&mut self, way: &Way) {
        if let Some(place) = way.moved
            && let Some(it) = self.slab.get(place)
            && let Some((parent, name)) = it.maybe.clone()
        {
            if let Some(other) = self.child((parent, &name)).filter(|other| *other != place) {
                self.leave(other);
            }
            self.put(place, Some(&(parent, name)));
        }
    }
}

fn owned((parent, name): Entry<'_>) -> OwnEntry {
    (parent, Arc::from(name))
}

#[cfg(test)]
mod tests {
    use lisafs::backend::Statx;

    use super::*;

    fn file(ino: u64) -> Identity {
        let mut stat = Statx::default();
        (stat.ino, stat.mode) = (ino, 0o100_644);
        Identity::of(&stat)
    }

    fn ways(places: &Places, place: PlaceId) -> Vec<String> {
        let text =
            |way: Way| way.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect::<Vec<_>>();
        places.ways(place).into_iter().map(|way| text(way).join("/")).collect()
    }

    /// `d` and `d/f` and `d/g`.
    fn scene() -> (Places, [PlaceId; 3]) {
        let mut places = Places::new(file(1));
        let d = places.enter((ROOT, b"d"), file(2));
        let f = places.enter((d, b"f"), file(3));
        let g = places.enter((d, b"g"), file(4));
        (places, [d, f, g])
    }

    #[test]
    fn names_follow_renames_of_files_and_of_directories_above_them() {
        let (mut places, [d, f, g]) = scene();
        places.renamed((ROOT, b"d"), (ROOT, b"e"), false);
        places.renamed((d, b"f"), (ROOT, b"h"), false);
        assert_eq!((ways(&places, f), ways(&places, g)), (vec!["h".to_owned()], vec!["e/g".to_owned()]));
        places.renamed((d, b"g"), (ROOT, b"h"), true);
        assert_eq!((ways(&places, f), ways(&places, g)), (vec!["e/g".to_owned()], vec!["h".to_owned()]));
        places.renamed((ROOT, b"h"), (d, b"g"), false);
        assert_eq!((ways(&places, f), ways(&places, g)), (vec![], vec!["e/g".to_owned()]));
        places.removed((d, b"g"));
        assert_eq!(ways(&places, g), Vec::<String>::new());
    }

    #[test]
    fn another_file_of_a_name_takes_its_place() {
        let (mut places, [d, f, _]) = scene();
        assert_eq!(places.enter((d, b"f"), file(3)), f);
        let other = places.enter((d, b"f"), file(5));
        assert_eq!((ways(&places, f), ways(&places, other)), (vec![], vec!["d/f".to_owned()]));
    }

    #[test]
    fn renaming_one_name_of_a_file_to_another_does_nothing() {
        let (mut places, [d, f, _]) = scene();
        let link = places.enter((ROOT, b"l"), file(3));
        places.renamed((ROOT, b"l"), (d, b"f"), false);
        assert_eq!((ways(&places, f), ways(&places, link)), (vec!["d/f".to_owned()], vec!["l".to_owned()]));
        places.renamed((d, b"f"), (d, b"f"), false);
        assert_eq!(ways(&places, f), ["d/f"]);
    }

    #[test]
    fn where_a_rename_may_have_happened_both_names_are_tried() {
        let (mut places, [d, f, _]) = scene();
        places.may_be_renamed((ROOT, b"d"), (ROOT, b"e"), false);
        assert_eq!(ways(&places, f), ["d/f", "e/f"]);
        let way = places.ways(f).remove(1);
        places.found(&way);
        assert_eq!((ways(&places, f), ways(&places, d)), (vec!["e/f".to_owned()], vec!["e".to_owned()]));
        // Into itself, as far as is known.
        places.may_be_renamed((ROOT, b"e"), (d, b"x"), false);
        assert_eq!(ways(&places, f), ["e/f"]);
    }

    #[test]
    fn nothing_is_left_when_nobody_needs_it() {
        let (mut places, all) = scene();
        let other = places.enter((ROOT, b"d"), file(9));
        places.may_be_renamed((ROOT, b"d"), (other, b"y"), false);
        places.renamed((ROOT, b"d"), (all[0], b"x"), false);
        for place in all.into_iter().chain([other]) {
            places.release(place);
        }
        assert_eq!(places.slab.len(), 1);
        assert!(places.slab[ROOT].children.is_empty() && places.slab[ROOT].users == 1);
    }
}
