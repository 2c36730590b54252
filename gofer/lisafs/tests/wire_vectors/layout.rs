//! Headers and the parts that messages are made of.

use lisafs::wire::{
    ChannelHeader, CreateCommon, Dirent, FdArray, Inode, SocketHeader, Statx, StatxTimestamp, StringArray, Timespec,
    Wire,
};
use serde_json::{Value, json};

use crate::entry::{Entry, to_hex};

/// Checks one encoding against its entry, alone and with bytes behind it.
///
/// A macro, because the two decoded values borrow from different bytes and so have different types.
macro_rules! check {
    ($entry:expr, $type:ty, $describe:expr) => {{
        let entry: &$crate::entry::Entry = $entry;
        entry.check::<$type>($describe);
        entry.check_trailing::<$type>(&entry.with_trailing(), $describe);
    }};
}
pub(crate) use check;

/// Checks a header in front of messages.
pub(crate) fn check_header(entry: &Entry) {
    match entry.message.as_str() {
        "sock_header" => check!(
            entry,
            SocketHeader,
            |header: &SocketHeader| json!({ "message": header.message, "payload_len": header.payload_len })
        ),
        "channel_header" => check!(
            entry,
            ChannelHeader,
            |header: &ChannelHeader| json!({ "message": header.message, "num_fds": header.num_fds })
        ),
        _ => panic!("unknown header: {entry}"),
    }
}

/// Checks a part of messages.
pub(crate) fn check_part(entry: &Entry) {
    match entry.message.as_str() {
        "statx" => check!(entry, Statx, statx),
        "inode" => check!(entry, Inode, inode),
        "create_common" => check!(entry, CreateCommon, |common: &CreateCommon| create(common, json!({}))),
        "sized_string" => check!(entry, &[u8], |string: &&[u8]| json!({ "bytes_hex": to_hex(string) })),
        "string_array" => check!(entry, StringArray<'_>, |array: &StringArray<'_>| json!({ "strings": texts(array) })),
        "fd_array" => check!(entry, FdArray<'_>, |array: &FdArray<'_>| json!({ "fds": fds(array) })),
        "dirent64" => check!(entry, Dirent<'_>, dirent),
        _ => panic!("unknown part: {entry}"),
    }
}

/// Attributes as the vectors have them.
pub(crate) fn statx(stat: &Statx) -> Value {
    json!({
        "mask": stat.mask.bits(),
        "blksize": stat.blksize,
        "attributes": stat.attributes,
        "nlink": stat.nlink,
        "uid": stat.uid,
        "gid": stat.gid,
        "mode": stat.mode,
        "ino": stat.ino,
        "size": stat.size,
        "blocks": stat.blocks,
        "attributes_mask": stat.attributes_mask,
        "atime": timestamp(&stat.atime),
        "btime": timestamp(&stat.btime),
        "ctime": timestamp(&stat.ctime),
        "mtime": timestamp(&stat.mtime),
        "rdev_major": stat.rdev_major,
        "rdev_minor": stat.rdev_minor,
        "dev_major": stat.dev_major,
        "dev_minor": stat.dev_minor,
    })
}

fn timestamp(time: &StatxTimestamp) -> Value {
    json!({ "sec": time.sec, "nsec": time.nsec })
}

/// A time to set.
pub(crate) fn timespec(time: &Timespec) -> Value {
    json!({ "sec": time.sec, "nsec": time.nsec })
}

/// A file with its control FD.
pub(crate) fn inode(inode: &Inode) -> Value {
    json!({ "control_fd": inode.control_fd.0, "stat": statx(&inode.stat) })
}

/// What creating messages begin with, and their own fields: the vectors have all of them side by side.
pub(crate) fn create(common: &CreateCommon, own: Value) -> Value {
    let mut fields = own;
    fields["dir_fd"] = common.dir.0.into();
    fields["uid"] = common.uid.into();
    fields["gid"] = common.gid.into();
    fields["mode"] = common.mode.into();
    fields
}

/// A directory entry.
pub(crate) fn dirent(dirent: &Dirent<'_>) -> Value {
    assert_eq!(dirent.wire_size(), Dirent::MIN_SIZE + dirent.name.len());
    json!({
        "ino": dirent.ino,
        "dev_minor": dirent.dev_minor,
        "dev_major": dirent.dev_major,
        "off": dirent.off,
        "type": dirent.kind,
        "name": text(dirent.name),
    })
}

/// A string that the vectors have as text.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Strings that the vectors have as texts.
pub(crate) fn texts<'a>(array: &StringArray<'a>) -> Vec<&'a str> {
    assert_eq!(array.iter().count(), array.len());
    array.iter().map(text).collect()
}

/// The numbers of FDs.
pub(crate) fn fds(array: &FdArray<'_>) -> Vec<u64> {
    assert_eq!(array.iter().len(), array.len());
    array.iter().map(|fd| fd.0).collect()
}

/// Decodes and encodes again.
pub(crate) fn recode<'a, T: Wire<'a>>(bytes: &'a [u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    T::from_bytes(bytes).unwrap().encode(&mut encoded).unwrap();
    encoded
}
