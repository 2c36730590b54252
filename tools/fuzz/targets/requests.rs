//! A client that sends any requests to a server. Each is answered, by its own number or an error, and the server lives
//! on.

#![no_main]

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use lisafs::backend::Backend;
use gofer::extensions::memfs::{MemFs, MemOptions};
use gofer::hostfs::{HostFs, HostOptions};
use lisafs::server::Server;
use lisafs::transport::{Fds, Socket};
use lisafs::wire::codec::Wire;
use lisafs::wire::{MessageId, SocketHeader};
use libfuzzer_sys::fuzz_target;

/// How long an answer may take.
const LIMIT: Option<Duration> = Some(Duration::from_secs(20));

/// The last message that there is.
const LAST: u16 = 33;

#[derive(Arbitrary, Debug)]
struct Input {
    /// The file system of the host, or the one in memory.
    is_host: bool,
    requests: Vec<(u16, Vec<u8>)>,
}

fuzz_target!(|input: Input| {
    let directory = tempfile::tempdir().expect("a directory");
    let backend: Arc<dyn Backend> = if input.is_host {
        std::fs::write(directory.path().join("f"), "content").expect("a file");
        Arc::new(HostFs::open(directory.path(), HostOptions::default()).expect("a backend"))
    } else {
        let options = MemOptions::parse("size=1m").expect("options");
        Arc::new(MemFs::new(options).expect("a backend"))
    };
    let (ours, theirs) = UnixStream::pair().expect("a connection");
    let connection = Server::with_channels(1).connect(theirs.into(), b"/", backend).expect("a connection");
    let socket = Socket::new(ours.into());
    exchange(&socket, MessageId::MOUNT.0, &[]);
    for (message, payload) in &input.requests {
        let message = message % (LAST + 3);
        // Sizes are no matter of chance: on the host they would be taken.
        if input.is_host && message == MessageId::FALLOCATE.0 {
            continue;
        }
        exchange(&socket, message, payload);
    }
    let (answer, _) = exchange(&socket, MessageId::FSTAT.0, &1_u64.to_le_bytes());
    assert!(answer == MessageId::FSTAT.0 || answer == MessageId::ERROR.0);
    drop(socket);
    connection.wait();
});

/// Sends a request, and gives the number and the payload of its answer.
fn exchange(socket: &Socket, message: u16, payload: &[u8]) -> (u16, Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("inputs are small");
    let mut bytes = Vec::new();
    SocketHeader::new(MessageId(message), length).encode(&mut bytes).expect("there is room");
    bytes.extend_from_slice(payload);
    socket.send(&bytes, &[], LIMIT).expect("the server takes requests");
    let mut head = [0; 8];
    let mut fds = Fds::new();
    socket.receive(&mut head, Some(&mut fds), LIMIT).expect("each request is answered");
    let header = SocketHeader::from_bytes(&head).expect("a header");
    let mut answer = vec![0; header.payload_len as usize];
    socket.receive(&mut answer, None, LIMIT).expect("answers are whole");
    assert!(header.message == message || header.message == MessageId::ERROR.0, "{message} was answered by {}", header.message);
    (header.message, answer)
}
