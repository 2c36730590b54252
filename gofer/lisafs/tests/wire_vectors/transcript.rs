//! What was seen on the socket and in the windows of real sessions.

use std::os::fd::AsFd;
use std::time::Duration;

use lisafs::transport::{Fds, Socket};
use lisafs::wire::{MessageId, SocketHeader, Wire};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use serde_json::json;

use crate::entry::{Entry, to_hex};
use crate::flipcall::check_left_window;
use crate::message::{Direction, recode_payload};

/// Longer than any step takes, so that a test fails rather than hangs.
const LIMIT: Option<Duration> = Some(Duration::from_secs(20));

/// Checks one message on a socket, or one window as a message left it.
pub(crate) fn check(entry: &Entry) {
    match entry.text("medium") {
        "socket" => check_on_socket(entry),
        "channel" => check_left_window(entry),
        _ => panic!("unknown medium: {entry}"),
    }
}

/// Sends the bytes through sockets of ours, with as many descriptors as there were, and takes them apart.
fn check_on_socket(entry: &Entry) {
    let direction = match entry.text("direction") {
        "client->server" => Direction::Request,
        "server->client" => Direction::Response,
        _ => panic!("unknown direction: {entry}"),
    };
    let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    let (sender, receiver) = (Socket::new(one), Socket::new(other));
    let file = tempfile::tempfile().unwrap();
    let sent = vec![file.as_fd(); usize::try_from(entry.number("scm_rights_fds")).unwrap()];
    sender.send(&entry.bytes, &sent, LIMIT).unwrap();

    let (mut bytes, mut fds) = ([0; 8], Fds::new());
    receiver.receive(&mut bytes, Some(&mut fds), LIMIT).unwrap();
    let header = SocketHeader::from_bytes(&bytes).unwrap();
    let mut payload = vec![0; header.payload_len as usize];
    receiver.receive(&mut payload, None, LIMIT).unwrap();
    assert_eq!(bytes.len() + payload.len(), entry.bytes.len(), "{entry}: one message is in the entry");

    let fields = json!({
        "session": entry.text("session"),
        "seq": entry.number("seq"),
        "direction": entry.text("direction"),
        "medium": "socket",
        "payload_len": header.payload_len,
        "padding": u16::from_ne_bytes([bytes[6], bytes[7]]),
        "scm_rights_fds": fds.len(),
        "fd_info": entry.fields["fd_info"],
    });
    assert_eq!(fields, entry.fields, "{entry}");
    assert_eq!(entry.fields["fd_info"].as_array().unwrap().len(), fds.len(), "{entry}");

    let id = MessageId(header.message);
    assert_eq!((entry.mid, Some(entry.message.as_str())), (Some(id), id.name()), "{entry}");
    assert_eq!(to_hex(&recode_payload(id, direction, &payload)), to_hex(&payload), "{entry}");

    let mut again = Vec::new();
    SocketHeader::new(id, header.payload_len).encode(&mut again).unwrap();
    again.extend_from_slice(&payload);
    assert_eq!(to_hex(&again), to_hex(&entry.bytes), "{entry}");
}
