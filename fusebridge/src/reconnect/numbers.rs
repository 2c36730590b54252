//! Inode numbers, as the mount is told of them.
//!
//! A server that runs holds the files that are in use, so their numbers are not given to others. When it ends, a removed
//! file's number may go to the next one, while somebody still has the removed one: such a newcomer gets another.

use std::collections::HashMap;

use super::identity::{Identity, Key};

/// The numbers of all files in use.
#[derive(Default)]
pub(super) struct Numbers {
    files: HashMap<Key, Vec<Numbered>>,
    /// How many newcomers there were.
    newcomers: u64,
}

struct Numbered {
    identity: Identity,
    number: u64,
    users: usize,
}

impl Numbers {
    /// The number of a file, which is kept as long as any of the same number is in use.
    pub(super) fn of(&mut self, identity: &Identity) -> u64 {
        match self.files.get(&identity.key()) {
            None => identity.key().1,
            Some(_) => self.numbered(identity).number,
        }
    }

    /// The number of a file that has one more user now.
    pub(super) fn hold(&mut self, identity: &Identity) -> u64 {
        let numbered = self.numbered(identity);
        numbered.users += 1;
        numbered.number
    }

    /// A file has one user less.
    pub(super) fn release(&mut self, identity: &Identity) {
        self.numbered(identity).users -= 1;
        if let Some(files) = self.files.get(&identity.key())
            && files.iter().all(|file| file.users == 0)
        {
            self.files.remove(&identity.key());
        }
    }

    fn numbered(&mut self, identity: &Identity) -> &mut Numbered {
        let files = self.files.entry(identity.key()).or_default();
        let index = files.iter().position(|file| file.identity.is(identity)).unwrap_or_else(|| {
            let number = if files.is_empty() {
                identity.key().1
            } else {
                // Far from what file systems give.
                self.newcomers += 1;
                u64::MAX - self.newcomers
            };
            files.push(Numbered { identity: *identity, number, users: 0 });
            files.len() - 1
        });
        &mut files[index]
    }
}

#[cfg(test)]
mod tests {
    use lisafs::backend::{Statx, StatxMask};

    use super::*;

    fn file(birth: i64) -> Identity {
        let mut stat = Statx::default();
        (stat.ino, stat.mode, stat.mask, stat.btime.sec) = (7, 0o100_644, StatxMask::BTIME, birth);
        Identity::of(&stat)
    }

    #[test]
    fn a_number_is_one_files_as_long_as_it_is_in_use() {
        let (mut numbers, old, new) = (Numbers::default(), file(1), file(2));
        assert_eq!((numbers.of(&new), numbers.hold(&old), numbers.hold(&old)), (7, 7, 7));
        let other = numbers.of(&new);
        assert!(other != 7 && numbers.hold(&new) == other && numbers.of(&new) == other);
        numbers.release(&old);
        numbers.release(&old);
        // It does not change while somebody knows it.
        assert_eq!((numbers.of(&new), numbers.of(&old)), (other, 7));
        numbers.release(&new);
        assert_eq!((numbers.of(&new), numbers.files.len()), (7, 0));
    }
}
