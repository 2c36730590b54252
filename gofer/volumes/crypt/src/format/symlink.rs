//! Targets of symbolic links.

use super::{Damaged, Keys};

/// The longest target that a link can have on Linux.
const MAX_TARGET: usize = 4095;

impl Keys {
    /// A target as it is stored; `None` if it is too long.
    pub fn store_target(&self, target: &[u8]) -> Option<Vec<u8>> {
        if self.has_plain_names() {
            return Some(target.to_vec());
        }
        let stored = self.names.base64().encode(&self.content.seal_value(target)).into_bytes();
        (stored.len() <= MAX_TARGET).then_some(stored)
    }

    /// The target that is stored as `stored`.
    pub fn load_target(&self, stored: Vec<u8>) -> Result<Vec<u8>, Damaged> {
        if self.has_plain_names() {
            return Ok(stored);
        }
        self.content.open_value(self.names.base64().decode(&stored).map_err(|_| Damaged)?)
    }

    /// How long the target is that takes `stored` bytes.
    pub fn target_size(&self, stored: u64) -> u64 {
        if self.has_plain_names() {
            return stored;
        }
        // Without padding, since the padding cannot be told from here.
        (stored * 3 / 4).saturating_sub(self.content.overhead() as u64)
    }
}
