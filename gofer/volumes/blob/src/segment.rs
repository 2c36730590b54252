//! Segments: immutable objects of file data.
//!
//! The blocks stand one behind the other, then what they are, so that damage can be told from disorder, then a trailer.

use std::ops::Range;

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use slatedb::bytes::{BufMut, Bytes, BytesMut};

use crate::location::Compression;
use crate::node::Data;
use crate::record::{Codec, Stored};
use crate::{Errno, Store};

/// Bytes of a segment, about.
pub(crate) const TARGET: usize = 8 << 20;

/// The last bytes of each segment.
const MAGIC: &[u8; 8] = b"goferSG1";

/// The object of a segment. The low byte comes first: stores spread their load by the beginning of names.
pub(crate) fn path(number: u64) -> Path {
    Path::from(format!("data/{:02x}/{number:016x}", number & 0xff))
}

/// The number of the segment that an object is.
pub(crate) fn number_of(path: &Path) -> Option<u64> {
    let name = path.as_ref().strip_prefix("data/")?.get(3..)?;
    let number = u64::from_str_radix(name, 16).ok()?;
    (self::path(number) == *path).then_some(number)
}

/// What a block of a segment was when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// The file.
    pub(crate) ino: u64,
    /// Which block of the file.
    pub(crate) block: u64,
    /// Bytes in the segment.
    pub(crate) len: u32,
    /// CRC-32 of them.
    pub(crate) crc: u32,
}

/// A segment that is being filled. Blocks are not copied: many are in memory anyway when they are sent.
pub(crate) struct Builder {
    volume: u16,
    number: u64,
    blocks: Vec<Bytes>,
    len: usize,
    listed: Vec<Listed>,
}

/// A block whose bytes go to the store as they are.
struct Block(Data);

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Builder {
    /// An empty segment of a volume.
    pub(crate) fn new(volume: u16, number: u64) -> Self {
        Builder { volume, number, blocks: Vec::new(), len: 0, listed: Vec::new() }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether it is large enough.
    pub(crate) fn is_full(&self) -> bool {
        self.len >= TARGET
    }

    /// Puts a block in.
    pub(crate) fn add(&mut self, ino: u64, block: u64, data: &Data, compression: Compression) -> Stored {
        let offset = u32::try_from(self.len).expect("a full segment takes no block");
        let compressed = match compression {
            Compression::None => None,
            // An eighth saved pays for the time.
            Compression::Lz4 => {
                Some(lz4_flex::block::compress(data)).filter(|less| less.len() + data.len() / 8 < data.len())
            }
        };
        let (bytes, codec) = match compressed {
            Some(less) => (Bytes::from(less), Codec::Lz4),
            None => (Bytes::from_owner(Block(data.clone())), Codec::None),
        };
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a block is short");
        let (len, plain, crc) = (length(&bytes), length(data), crc32fast::hash(&bytes));
        self.len += bytes.len();
        self.blocks.push(bytes);
        self.listed.push(Listed { ino, block, len, crc });
        Stored { volume: self.volume, segment: self.number, offset, len, plain, codec, crc }
    }

    /// The object.
    pub(crate) fn finish(mut self) -> PutPayload {
        let list = postcard::to_allocvec(&self.listed).expect("records have no maps or floats");
        let mut end = BytesMut::with_capacity(list.len() + 16);
        end.put_slice(&list);
        end.put_u32_le(u32::try_from(list.len()).expect("a list of a few thousand blocks is short"));
        end.put_u32_le(crc32fast::hash(&list));
        end.put_slice(MAGIC);
        self.blocks.push(end.freeze());
        self.blocks.into_iter().collect()
    }
}

/// What the blocks of a segment were; nothing if it is no whole segment.
pub(crate) fn list(object: &[u8]) -> Option<Vec<Listed>> {
    let (rest, trailer) = object.split_last_chunk::<16>()?;
    let (len, rest_of_trailer) = trailer.split_first_chunk::<4>()?;
    let (crc, magic) = rest_of_trailer.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let list = rest.get(rest.len().checked_sub(len)?..)?;
    let sound = magic == MAGIC && crc32fast::hash(list) == u32::from_le_bytes(*crc);
    if sound { postcard::from_bytes(list).ok() } else { None }
}

/// Sends a segment to the store.
pub(crate) async fn upload(store: &Store, number: u64, object: PutPayload) -> Result<(), object_store::Error> {
    store.objects.put(&path(number), object).await.map(drop)
}

/// Reads a part of a segment from the store. `prefix` is the place of the volume that made it.
pub(crate) async fn read(
    store: &Store,
    prefix: &Path,
    number: u64,
    range: Range<u32>,
) -> Result<Bytes, object_store::Error> {
    store.root.get_range(&path_in(prefix, number), range.start.into()..range.end.into()).await
}

/// The object of a segment of the volume at `prefix`.
pub(crate) fn path_in(prefix: &Path, number: u64) -> Path {
    prefix.parts().chain(path(number).parts()).collect()
}

/// The data of a block, from its bytes in the segment; `EIO` and a line in the log if they are not those that were
/// written.
pub(crate) fn unpack(stored: &Stored, bytes: Vec<u8>, largest: u32) -> Result<Vec<u8>, Errno> {
    let damaged = |what: &str| {
        let Stored { segment, offset, .. } = stored;
        tracing::error!(segment = format_args!("{segment:016x}"), offset, "the volume is damaged: {what}");
        Errno::IO
    };
    if bytes.len() != stored.len as usize || crc32fast::hash(&bytes) != stored.crc {
        return Err(damaged("a block is not what was written"));
    }
    if stored.plain > largest {
        return Err(damaged("a block is too long"));
    }
    let data = match stored.codec {
        Codec::None => bytes,
        Codec::Lz4 => lz4_flex::block::decompress(&bytes, stored.plain as usize)
            .map_err(|_| damaged("a block cannot be decompressed"))?,
    };
    if data.len() != stored.plain as usize {
        return Err(damaged("a block has the wrong length"));
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_numbers_belong_together() {
        assert_eq!(path(0x1234).as_ref(), "data/34/0000000000001234");
        assert_eq!(path_in(&Path::from("a/b"), 0x1234).as_ref(), "a/b/data/34/0000000000001234");
        assert_eq!(number_of(&path(u64::MAX)), Some(u64::MAX));
        for other in ["data/35/0000000000001234", "data/34/1234", "meta/34/0000000000001234", "data/34", "data/34/x"] {
            assert_eq!(number_of(&Path::from(other)), None, "{other}");
        }
    }

    #[test]
    fn blocks_come_back_and_damage_is_told() {
        let mut builder = Builder::new(0, 7);
        let zeros = builder.add(1, 0, &vec![0; 5000].into(), Compression::Lz4);
        let mut state = 1_u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[1]
        };
        let random: Data = (0..5000).map(|_| next()).collect::<Vec<u8>>().into();
        let raw = builder.add(1, 1, &random, Compression::Lz4);
        assert_eq!((zeros.codec, raw.codec), (Codec::Lz4, Codec::None));
        let object = Bytes::from(builder.finish());
        let part = |stored: &Stored| object[stored.offset as usize..(stored.offset + stored.len) as usize].to_vec();
        assert_eq!(unpack(&zeros, part(&zeros), 1 << 16), Ok(vec![0; 5000]));
        assert_eq!(unpack(&raw, part(&raw), 1 << 16).as_ref(), Ok(&*random));
        let listed = list(&object).unwrap();
        assert_eq!((listed.len(), listed[1].block, listed[1].crc), (2, 1, raw.crc));
        assert_eq!(unpack(&raw, part(&zeros), 1 << 16), Err(Errno::IO));
        assert_eq!(unpack(&raw, part(&raw), 4096), Err(Errno::IO));
        assert_eq!(unpack(&Stored { plain: 4999, ..zeros }, part(&zeros), 1 << 16), Err(Errno::IO));
        assert_eq!(list(&object[1..]), list(&object), "only the end counts");
        for cut in [0, 15, object.len() - 1] {
            assert_eq!(list(&object[..cut]), None, "{cut}");
        }
    }
}
