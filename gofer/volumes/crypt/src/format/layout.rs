//! Where plain bytes are in a file.

use super::{BLOCK, HEADER_LEN};

/// Sizes and positions, for blocks that are longer than plain ones by some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    overhead: u64,
}

const HEADER: u64 = HEADER_LEN as u64;
const PLAIN: u64 = BLOCK as u64;

impl Layout {
    pub(super) fn new(overhead: usize) -> Self {
        Layout { overhead: overhead as u64 }
    }

    /// Bytes of a whole block.
    pub fn block(self) -> u64 {
        PLAIN + self.overhead
    }

    /// Where block `number` begins; `None` if no file can be so long.
    pub fn position(self, number: u64) -> Option<u64> {
        number.checked_mul(self.block())?.checked_add(HEADER).filter(|end| i64::try_from(*end).is_ok())
    }

    /// How many plain bytes there are in a file of `size` bytes. A block that was cut off counts as one byte at least,
    /// so that somebody reads it and is told.
    pub fn plain_size(self, size: u64) -> u64 {
        match size {
            0 | HEADER => 0,
            1..HEADER => 1,
            _ => {
                let (blocks, rest) = ((size - HEADER) / self.block(), (size - HEADER) % self.block());
                let rest = if rest == 0 { 0 } else { rest.saturating_sub(self.overhead).max(1) };
                blocks * PLAIN + rest
            }
        }
    }

    /// How long a file of `size` plain bytes is; `None` if no file can be so long.
    pub fn cipher_size(self, size: u64) -> Option<u64> {
        let (blocks, rest) = (size / PLAIN, size % PLAIN);
        match (blocks, rest) {
            (0, 0) => Some(0),
            (_, 0) => self.position(blocks),
            _ => self.position(blocks)?.checked_add(self.overhead + rest).filter(|end| i64::try_from(*end).is_ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_go_both_ways() {
        for overhead in [32, 40] {
            let layout = Layout::new(overhead);
            for plain in (0..3).flat_map(|n| [4096 * n, 4096 * n + 1, 4096 * n + 2, 4096 * n + 4095]) {
                assert_eq!(layout.plain_size(layout.cipher_size(plain).unwrap()), plain, "{plain}");
            }
        }
        let layout = Layout::new(32);
        assert_eq!(layout.cipher_size(4096), Some(18 + 4128));
        assert_eq!(layout.cipher_size(4097), Some(18 + 4128 + 33));
        assert_eq!(layout.cipher_size(u64::MAX), None);
        assert_eq!(layout.cipher_size(i64::MAX as u64), None);
        assert_eq!(layout.position(u64::MAX / 4096), None);
    }

    #[test]
    fn what_was_cut_off_is_not_passed_over() {
        let layout = Layout::new(32);
        assert_eq!(layout.plain_size(18), 0);
        for cut in [1, 17, 19, 18 + 32, 18 + 33] {
            assert_eq!(layout.plain_size(cut), 1, "{cut}");
        }
        assert_eq!(layout.plain_size(18 + 4128 + 5), 4097);
    }
}
