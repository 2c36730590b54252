use proptest::prelude::*;
use zerocopy::{FromZeros, IntoBytes};

use super::*;

fn request(opcode: u32, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let header = InHeader {
        len: u32::try_from(size_of::<InHeader>() + content.len()).unwrap(),
        opcode,
        unique: 42,
        node: 7,
        uid: 1000,
        gid: 100,
        pid: 99,
        extensions: 0,
        padding: 0,
    };
    [header.as_bytes(), &content].concat()
}

fn operation(bytes: &[u8]) -> Operation<'_> {
    Request::decode(bytes).unwrap().operation
}

/// As Linux 6.18 sends it for `write(fd, "hello", 5)`.
const WRITE: &[u8] = &[
    85, 0, 0, 0, 16, 0, 0, 0, 0x1e, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xe8, 3, 0, 0,
    0, 0, 0, 0, // header
    3, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x80, 0, 0, 0,
    0, 0, 0, // fuse_write_in
    b'h', b'e', b'l', b'l', b'o',
];

#[test]
#[cfg(target_endian = "little")]
fn a_write_has_its_data() {
    let request = Request::decode(WRITE).unwrap();
    assert_eq!((request.header.unique, request.header.node, request.header.pid), (0x1e, 2, 1000));
    let Operation::Write(write, data) = request.operation else { panic!("{request:?}") };
    assert_eq!((write.handle, write.offset, write.size, write.flags, data), (3, 4096, 5, 0x8001, &b"hello"[..]));
}

#[test]
fn names_end_with_nul() {
    let zeros = |len| vec![0_u8; len];
    assert_eq!(operation(&request(opcode::LOOKUP, &[b"name\0"])), Operation::Lookup { name: b"name" });
    assert_eq!(
        operation(&request(opcode::SYMLINK, &[b"name\0", b"../target\0"])),
        Operation::Symlink { name: b"name", target: b"../target" }
    );
    let create = request(opcode::CREATE, &[&zeros(16), b"new\0"]);
    let Operation::Create(_, name) = operation(&create) else { panic!() };
    assert_eq!(name, b"new");
    let renames = [(opcode::RENAME, 8), (opcode::RENAME2, 16)];
    for (bytes, expected) in renames.map(|(code, len)| (request(code, &[&zeros(len), b"a\0", b"b\0"]), len)) {
        let Operation::Rename { name, new_name, .. } = operation(&bytes) else { panic!("{expected}") };
        assert_eq!((name, new_name), (&b"a"[..], &b"b"[..]));
    }
    let set = SetXattrIn { size: 3, flags: 1 };
    assert_eq!(
        operation(&request(opcode::SETXATTR, &[set.as_bytes(), b"user.a\0", b"a\0b"])),
        Operation::SetXattr { flags: 1, name: b"user.a", value: b"a\0b" }
    );
}

#[test]
fn several_files_are_forgotten_at_once() {
    let count = BatchForgetIn { count: 2, padding: 0 };
    let files = [ForgetOne { node: 5, count: 1 }, ForgetOne { node: 6, count: 9 }];
    let bytes = request(opcode::BATCH_FORGET, &[count.as_bytes(), files.as_bytes()]);
    let Operation::BatchForget(forgotten) = operation(&bytes) else { panic!() };
    assert!(forgotten.iter().eq(files));
    let short = request(opcode::BATCH_FORGET, &[count.as_bytes(), files[0].as_bytes()]);
    assert!(matches!(Request::decode(&short), Err(Malformed::Content(_))));
    let endless = BatchForgetIn { count: u32::MAX, padding: 0 };
    assert!(Request::decode(&request(opcode::BATCH_FORGET, &[endless.as_bytes(), files.as_bytes()])).is_err());
}

#[test]
fn kernels_of_other_ages_are_understood() {
    let init = InitIn { major: 7, minor: 31, max_readahead: 1 << 17, flags: 1 };
    assert_eq!(operation(&request(opcode::INIT, &[init.as_bytes()])), Operation::Init(init, 0));
    let newer = request(opcode::INIT, &[init.as_bytes(), &9_u32.to_ne_bytes(), &[0; 64]]);
    assert_eq!(operation(&newer), Operation::Init(init, 9));
    for unknown in [0, 7, 19, 33, 48, 50, 51, 54, 4096, u32::MAX] {
        assert_eq!(operation(&request(unknown, &[b"whatever"])), Operation::Unknown, "{unknown}");
    }
}

#[test]
fn extensions_are_no_content() {
    let mut bytes = request(opcode::SYMLINK, &[b"name\0", b"target\0", b"\0\0\0\0", &[1; 16]]);
    let mut header = InHeader::read_from_prefix(&bytes).unwrap().0;
    header.extensions = 2;
    bytes[..size_of::<InHeader>()].copy_from_slice(header.as_bytes());
    assert_eq!(operation(&bytes), Operation::Symlink { name: b"name", target: b"target" });
    header.extensions = u16::MAX;
    bytes[..size_of::<InHeader>()].copy_from_slice(header.as_bytes());
    assert_eq!(Request::decode(&bytes), Err(Malformed::Content(header)));
}

#[test]
fn what_is_cut_off_is_refused() {
    assert_eq!(Request::decode(&WRITE[..39]), Err(Malformed::NoHeader(39)));
    for end in 40..WRITE.len() {
        let mut cut = WRITE[..end].to_vec();
        assert!(matches!(Request::decode(&cut), Err(Malformed::Content(_))), "shorter than it says: {end}");
        cut[..4].copy_from_slice(&u32::try_from(end).unwrap().to_ne_bytes());
        assert!(matches!(Request::decode(&cut), Err(Malformed::Content(_))), "shorter than its parts: {end}");
    }
    let without_nul = request(opcode::LOOKUP, &[b"name"]);
    assert!(matches!(Request::decode(&without_nul), Err(Malformed::Content(_))));
    assert_eq!(
        Malformed::Content(InHeader::new_zeroed()).to_string(),
        "a request of type 0 that is not as long as it should be"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = is_request(&bytes);
    }

    #[test]
    fn any_content_of_the_right_length_is_a_request_or_refused(
        code in 0_u32..60,
        content in proptest::collection::vec(any::<u8>(), 0..200),
        extensions in 0_u16..4,
    ) {
        let mut bytes = request(code, &[&content]);
        bytes[36..38].copy_from_slice(&extensions.to_ne_bytes());
        match Request::decode(&bytes) {
            Ok(request) => prop_assert_eq!(request.header.unique, 42),
            Err(error) => prop_assert!(matches!(error, Malformed::Content(header) if header.unique == 42)),
        }
    }
}
