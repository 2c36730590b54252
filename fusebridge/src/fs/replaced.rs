//! What writes past the kernel's cache have replaced in pages that it has.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;

/// The unit of the books. The kernel's pages are as large or larger.
pub(super) const PAGE: usize = 4096;

/// As many read pages are known as two times this. Those that matter were read while a write was on its way.
const READ_PAGES: usize = 4096;

/// As many pages with replaced bytes are kept. Those that matter are in a write that is under way.
const KEPT_PAGES: usize = 1024;

/// As many pages are looked up one by one, and more by going through all that are known.
const FEW_PAGES: u64 = 256;

/// What the kernel has of one page, where that is not what the file has any more.
struct Kept {
    bytes: Box<[u8; PAGE]>,
    /// Which of them count: a bit for each.
    is_kept: [u64; PAGE / 64],
}

impl Kept {
    fn new() -> Self {
        Kept { bytes: Box::new([0; PAGE]), is_kept: [0; PAGE / 64] }
    }

    fn has(&self, at: usize) -> bool {
        self.is_kept[at / 64] >> (at % 64) & 1 != 0
    }
}

/// The pages of a file that the kernel has read, and bytes of them that were replaced since.
#[derive(Default)]
pub(super) struct Replaced {
    /// Pages that were read lately, and those read before them.
    read: [HashSet<u64>; 2],
    kept: HashMap<u64, Kept>,
    /// The keys of `kept`, oldest first; some may be gone.
    order: VecDeque<u64>,
    /// Whether there were more pages than are known.
    has_forgotten: bool,
}

impl Replaced {
    /// The kernel reads `length` bytes at `offset` into its cache.
    pub(super) fn read(&mut self, offset: u64, length: usize) {
        for page in pages(offset, length as u64) {
            self.kept.remove(&page);
            if self.read[0].len() >= READ_PAGES {
                let latest = std::mem::take(&mut self.read[0]);
                self.has_forgotten |= !self.read[1].is_empty();
                self.read[1] = latest;
            }
            self.read[0].insert(page);
        }
    }

    /// The parts of `length` bytes at `offset` that are in pages which the kernel may have. They are to be read and
    /// given to [`keep`](Self::keep) before they are changed.
    pub(super) fn known(&self, offset: u64, length: u64) -> Vec<Range<u64>> {
        let end = offset.saturating_add(length);
        let wanted = pages(offset, length);
        let [latest, earlier] = &self.read;
        let mut known: Vec<u64> = if wanted.end - wanted.start <= FEW_PAGES {
            wanted
                .filter(|page| latest.contains(page) || earlier.contains(page) || self.kept.contains_key(page))
                .collect()
        } else {
            latest.iter().chain(earlier).chain(self.kept.keys()).filter(|page| wanted.contains(page)).copied().collect()
        };
        known.sort_unstable();
        known.dedup();
        let mut parts: Vec<Range<u64>> = Vec::new();
        for page in known {
            let start = page * PAGE as u64;
            let part = start.max(offset)..(start + PAGE as u64).min(end);
            match parts.last_mut() {
                Some(last) if last.end == part.start => last.end = part.end,
                _ => parts.push(part),
            }
        }
        parts
    }

    /// Whether the kernel may have pages that [`known`](Self::known) does not tell.
    pub(super) fn has_forgotten(&self) -> bool {
        self.has_forgotten
    }

    /// Keeps `bytes`, which are at `offset` and will be replaced. What of them was replaced before stays as the kernel
    /// knows it.
    pub(super) fn keep(&mut self, offset: u64, bytes: &[u8]) {
        for (page, within, bytes) in split(offset, bytes) {
            self.read.iter_mut().for_each(|read| _ = read.remove(&page));
            let order = &mut self.order;
            let kept = self.kept.entry(page).or_insert_with(|| {
                order.push_back(page);
                Kept::new()
            });
            for (at, byte) in within.zip(bytes) {
                if !kept.has(at) {
                    kept.bytes[at] = *byte;
                    kept.is_kept[at / 64] |= 1 << (at % 64);
                }
            }
        }
        while self.kept.len() > KEPT_PAGES {
            let Some(oldest) = self.order.pop_front() else { break };
            self.has_forgotten |= self.kept.remove(&oldest).is_some();
        }
        if self.order.len() > 2 * KEPT_PAGES {
            let mut seen = HashSet::new();
            let kept = &self.kept;
            self.order.retain(|page| kept.contains_key(page) && seen.insert(*page));
        }
    }

    /// The kernel writes `bytes` back at `offset`: the parts of them that mappings have changed. `None`: that may be
    /// all.
    pub(super) fn changed(&mut self, offset: u64, bytes: &[u8]) -> Option<Vec<Range<usize>>> {
        if pages(offset, bytes.len() as u64).all(|page| !self.kept.contains_key(&page)) {
            return None;
        }
        let mut changed: Vec<Range<usize>> = Vec::new();
        let mut add = |part: Range<usize>| match changed.last_mut() {
            Some(last) if last.end == part.start => last.end = part.end,
            _ => changed.push(part),
        };
        let mut start = 0;
        for (page, within, bytes) in split(offset, bytes) {
            if let Some(kept) = self.kept.get_mut(&page) {
                for (index, (at, byte)) in within.zip(bytes).enumerate() {
                    if !kept.has(at) || kept.bytes[at] != *byte {
                        add(start + index..start + index + 1);
                        kept.bytes[at] = *byte;
                    }
                }
            } else {
                add(start..start + bytes.len());
            }
            start += bytes.len();
        }
        Some(changed)
    }
}

/// The pages that `length` bytes at `offset` are in.
fn pages(offset: u64, length: u64) -> Range<u64> {
    let page = PAGE as u64;
    offset / page..offset.saturating_add(length).div_ceil(page)
}

/// `bytes` at `offset` by pages: the page, which part of it, and the bytes.
fn split(offset: u64, mut bytes: &[u8]) -> impl Iterator<Item = (u64, Range<usize>, &[u8])> {
    let mut at = offset;
    std::iter::from_fn(move || {
        let within = usize::try_from(at % PAGE as u64).unwrap_or(0);
        let (part, rest) = bytes.split_at(bytes.len().min(PAGE - within));
        bytes = rest;
        let page = at / PAGE as u64;
        at = at.saturating_add(part.len() as u64);
        (!part.is_empty()).then_some((page, within..within + part.len(), part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: u64 = PAGE as u64;

    fn one<T>(range: Range<T>) -> Vec<Range<T>> {
        std::iter::once(range).collect()
    }

    #[test]
    fn a_page_written_back_brings_only_what_was_changed_in_it() {
        let mut replaced = Replaced::default();
        replaced.read(0, 2 * PAGE);
        assert_eq!(replaced.known(P - 2, 4), one(P - 2..P + 2));
        replaced.keep(P - 2, b"olds");
        // The kernel's page still has the old bytes, and a new one among them.
        let mut page = vec![b'.'; PAGE];
        page[PAGE - 2..].copy_from_slice(b"oX");
        assert_eq!(replaced.changed(0, &page), Some(vec![0..PAGE - 2, PAGE - 1..PAGE]));
        // What it brought is what the kernel has from then on.
        assert_eq!(replaced.changed(0, &page), Some(one(0..PAGE - 2)));
        replaced.read(0, PAGE);
        assert_eq!(replaced.changed(0, &page), None, "the page was read anew");
        assert_eq!(replaced.changed(P, b"dsxx"), Some(one(2..4)), "the other one was not");
    }

    #[test]
    fn the_first_of_two_writes_tells_what_the_kernel_has() {
        let mut replaced = Replaced::default();
        replaced.read(0, PAGE);
        replaced.keep(10, b"first");
        assert_eq!(replaced.known(0, 100), one(0..100));
        replaced.keep(8, b"12second");
        let mut page = vec![0; PAGE];
        page[8..16].copy_from_slice(b"12firstd");
        assert_eq!(replaced.changed(8, &page[8..16]), Some(Vec::new()));
        page[12] = b'!';
        assert_eq!(replaced.changed(8, &page[8..18]), Some(vec![4..5, 8..10]), "the last two were never replaced");
    }

    #[test]
    fn what_the_kernel_does_not_have_is_not_kept() {
        let mut replaced = Replaced::default();
        replaced.read(10 * P, PAGE);
        assert!(replaced.known(0, 10 * P).is_empty());
        for length in [u64::MAX, 11 * P] {
            assert_eq!(replaced.known(5, length), one(10 * P..11 * P));
        }
        assert_eq!(replaced.changed(10 * P, &[1; PAGE]), None);
    }

    #[test]
    fn the_books_are_bounded() {
        let mut replaced = Replaced::default();
        for page in 0..100_000 {
            replaced.read(page * P, PAGE);
            replaced.keep(page * P, b"x");
            replaced.read((page + 1) * P, PAGE);
        }
        assert!(replaced.kept.len() <= KEPT_PAGES && replaced.order.len() <= 2 * KEPT_PAGES + 1);
        assert!(replaced.read.iter().all(|read| read.len() <= READ_PAGES));
        for page in 0..100_000 {
            replaced.read(page * P, PAGE);
        }
        assert!(replaced.read.iter().all(|read| read.len() <= READ_PAGES));
    }
}
