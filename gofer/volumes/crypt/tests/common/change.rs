//! Changes of a file that may end in the middle.

use lisafs::backend::{Access, Backend, ControlBox, Name, OpenHow};

const BLOCK: usize = 4096;

/// Bytes of the longest file.
const MOST: u64 = 1 << 20;

/// Numbers that look random, and are the same each time for the same start.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// A change of the file that is written.
#[derive(Debug)]
pub(crate) enum Change {
    Write(u64, Vec<u8>),
    Size(u64),
}

impl Change {
    /// The change that comes next to a file of `size` bytes.
    pub(crate) fn next(numbers: &mut Numbers, size: u64) -> Self {
        match numbers.below(8) {
            0 => Change::Size(numbers.below(MOST)),
            // At the end, whole blocks or not.
            1 => Change::Write(size.min(MOST), vec![u8::try_from(numbers.below(255)).unwrap() + 1; 100_000]),
            _ => {
                let len = usize::try_from(numbers.below(300_000)).unwrap() + 1;
                Change::Write(numbers.below(MOST), vec![u8::try_from(numbers.below(255)).unwrap() + 1; len])
            }
        }
    }

    pub(crate) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => {
                let start = usize::try_from(*at).unwrap();
                content.resize(content.len().max(start + bytes.len()), 0);
                content[start..start + bytes.len()].copy_from_slice(bytes);
            }
            Change::Size(size) => content.resize(usize::try_from(*size).unwrap(), 0),
        }
    }
}

pub(crate) fn walk(volume: &impl Backend, name: &str) -> ControlBox {
    volume.attach().unwrap().root.file.walk(Name::new(name.as_bytes()).unwrap()).unwrap().file
}

pub(crate) fn read(file: &ControlBox) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.stat().unwrap().size).unwrap()];
    let opened = file.open(OpenHow::new(Access::Read)).unwrap().file;
    assert_eq!(opened.read_at((&mut bytes[..]).into(), 0).unwrap(), bytes.len());
    bytes
}

/// Whether `now` may be what is there in the middle of a change from `old` to `new`.
#[track_caller]
pub(crate) fn is_between(now: &[u8], old: &[u8], new: &[u8]) {
    let (least, most) = (old.len().min(new.len()), old.len().max(new.len()));
    assert!((least..=most).contains(&now.len()), "{} bytes between {} and {}", now.len(), old.len(), new.len());
    for (number, block) in now.chunks(BLOCK).enumerate() {
        let of = |content: &[u8]| {
            let start = (number * BLOCK).min(content.len());
            content[start..content.len().min(start + BLOCK)].to_vec()
        };
        // What is behind the end of the old file are zeros until there is something else.
        let mut filled = of(old);
        filled.resize(block.len().max(filled.len()), 0);
        assert!(block == of(old) || block == of(new) || block == filled, "block {number} is neither old nor new");
    }
}
