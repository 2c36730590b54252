//! Random places, the same for every subject.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 4096;
const BLOCKS_PER_MEBIBYTE: u64 = (1 << 20) / BLOCK as u64;

/// Random blocks of 4 KiB of a file.
pub(crate) struct Places {
    state: u64,
    blocks: u64,
}

impl Places {
    /// Those of one of the callers, in a file of so many MiB.
    pub(crate) fn new(mebibytes: u32, caller: u32) -> Self {
        let blocks = u64::from(mebibytes) * BLOCKS_PER_MEBIBYTE;
        Self { state: 0x9e37_79b9_7f4a_7c15 ^ u64::from(caller) << 32, blocks }
    }

    /// Where the next block begins.
    pub(crate) fn next(&mut self) -> u64 {
        // xorshift
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % self.blocks * BLOCK as u64
    }
}

/// Reads so many random blocks of a file of so many MiB.
pub(crate) fn read(file: &File, mebibytes: u32, reads: u32) -> io::Result<()> {
    let (mut places, mut block) = (Places::new(mebibytes, 0), [0; BLOCK]);
    (0..reads).try_for_each(|_| file.read_exact_at(&mut block, places.next()))
}
