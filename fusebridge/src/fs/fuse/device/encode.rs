//! What files are like, as the kernel wants to be told.

use lisafs::wire::{Statx, StatxMask};
use zerocopy::IntoBytes;

use super::end::Backing;
use crate::fs::fuse::abi::{self, Attr, AttrOut, Dirent, EntryOut, OpenOut, StatxOut, StatxTime};
use crate::fs::fuse::convert::join_device;
use crate::fs::fuse::handler::{Names, NamesAndAttributes, Opened, Told};
use crate::fs::identity::NodeId;

pub(super) fn attr(id: NodeId, stat: &Statx) -> Attr {
    Attr {
        node: id.0,
        size: stat.size,
        blocks: stat.blocks,
        atime: stat.atime.sec,
        mtime: stat.mtime.sec,
        ctime: stat.ctime.sec,
        atime_nsec: stat.atime.nsec,
        mtime_nsec: stat.mtime.nsec,
        ctime_nsec: stat.ctime.nsec,
        mode: stat.mode.into(),
        // Without any link there would be no way to make one.
        nlink: if stat.mask.contains(StatxMask::NLINK) { stat.nlink } else { 1 },
        uid: stat.uid,
        gid: stat.gid,
        device: join_device(stat.rdev_major, stat.rdev_minor),
        block_size: stat.blksize,
        flags: 0,
    }
}

/// Files never share a number with an earlier one while the kernel remembers it, unless others have removed that one
/// when it was idle: then the kernel has nothing of it that it does not ask for again. So all are of one generation.
pub(super) fn entry_out(told: &Told) -> EntryOut {
    let (seconds, nanoseconds) = (told.ttl.as_secs(), told.ttl.subsec_nanos());
    EntryOut {
        node: told.id.0,
        generation: 0,
        entry_valid: seconds,
        attr_valid: seconds,
        entry_valid_nsec: nanoseconds,
        attr_valid_nsec: nanoseconds,
        attr: attr(told.id, &told.stat),
    }
}

pub(super) fn attr_out(told: &Told) -> AttrOut {
    AttrOut {
        valid: told.ttl.as_secs(),
        valid_nsec: told.ttl.subsec_nanos(),
        padding: 0,
        attr: attr(told.id, &told.stat),
    }
}

/// What GETATTR says, and when the file was made, if the server knows.
pub(super) fn statx_out(told: &Told) -> StatxOut {
    let (stat, attr) = (&told.stat, attr(told.id, &told.stat));
    let time = |seconds, nanoseconds| StatxTime { seconds, nanoseconds, reserved: 0 };
    let birth = stat.mask & StatxMask::BTIME;
    StatxOut {
        valid: told.ttl.as_secs(),
        valid_nsec: told.ttl.subsec_nanos(),
        flags: 0,
        spare: [0; 2],
        stat: abi::Statx {
            mask: (StatxMask::BASIC_STATS | birth).bits(),
            block_size: attr.block_size,
            attributes: 0,
            nlink: attr.nlink,
            uid: attr.uid,
            gid: attr.gid,
            mode: stat.mode,
            spare: 0,
            node: attr.node,
            size: attr.size,
            blocks: attr.blocks,
            attributes_mask: 0,
            atime: time(attr.atime, attr.atime_nsec),
            btime: time(stat.btime.sec, stat.btime.nsec),
            ctime: time(attr.ctime, attr.ctime_nsec),
            mtime: time(attr.mtime, attr.mtime_nsec),
            rdev_major: stat.rdev_major,
            rdev_minor: stat.rdev_minor,
            dev_major: 0,
            dev_minor: 0,
            spare2: [0; 14],
        },
    }
}

pub(super) fn open_out(opened: &Opened<Backing>) -> OpenOut {
    let backing = opened.backing.as_ref().map_or(0, |backing| backing.number());
    OpenOut { handle: opened.handle, flags: opened.flags, backing }
}

/// A listing of limited length.
pub(super) struct Listing {
    bytes: Vec<u8>,
    limit: usize,
    /// Files that the kernel counts as looked up.
    known: Vec<NodeId>,
}

impl Listing {
    /// An empty one, for up to `limit` bytes.
    pub(super) fn new(limit: u32) -> Self {
        /// More than any kernel asks for at once.
        const MOST: usize = 1 << 20;
        let limit = (limit as usize).min(MOST);
        Listing { bytes: Vec::with_capacity(limit), limit, known: Vec::new() }
    }

    /// What there is of it.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Files that the kernel counts as looked up, once for each time that they are here.
    pub(super) fn known(&self) -> &[NodeId] {
        &self.known
    }

    fn push(&mut self, before: &[u8], dirent: Dirent, name: &[u8]) -> bool {
        let len = before.len() + size_of::<Dirent>() + name.len();
        let end = self.bytes.len() + len.next_multiple_of(8);
        if end > self.limit {
            return false;
        }
        for part in [before, dirent.as_bytes(), name] {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.resize(end, 0);
        true
    }
}

fn dirent(id: NodeId, next: u64, mode: u32, name: &[u8]) -> Dirent {
    Dirent { node: id.0, offset: next, name_length: u32::try_from(name.len()).unwrap_or(u32::MAX), kind: mode >> 12 }
}

impl Names for Listing {
    fn add(&mut self, id: NodeId, next: u64, mode: u32, name: &[u8]) -> bool {
        self.push(&[], dirent(id, next, mode, name), name)
    }
}

impl NamesAndAttributes for Listing {
    fn room(&self) -> usize {
        /// Of usual names.
        const NAME: usize = 16;
        (self.limit - self.bytes.len()) / (size_of::<EntryOut>() + size_of::<Dirent>() + NAME)
    }

    fn add(&mut self, known: Option<&Told>, id: NodeId, next: u64, mode: u32, name: &[u8]) -> bool {
        // Number 0 stands for "not known", unlike in the answer to a lookup.
        let entry = known.map_or_else(zerocopy::FromZeros::new_zeroed, entry_out);
        let (id, mode) = known.map_or((id, mode), |told| (told.id, told.stat.mode.into()));
        let fits = self.push(entry.as_bytes(), dirent(id, next, mode, name), name);
        self.known.extend(known.filter(|_| fits).map(|told| told.id));
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_padded_and_limited() {
        let mut listing = Listing::new(72);
        assert!(Names::add(&mut listing, NodeId(5), 1, 0o10_0000, b"a"));
        assert!(Names::add(&mut listing, NodeId(6), 2, 0o4_0000, b"eight888"));
        assert_eq!(listing.bytes().len(), 32 + 32);
        assert!(!Names::add(&mut listing, NodeId(7), 3, 0o4_0000, b"b"));
        assert_eq!(listing.bytes()[16..24], [1_u32.to_ne_bytes(), 8_u32.to_ne_bytes()].concat()[..]);
        assert_eq!(listing.bytes()[24..32], *b"a\0\0\0\0\0\0\0");
    }

    #[test]
    fn what_is_not_known_has_number_0() {
        let mut listing = Listing::new(4096);
        let told = Told { id: NodeId(9), stat: Statx::default(), ttl: std::time::Duration::from_millis(1500) };
        assert!(NamesAndAttributes::add(&mut listing, None, NodeId(5), 1, 0o10_0000, b"unknown"));
        assert!(NamesAndAttributes::add(&mut listing, Some(&told), NodeId(9), 2, 0o10_0000, b"known"));
        assert_eq!(listing.known(), [NodeId(9)]);
        assert_eq!(listing.bytes()[..8], 0_u64.to_ne_bytes());
        let second = &listing.bytes()[128 + 24 + 8..];
        assert_eq!(second[..8], 9_u64.to_ne_bytes());
        assert_eq!(second[16..24], 1_u64.to_ne_bytes());
        assert_eq!(second[32..36], 500_000_000_u32.to_ne_bytes());
    }
}
