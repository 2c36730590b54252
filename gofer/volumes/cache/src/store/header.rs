//! What stands in front of a map file: which file's data this is, in which version.

use lisafs::backend::{Statx, StatxMask, StatxTimestamp};
use zerocopy::little_endian::{I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Which file: its volume, and what it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) volume: u64,
    pub(crate) device: (u32, u32),
    pub(crate) ino: u64,
}

/// Which content of a file: whatever changes when that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) size: u64,
    mtime: (i64, u32),
    ctime: (i64, u32),
    btime: (i64, u32),
}

impl Version {
    /// That of a regular file with these attributes. `None` if they would not tell one content from another.
    pub(crate) fn of(stat: &Statx) -> Option<Self> {
        let time = |bit, time: StatxTimestamp| if stat.mask.contains(bit) { (time.sec, time.nsec) } else { (0, 0) };
        let version = Version {
            size: stat.size,
            mtime: time(StatxMask::MTIME, stat.mtime),
            ctime: time(StatxMask::CTIME, stat.ctime),
            btime: time(StatxMask::BTIME, stat.btime),
        };
        (version.mtime != (0, 0) || version.ctime != (0, 0)).then_some(version)
    }

    /// Whether a change just after `moment`, in nanoseconds since 1970, may have left the version as it is, since the
    /// clocks of file systems are coarse.
    pub(crate) fn may_hide_changes(&self, moment: u64) -> bool {
        /// Longer than a tick of any kernel.
        const TICK: u128 = 20_000_000;
        let changed = i128::from(self.ctime.0) * 1_000_000_000 + i128::from(self.ctime.1);
        (i128::from(moment) - changed).unsigned_abs() < TICK
    }
}

/// What the first bytes say; the last one is the version of the layout.
const MAGIC: [u8; 8] = *b"goferca\x01";

/// Bytes before the checksums of the chunks.
pub(super) const HEADER: u64 = 512;

/// As [`Layout::state`]: the data is that of the version.
const CLEAN: u32 = 1;
/// The data is that of some version later than this one.
const CHANGED: u32 = 0;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Layout {
    magic: [u8; 8],
    state: U32,
    donated: U32,
    volume: U64,
    major: U32,
    minor: U32,
    ino: U64,
    size: U64,
    mtime: I64,
    ctime: I64,
    btime: I64,
    since: U64,
    nanoseconds: [U32; 3],
    checksum: U32,
}

/// The header of a map file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) key: Key,
    pub(super) version: Version,
    /// Whether the data is of this version; otherwise it was being changed.
    pub(super) is_clean: bool,
    /// Whether somebody was given a descriptor of the data file, and may still read it.
    pub(super) was_donated: bool,
    /// When this version was seen first, in nanoseconds since 1970.
    pub(super) since: u64,
}

impl Header {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Header { key, version, .. } = self;
        let mut layout = Layout {
            magic: MAGIC,
            state: if self.is_clean { CLEAN } else { CHANGED }.into(),
            donated: u32::from(self.was_donated).into(),
            volume: key.volume.into(),
            major: key.device.0.into(),
            minor: key.device.1.into(),
            ino: key.ino.into(),
            size: version.size.into(),
            mtime: version.mtime.0.into(),
            ctime: version.ctime.0.into(),
            btime: version.btime.0.into(),
            since: self.since.into(),
            nanoseconds: [version.mtime.1.into(), version.ctime.1.into(), version.btime.1.into()],
            checksum: 0.into(),
        };
        layout.checksum = crc_fast::crc32_iscsi(layout.as_bytes()).into();
        layout.as_bytes().to_vec()
    }

    /// The header that `bytes` begin with; `None` if they are not one.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (mut layout, _) = Layout::read_from_prefix(bytes).ok()?;
        let checksum = std::mem::replace(&mut layout.checksum, 0.into());
        if layout.magic != MAGIC || crc_fast::crc32_iscsi(layout.as_bytes()) != checksum.get() {
            return None;
        }
        let [mtime, ctime, btime] = layout.nanoseconds.map(U32::get);
        Some(Header {
            key: Key {
                volume: layout.volume.get(),
                device: (layout.major.get(), layout.minor.get()),
                ino: layout.ino.get(),
            },
            version: Version {
                size: layout.size.get(),
                mtime: (layout.mtime.get(), mtime),
                ctime: (layout.ctime.get(), ctime),
                btime: (layout.btime.get(), btime),
            },
            is_clean: layout.state.get() == CLEAN,
            was_donated: layout.donated.get() != 0,
            since: layout.since.get(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(size: u64, mtime: (i64, u32), ctime: (i64, u32)) -> Statx {
        let time = |(sec, nsec)| StatxTimestamp::new(sec, nsec);
        Statx { mask: StatxMask::BASIC_STATS, size, mtime: time(mtime), ctime: time(ctime), ..Statx::default() }
    }

    #[test]
    fn headers_are_read_as_they_were_written() {
        let version = Version::of(&stat(5, (-1, 999_999_999), (1, 2))).unwrap();
        let key = Key { volume: 1, device: (2, 3), ino: u64::MAX };
        for (is_clean, was_donated) in [(true, false), (false, true)] {
            let header = Header { key, version, is_clean, was_donated, since: 9 };
            let bytes = header.to_bytes();
            assert!(bytes.len() as u64 <= HEADER);
            assert_eq!(Header::from_bytes(&bytes), Some(header));
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Header::from_bytes(&damaged), None, "bit {bit}");
            }
            assert_eq!(Header::from_bytes(&bytes[1..]), None);
            assert_eq!(Header::from_bytes(b""), None);
        }
    }

    #[test]
    fn versions_need_a_time() {
        assert_eq!(Version::of(&stat(5, (0, 0), (0, 0))), None);
        let version = Version::of(&stat(5, (0, 0), (10, 0))).unwrap();
        assert!(version.may_hide_changes(10_005_000_000) && !version.may_hide_changes(10_500_000_000));
    }
}
