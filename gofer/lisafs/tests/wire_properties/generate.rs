//! Generating the fields of messages.

use lisafs::wire::{
    Array, CreateCommon, Dirent, Dirents, FdArray, FdId, Inode, Pad, StatFs, Statx, StatxMask, StatxTimestamp,
    StringArray, StringArrayBuf, Timespec, Wire,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// A generated field, which owns its data, and what stands for it in a message.
pub(crate) trait Field {
    /// What the message has.
    type View<'a>
    where
        Self: 'a;

    fn view(&self) -> Self::View<'_>;
}

/// The views may name the lifetime `'a`.
macro_rules! fields {
    ($($type:ty => $view:ty, |$field:ident| $expression:expr;)*) => {
        $(impl Field for $type {
            type View<'a> = $view;

            fn view(&self) -> Self::View<'_> {
                let $field = self;
                $expression
            }
        })*
    };
}

fields! {
    u8 => u8, |number| *number;
    u32 => u32, |number| *number;
    u64 => u64, |number| *number;
    i32 => i32, |number| *number;
    i64 => i64, |number| *number;
    FdId => FdId, |fd| *fd;
    Statx => Statx, |stat| *stat;
    StatxMask => StatxMask, |mask| *mask;
    StatFs => StatFs, |stat| *stat;
    Inode => Inode, |inode| *inode;
    Timespec => Timespec, |time| *time;
    CreateCommon => CreateCommon, |common| *common;
    Pad<4> => Pad<4>, |pad| *pad;
    Vec<u8> => &'a [u8], |string| string;
    Vec<u16> => Array<'a, u16>, |items| Array::new(items).unwrap();
    Vec<FdId> => FdArray<'a>, |items| Array::new(items).unwrap();
    Vec<Inode> => Array<'a, Inode>, |items| Array::new(items).unwrap();
    Vec<Statx> => Array<'a, Statx>, |items| Array::new(items).unwrap();
    StringArrayBuf => StringArray<'a>, |strings| strings.as_array();
    Listing => Dirents<'a>, |listing| Dirents::from_bytes(&listing.0).unwrap();
}

/// The number of an FD.
pub(crate) fn fd() -> impl Strategy<Value = FdId> {
    any::<u64>().prop_map(FdId)
}

/// Padding.
pub(crate) fn pad() -> impl Strategy<Value = Pad<4>> {
    Just(Pad)
}

/// Arbitrary bytes, seldom as many as fit behind a u16.
pub(crate) fn string() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![60 => vec(any::<u8>(), 0..40), 1 => Just(vec![0xff; 0xffff])]
}

/// Strings, few and short.
pub(crate) fn strings() -> impl Strategy<Value = StringArrayBuf> {
    vec(vec(any::<u8>(), 0..20), 0..8)
        .prop_map(|strings| StringArrayBuf::collect(strings.iter().map(Vec::as_slice)).unwrap())
}

/// Several values.
pub(crate) fn several<S: Strategy>(strategy: S) -> impl Strategy<Value = Vec<S::Value>> {
    vec(strategy, 0..6)
}

/// Attributes with any value in any field.
pub(crate) fn statx() -> impl Strategy<Value = Statx> {
    let words = proptest::array::uniform9(any::<u32>());
    let long_words = proptest::array::uniform5(any::<u64>());
    let times = proptest::array::uniform4((any::<i64>(), any::<u32>()));
    (words, long_words, times, any::<u16>()).prop_map(|(words, long_words, times, mode)| {
        let [mask, blksize, nlink, uid, gid, rdev_major, rdev_minor, dev_major, dev_minor] = words;
        let [attributes, ino, size, blocks, attributes_mask] = long_words;
        let [atime, btime, ctime, mtime] = times.map(|(sec, nsec)| StatxTimestamp::new(sec, nsec));
        Statx {
            mask: StatxMask::from_bits_retain(mask),
            blksize,
            attributes,
            nlink,
            uid,
            gid,
            mode,
            ino,
            size,
            blocks,
            attributes_mask,
            atime,
            btime,
            ctime,
            mtime,
            rdev_major,
            rdev_minor,
            dev_major,
            dev_minor,
            ..Statx::default()
        }
    })
}

/// A file with its control FD.
pub(crate) fn inode() -> impl Strategy<Value = Inode> {
    (fd(), statx()).prop_map(|(control_fd, stat)| Inode { control_fd, stat })
}

/// What creating messages begin with.
pub(crate) fn common() -> impl Strategy<Value = CreateCommon> {
    (fd(), any::<u32>(), any::<u32>(), any::<u16>(), any::<u16>())
        .prop_map(|(dir, uid, gid, mode, masked)| CreateCommon::new(dir, uid, gid, mode).masked(masked))
}

/// A time to set.
pub(crate) fn timespec() -> impl Strategy<Value = Timespec> {
    (any::<i64>(), any::<i64>()).prop_map(|(sec, nsec)| Timespec { sec, nsec })
}

/// Statistics of a file system.
pub(crate) fn statfs() -> impl Strategy<Value = StatFs> {
    (proptest::array::uniform7(any::<u64>()), any::<i64>()).prop_map(|(words, block_size)| {
        let [kind, blocks, blocks_free, blocks_available, files, files_free, name_length] = words;
        StatFs { kind, block_size, blocks, blocks_free, blocks_available, files, files_free, name_length }
    })
}

/// An encoded listing of a directory.
#[derive(Clone, Debug)]
pub(crate) struct Listing(pub(crate) Vec<u8>);

/// A listing of a directory, few entries long.
pub(crate) fn listing() -> impl Strategy<Value = Listing> {
    let entry = (any::<[u64; 2]>(), any::<[u32; 2]>(), any::<u8>(), vec(any::<u8>(), 0..20));
    vec(entry, 0..6).prop_map(|entries| {
        let mut bytes = Vec::new();
        u16::try_from(entries.len()).unwrap().encode(&mut bytes).unwrap();
        for ([ino, off], [dev_minor, dev_major], kind, name) in &entries {
            let (ino, off, dev_minor, dev_major, kind) = (*ino, *off, *dev_minor, *dev_major, *kind);
            Dirent { ino, dev_minor, dev_major, off, kind, name }.encode(&mut bytes).unwrap();
        }
        Listing(bytes)
    })
}
