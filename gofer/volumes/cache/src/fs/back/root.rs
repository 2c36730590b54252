//! Which directory the changes in a cache are for.

use std::path::Path;
use std::{fs, io};

use lisafs::backend::{Statx, StatxMask};

use crate::store::write_private;

/// Where that stands, beside the journals.
const FILE: &str = "root";

/// What tells the root of a backend from an empty directory on which it is not mounted, or from a copy. Numbers of devices
/// do not: they change when the machine starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root {
    ino: u64,
    /// When it was made, if that is known.
    born: (i64, u32),
}

impl Root {
    pub(super) fn of(stat: &Statx) -> Self {
        let is_known = stat.mask.contains(StatxMask::BTIME);
        Root { ino: stat.ino, born: if is_known { (stat.btime.sec, stat.btime.nsec) } else { (0, 0) } }
    }

    /// The root that the journals in `directory` are for. `None` if nobody has noted it.
    pub(super) fn load(directory: &Path) -> Option<Self> {
        let text = fs::read_to_string(directory.join(FILE)).ok()?;
        let mut words = text.strip_suffix('\n')?.split(' ');
        let ino = words.next()?.parse().ok()?;
        let born = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Root { ino, born })
    }

    pub(super) fn store(&self, directory: &Path) -> io::Result<()> {
        let Root { ino, born: (seconds, nanoseconds) } = self;
        let text = format!("{ino} {seconds} {nanoseconds}\n");
        write_private(&directory.join(FILE), text.as_bytes())?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_known_again_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Root::load(directory.path()), None);
        let root = Root { ino: u64::MAX, born: (-1, 999_999_999) };
        root.store(directory.path()).unwrap();
        assert_eq!(Root::load(directory.path()), Some(root));
        let whole = fs::read(directory.path().join(FILE)).unwrap();
        for len in 0..whole.len() {
            fs::write(directory.path().join(FILE), &whole[..len]).unwrap();
            assert_eq!(Root::load(directory.path()), None, "{len}");
        }
    }
}
