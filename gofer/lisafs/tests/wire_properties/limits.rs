//! What does not fit a 16-bit length or count is refused, never cut or sent with a wrong length.

use lisafs::wire::message::*;
use lisafs::wire::{Array, CreateCommon, Dirent, DoesNotFit, FdId, Inode, Measure, StringArrayBuf, Wire};

use crate::check::{Bounded, encoded};

const LONGEST: usize = 0xffff;

static LONG: [u8; LONGEST + 1] = [b'x'; LONGEST + 1];

/// Encodes `message` with a string of 65,535 bytes, which is fine, and with one of 65,536 bytes.
macro_rules! refused {
    ($($string:ident: $message:expr;)*) => {$({
        let $string = &LONG[..LONGEST];
        assert!(encoded(&$message).len() > LONGEST);

        let $string = &LONG[..];
        assert_eq!($message.encode(&mut Vec::new()), Err(DoesNotFit), "{}", stringify!($message));
        assert_eq!($message.encode(&mut Measure::default()), Err(DoesNotFit), "{}", stringify!($message));
    })*};
}

#[test]
fn strings_are_refused_in_every_message_that_has_one() {
    let fd = FdId(1);
    let common = CreateCommon::default();
    refused! {
        name: name;
        name: OpenCreateAtReq { common, flags: 0, name };
        name: MkdirAtReq { common, name };
        name: MknodAtReq { common, minor: 0, major: 0, name };
        name: SymlinkAtReq { dir: fd, uid: 0, gid: 0, name, target: b"t" };
        target: SymlinkAtReq { dir: fd, uid: 0, gid: 0, name: b"n", target };
        name: LinkAtReq { dir: fd, target: fd, name };
        target: ReadLinkAtResp { target };
        name: UnlinkAtReq { dir: fd, flags: 0, name };
        old_name: RenameAtReq { old_dir: fd, new_dir: fd, old_name, new_name: b"n" };
        new_name: RenameAtReq { old_dir: fd, new_dir: fd, old_name: b"o", new_name };
        name: Dirent { ino: 0, dev_minor: 0, dev_major: 0, off: 0, kind: 0, name };
        name: FGetXattrReq { fd, buf_size: 0, name };
        value: FGetXattrResp { value };
        name: FSetXattrReq { fd, flags: 0, name, value: b"v" };
        value: FSetXattrReq { fd, flags: 0, name: b"n", value };
        name: FRemoveXattrReq { fd, name };
        name: BindAtReq { common, sock_type: 0, name };
        peer_addr: AcceptResp { peer_addr };
        old_name: RenameAt2Req { old_dir: fd, new_dir: fd, old_name, new_name: b"n", flags: 0 };
        new_name: RenameAt2Req { old_dir: fd, new_dir: fd, old_name: b"o", new_name, flags: 0 };
    }
}

/// File data has a longer length in front of it.
#[test]
fn file_data_may_be_longer_than_a_string() {
    let data = vec![b'x'; 1 << 20];
    assert_eq!(encoded(&PWriteReq { offset: 0, fd: FdId(1), data: &data }).len(), PWriteHead::SIZE + data.len());
    assert_eq!(encoded(&PReadResp { data: &data }).len(), PReadHead::SIZE + data.len());
}

#[test]
fn arrays_are_refused() {
    let fds = vec![FdId(1); LONGEST + 1];
    assert_eq!(Array::new(&fds), Err(DoesNotFit));
    let fds = Array::new(&fds[..LONGEST]).unwrap();
    assert_eq!(encoded(&CloseReq { fds }).len(), 2 + 8 * LONGEST);
    assert_eq!(encoded(&FSyncReq { fds }).len(), 2 + 8 * LONGEST);

    let inodes = vec![Inode::default(); LONGEST + 1];
    assert_eq!(Array::new(&inodes), Err(DoesNotFit));
    let inodes = Array::new(&inodes[..LONGEST]).unwrap();
    assert_eq!(encoded(&WalkResp { status: 0, inodes }).len(), 3 + 152 * LONGEST);
}

#[test]
fn arrays_of_strings_are_refused() {
    let mut strings = StringArrayBuf::default();
    for _ in 0..LONGEST {
        strings.push(b"").unwrap();
    }
    assert_eq!(strings.push(b""), Err(DoesNotFit));
    assert_eq!(strings.as_array().len(), LONGEST);
    assert_eq!(encoded(&strings.as_array()).len(), 2 + 2 * LONGEST);
    assert!(StringArrayBuf::collect(std::iter::repeat_n(&b""[..], LONGEST + 1)).is_err());
}

/// A string that was refused leaves the others as they were.
#[test]
fn a_refused_string_leaves_no_trace() {
    let mut strings = StringArrayBuf::default();
    strings.push(b"a").unwrap();
    assert_eq!(strings.push(&[0; LONGEST + 1]), Err(DoesNotFit));
    strings.push(b"b").unwrap();
    assert_eq!(strings.as_array().iter().collect::<Vec<_>>(), [b"a", b"b"]);
}

#[test]
fn a_bounded_sink_takes_what_fits_and_no_byte_more() {
    let message = MkdirAtReq { common: CreateCommon::default(), name: b"name" };
    let bytes = encoded(&message);
    for room in 0..bytes.len() {
        let mut sink = Bounded::new(room);
        assert_eq!(message.encode(&mut sink), Err(DoesNotFit));
        assert!(sink.bytes.len() <= room && bytes.starts_with(&sink.bytes));
    }
    assert_eq!(message.encode(&mut Bounded::new(bytes.len())), Ok(()));
}
