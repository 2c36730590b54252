//! Every vector that was captured from gVisor's own code, against our codec, sockets and packet windows.
//!
//! The vectors are in `tests/data/wire-vectors.json`. All of them are checked, and an entry that no test knows fails.

mod entry;
mod flipcall;
mod layout;
mod message;
mod transcript;

use std::collections::BTreeMap;

use lisafs::wire::MessageId;

use entry::{Entry, entries};

#[test]
fn every_kind_of_entry_is_known_and_none_is_missing() {
    let mut found = BTreeMap::new();
    for entry in entries() {
        *found.entry(entry.kind).or_insert(0) += 1;
    }
    let expected = [("flipcall", 7), ("header", 2), ("part", 8), ("request", 34), ("response", 37), ("transcript", 40)];
    assert_eq!(found, expected.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect());
}

#[test]
fn every_message_has_vectors() {
    let of_kind = |kind| entries().into_iter().filter(move |entry| entry.kind == kind);
    let ids = |kind| {
        let mut ids: Vec<MessageId> = of_kind(kind).filter_map(|entry| entry.mid).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    assert_eq!(ids("request"), MessageId::ALL[1..], "Error is never a request");
    assert_eq!(ids("response"), MessageId::ALL);
}

/// Runs `check` with each entry of `kind`, naming the entry if it fails.
fn each(kind: &str, check: impl Fn(&Entry)) {
    for entry in entries().into_iter().filter(|entry| entry.kind == kind) {
        println!("{entry}");
        check(&entry);
    }
}

#[test]
fn headers() {
    each("header", layout::check_header);
}

#[test]
fn parts() {
    each("part", layout::check_part);
}

#[test]
fn requests() {
    each("request", |entry| message::check(entry, message::Direction::Request));
}

#[test]
fn responses() {
    each("response", |entry| message::check(entry, message::Direction::Response));
}

#[test]
fn packet_windows_of_a_channel_from_handshake_to_shutdown() {
    flipcall::check(&entries().into_iter().filter(|entry| entry.kind == "flipcall").collect::<Vec<_>>());
}

#[test]
fn transcripts_of_real_sessions() {
    each("transcript", transcript::check);
}
