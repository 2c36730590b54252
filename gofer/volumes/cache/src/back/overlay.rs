//! What was changed of a file: pieces of it, and its size.

use std::collections::BTreeMap;
use std::ops::Range;

/// Changes of a file that the one below does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Overlay {
    /// Up to here, what is in no piece is as it is below; beyond, there are zeros.
    base: u64,
    size: u64,
    /// By their first bytes. No two of them overlap.
    pieces: BTreeMap<u64, Piece>,
}

/// Bytes that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) len: u64,
    /// The record of the journal that has them.
    pub(crate) record: u64,
    /// How many bytes of the record's data are before them.
    pub(crate) skip: u64,
}

/// Where bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Piece(Piece),
    Below,
    Zeros,
}

impl Overlay {
    /// No changes, of a file of `size` bytes.
    pub(crate) fn new(size: u64) -> Self {
        Overlay { base: size, size, pieces: BTreeMap::new() }
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// All pieces, with their first bytes.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (u64, Piece)> {
        self.pieces.iter().map(|(start, piece)| (*start, *piece))
    }

    /// `len` bytes were written at `start`, which are in a record of the journal.
    pub(crate) fn write(&mut self, start: u64, len: u64, record: u64) {
        if len == 0 {
            return;
        }
        self.cut(start..start + len);
        self.pieces.insert(start, Piece { len, record, skip: 0 });
        self.size = self.size.max(start + len);
    }

    /// The file was made shorter or longer.
    pub(crate) fn resize(&mut self, size: u64) {
        if size < self.size {
            self.cut(size..self.size);
        }
        self.base = self.base.min(size);
        self.size = size;
    }

    /// Takes a range out of all pieces.
    fn cut(&mut self, range: Range<u64>) {
        let before = self.pieces.range(..range.start).next_back().map(|(start, piece)| (*start, *piece));
        let first = before.filter(|(start, piece)| start + piece.len > range.start);
        let within: Vec<(u64, Piece)> =
            self.pieces.range(range.clone()).map(|(start, piece)| (*start, *piece)).collect();
        for (start, piece) in first.into_iter().chain(within) {
            self.pieces.remove(&start);
            let end = start + piece.len;
            if start < range.start {
                self.pieces.insert(start, Piece { len: range.start - start, ..piece });
            }
            if end > range.end {
                let gone = range.end - start;
                let rest = Piece { len: end - range.end, skip: piece.skip + gone, ..piece };
                self.pieces.insert(range.end, rest);
            }
        }
    }

    /// Where the bytes of a range are, in their order, up to the end of the file.
    pub(crate) fn origins(&self, range: Range<u64>, mut with: impl FnMut(Range<u64>, Origin)) {
        let end = range.end.min(self.size);
        let mut at = range.start;
        let before = self.pieces.range(..=at).next_back().filter(|(start, piece)| **start + piece.len > at);
        let first = before.map_or(at, |(start, _)| *start);
        for (start, piece) in self.pieces.range(first..end.max(first)) {
            if at >= end {
                return;
            }
            self.unwritten(at, (*start).min(end), &mut with);
            let from = at.max(*start);
            let to = (start + piece.len).min(end);
            if from < to {
                let skipped = from - start;
                let part = Piece { len: to - from, skip: piece.skip + skipped, ..*piece };
                with(from..to, Origin::Piece(part));
                at = to;
            }
        }
        self.unwritten(at, end, &mut with);
    }

    /// What is in no piece.
    fn unwritten(&self, at: u64, end: u64, with: &mut impl FnMut(Range<u64>, Origin)) {
        let below = end.min(self.base);
        if at < below {
            with(at..below, Origin::Below);
        }
        let zeros = at.max(self.base);
        if zeros < end {
            with(zeros..end, Origin::Zeros);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_where_they_were_put_last() {
        const LONGEST: u64 = 60;
        let mut random = fastrand::Rng::with_seed(15);
        for _ in 0..200 {
            let size = random.u64(0..LONGEST);
            let mut overlay = Overlay::new(size);
            // What each byte is: `None` if it is as below, otherwise its record and its number there.
            let mut model = vec![None; usize::try_from(size).unwrap()];
            for record in 1..30 {
                let (at, len) = (random.u64(0..LONGEST), random.u64(0..LONGEST / 2));
                if random.u8(0..4) == 0 {
                    overlay.resize(at);
                    model.resize(usize::try_from(at).unwrap(), Some((0, 0)));
                } else {
                    overlay.write(at, len, record);
                    let end = usize::try_from(at + len).unwrap();
                    if len > 0 && model.len() < end {
                        model.resize(end, Some((0, 0)));
                    }
                    for number in 0..len {
                        model[usize::try_from(at + number).unwrap()] = Some((record, number));
                    }
                }
                assert_eq!(overlay.size(), model.len() as u64);
                let start = random.u64(0..LONGEST);
                let end = start + random.u64(0..LONGEST);
                let mut at = start;
                overlay.origins(start..end, |range, origin| {
                    assert!(range.start == at && range.start < range.end, "{range:?} after {at}");
                    for byte in range.clone() {
                        let there = match origin {
                            Origin::Below => None,
                            Origin::Zeros => Some((0, 0)),
                            Origin::Piece(piece) => Some((piece.record, piece.skip + byte - range.start)),
                        };
                        assert_eq!(there, model[usize::try_from(byte).unwrap()], "byte {byte}");
                    }
                    at = range.end;
                });
                assert_eq!(at, end.min(model.len() as u64).max(start));
            }
        }
    }
}
