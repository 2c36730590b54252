//! Asking the kernel to forget files that nobody is in, by a notification that fuser 0.18 does not have.

use std::cell::Cell;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, write};

use crate::fs::evict::Prune;
use crate::fs::identity::NodeId;

/// `FUSE_NOTIFY_PRUNE`, which Linux has since 6.18. Unlike `FUSE_NOTIFY_INVAL_ENTRY` it leaves names alone that are in
/// use: by what is mounted on them, and by those whose working directory they are.
const PRUNE: i32 = 9;

/// So many files are named in one notification.
const MOST: usize = 512;

/// Sends notifications.
pub(super) struct Pruner {
    device: OwnedFd,
    /// Whether the kernel does not know this one.
    is_unknown: Cell<bool>,
}

impl Pruner {
    /// For the connection over `device`.
    pub(super) fn new(device: OwnedFd) -> Self {
        Pruner { device, is_unknown: Cell::new(false) }
    }

    /// What the evictor wants.
    pub(super) fn into_prune(self) -> Prune {
        Box::new(move |files| self.prune(files))
    }

    fn prune(&self, files: &[NodeId]) {
        for files in files.chunks(MOST) {
            if self.is_unknown.get() {
                return;
            }
            match write(&self.device, &notification(files)) {
                Ok(_) => {}
                Err(error @ (Errno::INVAL | Errno::NOSYS)) => {
                    tracing::debug!(%error, "this kernel cannot be asked to forget files");
                    self.is_unknown.set(true);
                }
                Err(error) => tracing::debug!(%error, "the kernel keeps files"),
            }
        }
    }
}

/// A header (`fuse_out_header`: length, code, no request), `fuse_notify_prune_out` (count, nothing, nothing), and the
/// numbers.
fn notification(files: &[NodeId]) -> Vec<u8> {
    const HEAD: u32 = 32;
    // Not more than `MOST`.
    let count = u32::try_from(files.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEAD as usize + size_of_val(files));
    bytes.extend((HEAD + 8 * count).to_ne_bytes());
    bytes.extend(PRUNE.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(count.to_ne_bytes());
    bytes.extend([0; 12]);
    bytes.extend(files.iter().flat_map(|file| file.0.to_ne_bytes()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_is_as_long_as_it_says() {
        let bytes = notification(&[NodeId(7), NodeId(1 << 40)]);
        assert_eq!(bytes.len(), 48);
        assert_eq!(bytes[..8], [48_u32.to_ne_bytes(), 9_u32.to_ne_bytes()].concat()[..]);
        assert_eq!(bytes[16..20], 2_u32.to_ne_bytes());
        assert_eq!(bytes[40..], (1_u64 << 40).to_ne_bytes());
    }
}
