//! How names are kept in directories.

use arrayvec::ArrayVec;

use super::{DIR_IV, DIR_IV_GONE};

/// The longest name, plain or encrypted, in bytes; that of an attribute, too.
pub const MAX_NAME: usize = 255;

/// What names for long names begin with.
pub(super) const LONG: &[u8] = b"gocryptfs.longname.";

/// What the file with a long name ends with.
const NAME_FILE: &[u8] = b".name";

/// Bytes of a name for a long name: with the hash in base64, perhaps with padding.
pub(super) const LONG_NAME: usize = LONG.len() + 44;

/// The longest name in base64.
pub(super) const MAX_ENCODED: usize = 344;

/// A name as it is in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The name of the entry.
    Short(ArrayVec<u8, MAX_NAME>),
    /// Too long for that.
    Long {
        /// The name of the entry.
        content: ArrayVec<u8, LONG_NAME>,
        /// The encrypted name, which is in a file of its own.
        full: ArrayVec<u8, MAX_ENCODED>,
    },
}

impl Stored {
    /// The name of the entry.
    pub fn entry(&self) -> &[u8] {
        match self {
            Stored::Short(name) => name,
            Stored::Long { content, .. } => content,
        }
    }

    /// Whether there is a file with the name.
    pub fn is_long(&self) -> bool {
        matches!(self, Stored::Long { .. })
    }
}

/// What an entry of a directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// A file with this name, encrypted or not.
    Name(&'a [u8]),
    /// A file whose name is in another file.
    Long(&'a [u8]),
    /// The file with the name of the file that is called so.
    LongName(&'a [u8]),
    /// The initialization vector of the directory, or of one that is no more.
    DirIv,
}

impl<'a> Entry<'a> {
    pub(super) fn classify(entry: &'a [u8], per_dir: bool, long_names: bool) -> Self {
        if per_dir && (entry == DIR_IV || entry.starts_with(DIR_IV_GONE)) {
            return Entry::DirIv;
        }
        if long_names && entry.starts_with(LONG) {
            return match entry.strip_suffix(NAME_FILE) {
                Some(content) => Entry::LongName(content),
                None => Entry::Long(entry),
            };
        }
        Entry::Name(entry)
    }

    /// The name of the file that has the name of the long name `content`.
    pub fn name_file(content: &[u8]) -> ArrayVec<u8, MAX_NAME> {
        content.iter().chain(NAME_FILE).copied().take(MAX_NAME).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_apart() {
        let classify = |entry: &'static str| Entry::classify(entry.as_bytes(), true, true);
        assert_eq!(classify("gocryptfs.diriv"), Entry::DirIv);
        assert_eq!(classify("gocryptfs.diriv.rmdir.123"), Entry::DirIv);
        assert_eq!(classify("gocryptfs.longname.abc"), Entry::Long(b"gocryptfs.longname.abc"));
        assert_eq!(classify("gocryptfs.longname.abc.name"), Entry::LongName(b"gocryptfs.longname.abc"));
        assert_eq!(classify("gocryptfs.conf"), Entry::Name(b"gocryptfs.conf"));
        assert_eq!(Entry::classify(b"gocryptfs.diriv", false, false), Entry::Name(b"gocryptfs.diriv"));
        assert_eq!(Entry::name_file(b"gocryptfs.longname.abc").as_slice(), b"gocryptfs.longname.abc.name");
    }
}
