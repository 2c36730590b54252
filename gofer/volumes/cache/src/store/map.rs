//! Which chunks of a file are there.

use parking_lot::Mutex;

use super::policy::HOTTEST;
use super::{BLOCK, CHUNK, index};

/// How often blocks of a file were used lately.
#[derive(Debug, Default)]
pub(super) struct Heat(Mutex<Vec<u8>>);

impl Heat {
    /// A block is used.
    pub(super) fn add(&self, block: u64) {
        let mut heat = self.0.lock();
        if heat.len() <= index(block) {
            heat.resize(index(block) + 1, 0);
        }
        let of = &mut heat[index(block)];
        *of = of.saturating_add(1).min(HOTTEST);
    }

    /// How often a block was used since it was asked last.
    pub(super) fn take_one(&self, block: u64) -> u8 {
        self.0.lock().get_mut(index(block)).map_or(0, std::mem::take)
    }

    /// The same of all blocks.
    pub(super) fn take(&self) -> Vec<(u64, u8)> {
        let heat = std::mem::take(&mut *self.0.lock());
        (0..).zip(heat).filter(|(_, times)| *times > 0).collect()
    }
}

/// What is known of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Chunk {
    /// It is not there.
    #[default]
    Absent,
    /// Somebody fetches it.
    Fetched,
    /// It is there if its checksum is this one.
    Unverified(u32),
    /// It is there.
    Present(u32),
    /// It is there and was changed: the checksum has to be made anew.
    Changed,
}

impl Chunk {
    pub(super) fn is_there(self) -> bool {
        !matches!(self, Chunk::Absent | Chunk::Fetched)
    }

    /// As it is stored: 0 if it is not there, or not for sure.
    pub(super) fn stored(self) -> u32 {
        match self {
            Chunk::Absent | Chunk::Fetched | Chunk::Changed => 0,
            Chunk::Unverified(checksum) | Chunk::Present(checksum) => checksum,
        }
    }
}

/// The chunks of a file, up to the last one of which anything is known.
#[derive(Debug, Default)]
pub(super) struct Map(Vec<Chunk>);

impl Map {
    /// What is stored.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let (entries, _) = bytes.as_chunks();
        let chunk = |entry: &[u8; 4]| match u32::from_le_bytes(*entry) {
            0 => Chunk::Absent,
            checksum => Chunk::Unverified(checksum),
        };
        Map(entries.iter().map(chunk).collect())
    }

    pub(super) fn get(&self, chunk: u64) -> Chunk {
        self.0.get(index(chunk)).copied().unwrap_or_default()
    }

    pub(super) fn set(&mut self, chunk: u64, state: Chunk) {
        if self.0.len() <= index(chunk) {
            if state == Chunk::Absent {
                return;
            }
            self.0.resize(index(chunk) + 1, Chunk::Absent);
        }
        self.0[index(chunk)] = state;
    }

    /// All that are there, by number.
    pub(super) fn there(&self) -> impl Iterator<Item = (u64, Chunk)> {
        (0..).zip(self.0.iter().copied()).filter(|(_, chunk)| chunk.is_there())
    }

    /// How many chunks there may be at most.
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// The end of the chunks from `first` on, at most `end`, that are like it in `what`.
    pub(super) fn run(&self, first: u64, end: u64, what: impl Fn(Chunk) -> bool) -> u64 {
        let wanted = what(self.get(first));
        (first + 1..end).find(|chunk| what(self.get(*chunk)) != wanted).unwrap_or(end)
    }
}

/// The checksum of a chunk: of its data, and of where it belongs. Never 0.
pub(super) fn checksum(seed: u32, chunk: u64, data: &[u8]) -> u32 {
    let place = chunk.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = (place >> 32) as u32;
    match crc_fast::crc32_iscsi(data) ^ seed ^ place {
        0 => 1,
        checksum => checksum,
    }
}

/// The chunks that the bytes from `start` to `end` are in.
pub(super) fn chunks(start: u64, end: u64) -> std::ops::Range<u64> {
    start / CHUNK..end.div_ceil(CHUNK)
}

/// The block that a chunk is in.
pub(super) fn block_of(chunk: u64) -> u64 {
    chunk * CHUNK / BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_know_what_is_there() {
        let mut map = Map::from_bytes(&[0, 0, 0, 0, 7, 0, 0, 0, 1]);
        assert_eq!((map.get(0), map.get(1), map.get(9)), (Chunk::Absent, Chunk::Unverified(7), Chunk::Absent));
        map.set(9, Chunk::Absent);
        map.set(3, Chunk::Present(8));
        assert_eq!(map.there().collect::<Vec<_>>(), [(1, Chunk::Unverified(7)), (3, Chunk::Present(8))]);
        assert_eq!((map.run(1, 9, Chunk::is_there), map.run(4, 9, Chunk::is_there)), (2, 9));
    }

    #[test]
    fn checksums_depend_on_the_place() {
        let data = vec![7; 1000];
        let one = checksum(1, 0, &data);
        assert!(one != checksum(1, 1, &data) && one != checksum(2, 0, &data) && one != checksum(1, 0, &data[1..]));
    }

    #[test]
    fn bytes_are_in_chunks_and_blocks() {
        assert_eq!((chunks(0, 1), chunks(CHUNK, CHUNK), chunks(1, CHUNK + 1)), (0..1, 1..1, 0..2));
        assert_eq!((block_of(15), block_of(16)), (0, 1));
    }

    #[test]
    fn heat_has_an_end() {
        let heat = Heat::default();
        (0..9).for_each(|_| heat.add(2));
        heat.add(0);
        assert_eq!((heat.take_one(0), heat.take_one(0), heat.take_one(7)), (1, 0, 0));
        assert_eq!(heat.take(), [(2, HOTTEST)]);
    }
}
