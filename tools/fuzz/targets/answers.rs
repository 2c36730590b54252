//! A server that answers anything. The client's calls end with what was asked for or with an error.

#![no_main]

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use arbitrary::Arbitrary;
use lisafs::client::{Client, ClientOptions};
use lisafs::wire::codec::Wire;
use lisafs::wire::{CreateCommon, FdId, MessageId, SocketHeader, StatxMask};
use libfuzzer_sys::fuzz_target;

/// The payload of an answer, and its message if that is not the right one.
#[derive(Arbitrary, Debug)]
struct Answer {
    other: Option<u16>,
    payload: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
struct Input {
    /// Otherwise Mount is answered as it should be.
    breaks_mount: bool,
    answers: Vec<Answer>,
}

/// In the order of the calls below.
const ASKED: [MessageId; 15] = [
    MessageId::FSTAT,
    MessageId::WALK,
    MessageId::WALK_STAT,
    MessageId::OPEN_AT,
    MessageId::GETDENTS64,
    MessageId::PREAD,
    MessageId::PWRITE,
    MessageId::READ_LINK_AT,
    MessageId::FGET_XATTR,
    MessageId::FLIST_XATTR,
    MessageId::MKDIR_AT,
    MessageId::OPEN_CREATE_AT,
    MessageId::LINK_AT,
    MessageId::FSTATFS,
    MessageId::WALK,
];

fuzz_target!(|input: Input| {
    let (ours, mut theirs) = UnixStream::pair().expect("a connection");
    theirs.set_nonblocking(true).expect("a socket");
    let mut answers = input.answers.into_iter();
    if input.breaks_mount {
        let payload = answers.next().map_or_else(Vec::new, |answer| answer.payload);
        let _ = theirs.write_all(&frame(MessageId::MOUNT, &payload));
    } else {
        let _ = theirs.write_all(&frame(MessageId::MOUNT, &mounted()));
    }
    for (asked, answer) in ASKED.into_iter().zip(answers) {
        let message = answer.other.map_or(asked, MessageId);
        let _ = theirs.write_all(&frame(message, &answer.payload));
    }
    // What is not answered ends at once.
    let _ = theirs.shutdown(Shutdown::Write);
    let options = ClientOptions::default().channels(0).time_limit(Duration::from_secs(5));
    let Ok((client, root)) = Client::connect(ours.into(), &options) else { return };
    ask(&client, root.inode.control_fd);
});

fn ask(client: &Client, root: FdId) {
    let _ = client.fstat(root);
    if let Ok((_, inodes)) = client.walk(root, &[b"a", b"b"]) {
        assert!(inodes.len() <= 2, "no more than was walked to");
    }
    if let Ok(stats) = client.walk_stat(root, &[b"a", b"b"]) {
        assert!(stats.len() <= 2);
    }
    let open = client.open_at(root, 0).map_or(FdId(7), |(open, _)| open);
    let _ = client.getdents(open, -4096, &mut |entry| assert!(!entry.name.contains(&0) && !entry.name.contains(&b'/')));
    if let Ok(len) = client.pread(open, 0, 100, |data| data.len()) {
        assert!(len <= 100);
    }
    if let Ok(count) = client.pwrite(open, 0, b"hello") {
        assert!(count <= 5);
    }
    let _ = client.read_link_at(root);
    let _ = client.get_xattr(root, b"user.a", 100);
    let _ = client.list_xattr(root, 100);
    let common = CreateCommon::new(root, 1, 1, 0o644);
    let _ = client.mkdir_at(common, b"d");
    let _ = client.open_create_at(common, 2, b"f");
    let _ = client.link_at(root, root, b"l");
    let _ = client.fstatfs(root);
    let _ = client.lookup(root, b"x");
}

/// A right answer to Mount: a root directory, and all messages but Channel.
fn mounted() -> Vec<u8> {
    use lisafs::wire::Statx;
    use lisafs::wire::message::MountResp;
    use lisafs::wire::{Array, Inode};
    let stat = Statx { mask: StatxMask::BASIC_STATS, mode: 0o040_755, ino: 1, nlink: 2, ..Statx::default() };
    let supported: Vec<u16> = (1..=33).filter(|number| *number != MessageId::CHANNEL.0).collect();
    let root = Inode { control_fd: FdId(1), stat };
    let supported = Array::new(&supported).expect("there are few");
    let mut bytes = Vec::new();
    MountResp { root, max_message_size: 1 << 20, supported }.encode(&mut bytes).expect("there is room");
    bytes
}

fn frame(message: MessageId, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let length = u32::try_from(payload.len()).expect("inputs are small");
    SocketHeader::new(message, length).encode(&mut bytes).expect("there is room");
    bytes.extend_from_slice(payload);
    bytes
}
