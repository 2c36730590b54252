//! The packet window of a channel, step by step, and where windows lie in their memory file.

use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lisafs::transport::{Channel, Ended, PacketMemory, PeerMemory, Role, Window};
use lisafs::wire::message::{ErrorResp, FStatReq};
use lisafs::wire::{ChannelHeader, FdId, Message, MessageId, Wire};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use serde_json::json;

use crate::entry::{Entry, to_hex};

/// Longer than any step takes, so that a test fails rather than hangs.
const LIMIT: Option<Duration> = Some(Duration::from_secs(20));

/// Checks all entries: the steps of one channel in order, and the allocator's.
pub(crate) fn check(entries: &[Entry]) {
    let mut steps = Vec::new();
    for entry in entries {
        println!("{entry}");
        match entry.message.as_str() {
            "flipcall_window" => {
                check_window(entry);
                assert_eq!(entry.number("seq"), steps.len() as u64, "{entry}");
                steps.push(entry);
            }
            "flipcall_allocator" => check_allocator(entry),
            _ => panic!("unknown entry: {entry}"),
        }
    }
    let [new, greeted, ready, request, answer, shut_down] = steps[..] else {
        panic!("there are {} steps, not the six that are run here", steps.len());
    };
    run(new, greeted, ready, request, answer, shut_down);
}

/// Checks the bytes of an entry against its fields, through a mapping of them.
fn check_window(entry: &Entry) {
    let window = map(&entry.bytes, 0);
    let len = window.datagram_len().load(Ordering::Relaxed);
    let fields = json!({
        "seq": entry.number("seq"),
        "step": entry.text("step"),
        "conn_state": window.state().load(Ordering::Relaxed),
        "data_len": len,
        "reserved_hex": to_hex(&entry.bytes[8..Window::HEADER]),
        "data_hex": to_hex(&window.source(0, len as usize).to_vec()),
    });
    assert_eq!(fields, entry.fields, "{entry}");
}

/// A window at `offset` that begins with `bytes`.
pub(crate) fn map(bytes: &[u8], offset: u64) -> Window {
    let len = rustix::param::page_size();
    let file = memfd_create("window", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&file, offset + len as u64).unwrap();
    assert_eq!(rustix::io::pwrite(&file, bytes, offset), Ok(bytes.len()));
    fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
    PeerMemory::new(file).unwrap().window(offset, len).unwrap()
}

/// Takes a channel of ours from its creation to its end, and compares the window after each step.
fn run(new: &Entry, greeted: &Entry, ready: &Entry, request: &Entry, answer: &Entry, shut_down: &Entry) {
    let mut memory = PacketMemory::new().unwrap();
    let (offset, len) = memory.allocate(100).unwrap();
    let window = || memory.window(offset, len).unwrap();
    let compare = |entry: &Entry| {
        let mut start = vec![0; entry.bytes.len()];
        assert_eq!(rustix::io::pread(&memory, &mut start[..], offset), Ok(entry.bytes.len()));
        assert_eq!(to_hex(&start), to_hex(&entry.bytes), "{entry}");
    };
    let mut client = Channel::new(window(), Role::Client);
    let mut server = Channel::new(window(), Role::Server);
    compare(new);

    let mut client = std::thread::scope(|scope| {
        let client = scope.spawn(move || client.handshake(LIMIT).map(|()| client));
        let observer = window();
        while observer.state().load(Ordering::Acquire) == 0 && !client.is_finished() {
            std::thread::yield_now();
        }
        compare(greeted);
        server.handshake(LIMIT).unwrap();
        let client = client.join().unwrap().unwrap();
        compare(ready);
        client
    });

    let sent = send(&mut client, &FStatReq { fd: FdId(1) });
    compare(request);
    assert_eq!(server.wait(LIMIT), Ok(sent.len()));
    assert_eq!(server.window().source(0, sent.len()).to_vec(), sent);

    let sent = send(&mut server, &ErrorResp { errno: 5 });
    compare(answer);
    assert_eq!(client.wait(LIMIT), Ok(sent.len()));
    assert_eq!(client.window().source(0, sent.len()).to_vec(), sent);

    client.shut_down();
    compare(shut_down);
    assert_eq!(client.pass(0), Err(Ended::ShutDown));
    assert_eq!(server.wait(LIMIT), Err(Ended::ShutDown));
}

/// Sends a message over `channel`, and returns its bytes.
fn send<'a, M: Message<'a>>(channel: &mut Channel, message: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    ChannelHeader::new(M::ID, 0).encode(&mut bytes).unwrap();
    message.encode(&mut bytes).unwrap();
    channel.target().put(0, &bytes);
    channel.pass(bytes.len()).unwrap();
    bytes
}

/// Checks that windows lie where the stock server has them, in a file that grows and is sealed as its own.
fn check_allocator(entry: &Entry) {
    assert_eq!(entry.fields.as_object().unwrap().len(), 3, "{entry}");
    // The file's name is only for people who look into /proc, and ours has its own.
    assert!(entry.text("memfd_name").ends_with("packet_windows"));

    let mut memory = PacketMemory::new().unwrap();
    let seals = rustix::fs::fcntl_get_seals(memory.as_fd()).unwrap();
    assert_eq!(u64::from(seals.bits()), entry.number("memfd_seals"));

    for window in entry.fields["windows"].as_array().unwrap() {
        let requested = usize::try_from(window["requested"].as_u64().unwrap()).unwrap();
        // Upstream counts the window's header, we do not.
        let (offset, len) = memory.allocate(requested.saturating_sub(Window::HEADER)).unwrap();
        let described = json!({
            "requested": requested,
            "offset": offset,
            "length": len,
            "file_size_after": rustix::fs::fstat(&memory).unwrap().st_size,
        });
        assert_eq!(&described, window);
        let mapped = memory.window(offset, len).unwrap();
        assert_eq!(mapped.source(0, mapped.capacity()).to_vec(), vec![0; mapped.capacity()], "new windows are zero");
    }
}

/// Checks the start of a channel's window as a real session left it.
pub(crate) fn check_left_window(entry: &Entry) {
    let offset = entry.number("window_offset");
    let window = map(&entry.bytes, offset);
    let len = window.datagram_len().load(Ordering::Relaxed);

    // Before the first message there is a hello in the window, which has no header.
    let greeted_only = len == 3;
    let header = if greeted_only {
        assert_eq!(window.source(0, 3).to_vec(), b"{}\n");
        None
    } else {
        let mut bytes = [0; 4];
        window.source(0, 4).get(0, &mut bytes);
        Some(ChannelHeader::from_bytes(&bytes).unwrap())
    };
    let fields = json!({
        "session": entry.text("session"),
        "seq": entry.number("seq"),
        "after": entry.text("after"),
        "medium": "channel",
        "window_index": entry.number("window_index"),
        "window_offset": entry.number("window_index") * (2 << 20),
        "conn_state": window.state().load(Ordering::Relaxed),
        "data_len": len,
        "message": header.map(|header| header.message),
        "num_fds": header.map(|header| header.num_fds),
    });
    assert_eq!(fields, entry.fields, "{entry}");
    if let Some(header) = header {
        check_left_payload(entry, MessageId(header.message), &window.source(4, len as usize - 4).to_vec());
    }
}

/// Checks the payload of the last response. Of a long one only the start was captured; the rest is zero here.
fn check_left_payload(entry: &Entry, id: MessageId, payload: &[u8]) {
    use crate::message::{Direction, recode_payload};
    assert_eq!(to_hex(&recode_payload(id, Direction::Response, payload)), to_hex(payload), "{entry}");
    let after = entry.text("after");
    let named = match id.name() {
        _ if after.starts_with("connection closed") => true,
        Some("Error") => after.contains("error response"),
        Some(name) => after.starts_with(name),
        None => false,
    };
    assert!(named, "{entry} has {id:?} in its window");
}
