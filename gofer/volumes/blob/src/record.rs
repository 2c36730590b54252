//! Values of the metadata database: a version, and what postcard makes of the record.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Errno;

/// The version of all records that this program writes.
const VERSION: u8 = 1;

/// Blocks whose places are in one record.
pub(crate) const CHUNK_BLOCKS: u64 = 16;

/// Type bits of a mode.
pub(crate) const S_IFMT: u16 = 0o170_000;
pub(crate) const S_IFDIR: u16 = 0o040_000;
pub(crate) const S_IFREG: u16 = 0o100_000;
pub(crate) const S_IFLNK: u16 = 0o120_000;

/// A time stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Time {
    /// Seconds since 1970, negative before.
    pub(crate) sec: i64,
    /// Nanoseconds, counted upwards from `sec`.
    pub(crate) nsec: u32,
}

/// A file's attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inode {
    /// Type and permission bits.
    pub(crate) mode: u16,
    /// Names; for a directory 2 and one for each directory in it. Zero once it is removed.
    pub(crate) nlink: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Bytes; for a directory the number of its entries.
    pub(crate) size: u64,
    /// Bytes that are held for the content, before compression.
    pub(crate) held: u64,
    /// Last access.
    pub(crate) atime: Time,
    /// Last change of the content.
    pub(crate) mtime: Time,
    /// Last change of the attributes.
    pub(crate) ctime: Time,
    /// Birth.
    pub(crate) btime: Time,
    /// Major and minor number of a device.
    pub(crate) device: (u32, u32),
    /// The directory that a directory is in; the root is in itself.
    pub(crate) parent: u64,
    /// How many extended attributes there are.
    pub(crate) xattrs: u32,
    /// Where a symbolic link leads.
    pub(crate) target: Vec<u8>,
}

impl Inode {
    /// Whether it has this type.
    pub(crate) fn is(&self, kind: u16) -> bool {
        self.mode & S_IFMT == kind
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Tells it apart from names with the same hash, as long as it exists.
    pub(crate) slot: u8,
    /// Type bits of the file's mode.
    pub(crate) kind: u16,
    /// The file's number.
    pub(crate) ino: u64,
    pub(crate) name: Vec<u8>,
}

/// The names of one hash in a directory, by slot. Nearly always one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bucket(pub(crate) Vec<Entry>);

impl Bucket {
    /// The entry of this name.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.name == name)
    }
}

/// Where a block's data is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Nowhere: it is zeros.
    #[default]
    Hole,
    /// Right here.
    Inline(Vec<u8>),
    /// In a segment.
    Stored(Stored),
}

/// Where in a segment a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Stored {
    /// Which volume made the segment: an index of the superblock's list of those that this one descends from, or the
    /// one behind the last, which is this one.
    pub(crate) volume: u16,
    /// The segment's number.
    pub(crate) segment: u64,
    /// Where it begins, in bytes.
    pub(crate) offset: u32,
    /// Bytes in the segment.
    pub(crate) len: u32,
    /// Bytes of data. What the block has beyond is zeros.
    pub(crate) plain: u32,
    /// How it is compressed.
    pub(crate) codec: Codec,
    /// CRC-32 of the bytes in the segment.
    pub(crate) crc: u32,
}

/// How a block is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Codec {
    /// Not at all.
    None,
    /// By LZ4, as one block without a frame.
    Lz4,
}

impl Place {
    /// Bytes of data.
    pub(crate) fn held(&self) -> u64 {
        match self {
            Place::Hole => 0,
            Place::Inline(bytes) => bytes.len() as u64,
            Place::Stored(stored) => stored.plain.into(),
        }
    }
}

/// Where [`CHUNK_BLOCKS`] successive blocks of a file are. Holes at the end are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chunk(Vec<Place>);

impl Chunk {
    /// Where block `index` of the chunk is.
    pub(crate) fn get(&self, index: usize) -> &Place {
        self.0.get(index).unwrap_or(&Place::Hole)
    }

    /// Puts a block somewhere and gives back where it was.
    pub(crate) fn set(&mut self, index: usize, place: Place) -> Place {
        if index >= self.0.len() {
            self.0.resize(index + 1, Place::Hole);
        }
        let before = std::mem::replace(&mut self.0[index], place);
        while self.0.last() == Some(&Place::Hole) {
            self.0.pop();
        }
        before
    }

    /// Whether all is holes.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All blocks that are somewhere, by index.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, &Place)> {
        self.0.iter().enumerate().filter(|(_, place)| **place != Place::Hole)
    }
}

/// How much of a segment is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    /// Bytes of blocks that were put into it.
    pub(crate) size: u64,
    /// Bytes of the object.
    pub(crate) object: u64,
    /// Bytes of blocks that files refer to.
    pub(crate) live: u64,
    /// When the last block died, in seconds since 1970; zero while there is one.
    pub(crate) dead_since: i64,
}

/// The volume's counters, as of the last commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The number of the next file.
    pub(crate) next_ino: u64,
    /// How often the volume was opened for writing. Segments are numbered within that.
    pub(crate) openings: u32,
    /// How many commits there were.
    pub(crate) commits: u64,
    /// How many files there are.
    pub(crate) files: u64,
    /// Bytes of their content.
    pub(crate) bytes: u64,
    /// Whether whoever wrote last has ended in peace, so that nobody writes now.
    pub(crate) is_closed: bool,
    /// What was asked of the store by all who wrote.
    pub(crate) requests: RequestCounts,
}

/// Requests to a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Objects and parts of objects that were read, or only looked at.
    pub get: u64,
    /// Objects that were written or copied.
    pub put: u64,
    /// Listings, each of up to 1,000 names.
    pub list: u64,
    /// Objects that were deleted.
    pub delete: u64,
    /// Bytes that were sent.
    pub sent: u64,
    /// Bytes that were asked for.
    pub received: u64,
}

impl std::ops::Add for RequestCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        RequestCounts {
            get: self.get + other.get,
            put: self.put + other.put,
            list: self.list + other.list,
            delete: self.delete + other.delete,
            sent: self.sent + other.sent,
            received: self.received + other.received,
        }
    }
}

/// The record as a value.
pub(crate) fn encode(record: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(record, vec![VERSION])
        .expect("records have no maps or floats, and vectors take what is written")
}

/// The record of a value; `EIO` and a line in the log if it is none, or of a version that is not known.
pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, value: &[u8]) -> Result<T, Errno> {
    match value {
        [VERSION, record @ ..] => match postcard::take_from_bytes(record) {
            Ok((record, [])) => return Ok(record),
            Ok(_) => tracing::error!(record = what, "the volume is damaged: a record is longer than it should be"),
            Err(error) => tracing::error!(record = what, %error, "the volume is damaged: a record cannot be read"),
        },
        [version, ..] => tracing::error!(record = what, version, "the volume has records of a newer version"),
        [] => tracing::error!(record = what, "the volume is damaged: a record is empty"),
    }
    Err(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        let inode = Inode { mode: S_IFREG | 0o644, nlink: 1, size: 1 << 40, target: b"x".to_vec(), ..Inode::default() };
        assert_eq!(decode::<Inode>("inode", &encode(&inode)), Ok(inode.clone()));
        assert!(inode.is(S_IFREG) && !inode.is(S_IFDIR));
        let stored = Stored { volume: 0, segment: 1, offset: 2, len: 3, plain: 4, codec: Codec::Lz4, crc: 5 };
        let mut chunk = Chunk::default();
        assert_eq!(chunk.set(3, Place::Stored(stored)), Place::Hole);
        assert_eq!(chunk.set(1, Place::Inline(vec![7])), Place::Hole);
        assert_eq!(decode::<Chunk>("chunk", &encode(&chunk)), Ok(chunk.clone()));
        assert_eq!(chunk.places().map(|(index, _)| index).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(chunk.set(3, Place::Hole), Place::Stored(stored));
        assert_eq!(chunk.0.len(), 2);
        chunk.set(1, Place::Hole);
        assert!(chunk.is_empty());
        assert_eq!(chunk.get(9), &Place::Hole);
    }

    #[test]
    fn a_file_is_small() {
        let time = Time { sec: 1_800_000_000, nsec: 999_999_999 };
        let inode = Inode {
            mode: S_IFREG | 0o644,
            nlink: 1,
            uid: 1000,
            gid: 1000,
            size: 4096,
            held: 4096,
            atime: time,
            mtime: time,
            ctime: time,
            btime: time,
            ..Inode::default()
        };
        let entry = Entry { slot: 0, kind: S_IFREG, ino: 1 << 20, name: vec![b'n'; 20] };
        let bytes = encode(&inode).len() + encode(&Bucket(vec![entry])).len();
        assert!(bytes <= 100, "{bytes}");
    }

    #[test]
    fn damage_is_told() {
        let good = encode(&State { next_ino: 2, openings: 1, commits: 0, files: 1, ..State::default() });
        assert!(decode::<State>("state", &good).is_ok());
        for bad in
            [&[][..], &[9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], &good[..good.len() - 1], &[&good[..], &[0]].concat()]
        {
            assert_eq!(decode::<State>("state", bad), Err(Errno::IO), "{bad:?}");
        }
    }
}
