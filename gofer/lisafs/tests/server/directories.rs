//! Listing directories.

use std::sync::Arc;

use lisafs::backend::{Errno, Options};
use lisafs::server::Connection;
use lisafs::wire::FdId;

use crate::common::client::{Client, Pathway};
use crate::common::mem::Mem;
use crate::common::serve;

/// A directory with `count` entries, opened.
fn directory(count: usize, name: impl Fn(usize) -> String, options: Options) -> (Client, FdId, Connection, Arc<Mem>) {
    let mem = Arc::new(Mem::new(options));
    for i in 0..count {
        mem.add_file(&mem.root, name(i).as_bytes(), b"");
    }
    let (mut client, connection) = serve(mem.clone());
    let root = client.mount();
    let dir = client.open(root, libc::O_RDONLY).unwrap();
    (client, dir, connection, mem)
}

/// Everything from where the listing stands, by calls with `count`.
fn rest(client: &mut Client, dir: FdId, count: i32) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let (names, _) = client.list(dir, count).unwrap();
        if names.is_empty() {
            return all;
        }
        all.extend(names);
    }
}

#[test]
fn counts_are_bytes_of_the_kernels_own_listing() {
    let (mut client, dir, _connection, _mem) =
        directory(100, |i| format!("{i:04}"), Options::default().tree_locks(true));
    // An entry with a name of four bytes has 24.
    let expected =
        [(0, 0, 2), (-1, 0, 2), (-16, 0, 2), (-24, 1, 33), (-32, 1, 33), (-40, 1, 33), (-64, 2, 64), (-280, 11, 343)];
    for (count, entries, bytes) in expected {
        let (names, size) = client.list(dir, count).unwrap();
        assert_eq!((names.len(), size), (entries, bytes), "{count}");
    }
}

#[test]
fn listing_goes_on_where_it_stopped() {
    let (mut client, dir, _connection, _mem) =
        directory(100, |i| format!("{i:04}"), Options::default().tree_locks(true));
    for count in [24, 40, 100, 1000, 65536, i32::MAX] {
        assert_eq!(client.list(dir, -48).unwrap().0.len(), 2);
        let names = rest(&mut client, dir, count);
        assert_eq!(names.len(), 98);
        assert_eq!((names[0].as_slice(), names[97].as_slice()), (&b"0002"[..], &b"0099"[..]));
        assert!(client.list(dir, count).unwrap().0.is_empty());
    }
    assert_eq!(client.list(dir, i32::MIN).unwrap().0.len(), 100);
}

#[test]
fn open_fds_have_positions_of_their_own() {
    let (mut client, dir, _connection, _mem) =
        directory(10, |i| format!("{i:04}"), Options::default().tree_locks(true));
    let other = client.open(FdId(1), libc::O_RDONLY).unwrap();
    client.list(dir, 48).unwrap();
    assert_eq!(client.list(other, 24).unwrap().0, [b"0000"]);
    assert_eq!(client.list(dir, 24).unwrap().0, [b"0002"]);
}

#[test]
fn one_answer_has_no_more_entries_than_its_count_can_tell() {
    let (mut client, dir, _connection, _mem) =
        directory(65537, |i| format!("{i:04x}"), Options::default().tree_locks(true));
    assert_eq!(client.list(dir, i32::MAX).unwrap().0.len(), 65535);
    assert_eq!(client.list(dir, i32::MAX).unwrap().0, [&b"ffff"[..], b"10000"]);
    assert!(client.list(dir, i32::MAX).unwrap().0.is_empty());
}

#[test]
fn what_does_not_fit_into_one_answer_comes_with_the_next() {
    let options = Options::default().max_message_size(4096).tree_locks(true);
    let (mut client, dir, _connection, _mem) = directory(500, |i| format!("{i:0100}"), options);
    let (names, size) = client.list(dir, i32::MAX).unwrap();
    assert_eq!((names.len(), size), (32, 2 + 32 * 127));
    assert_eq!(names.len() + rest(&mut client, dir, i32::MAX).len(), 500);
}

#[test]
fn an_error_in_the_middle_loses_nothing() {
    let (mut client, dir, _connection, mem) = directory(10, |i| format!("{i:04}"), Options::default().tree_locks(true));
    mem.add_file(&mem.root, b"broken", b"");
    mem.add_file(&mem.root, b"behind", b"");
    assert_eq!(client.list(dir, 48).unwrap().0.len(), 2);
    assert_eq!(client.list(dir, 65536).unwrap().0.len(), 8);
    assert_eq!(client.list(dir, 65536).unwrap_err(), Errno::IO);
    assert_eq!(client.list(dir, 65536).unwrap_err(), Errno::IO);
    mem.take(&mem.root, b"broken");
    assert_eq!(client.list(dir, 65536).unwrap().0, [b"behind"]);
}

#[test]
fn a_directory_and_its_parent_are_not_among_the_entries() {
    let (mut client, dir, _connection, mem) = directory(0, |_| String::new(), Options::default().tree_locks(true));
    for name in [&b"."[..], b"..", b"a", b"..."] {
        mem.add_file(&mem.root, name, b"");
    }
    assert_eq!(client.list(dir, -65536).unwrap().0, [&b"a"[..], b"..."]);
    assert_eq!(client.list(dir, -24).unwrap().0, [b"a"]);
    assert_eq!(client.list(dir, 24).unwrap().0, [b"..."]);
}

/// Two threads list through one FD: each entry comes once.
#[test]
fn threads_share_a_listing() {
    let (mut client, dir, _connection, _mem) =
        directory(5000, |i| format!("{i:05}"), Options::default().tree_locks(true));
    let mut channel = client.channel().unwrap();
    let mut names = std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut all = Vec::new();
            loop {
                let (names, _) = channel.list(dir, 240).unwrap();
                if names.is_empty() {
                    return all;
                }
                all.extend(names);
            }
        });
        let mut all = rest(&mut client, dir, 240);
        all.extend(other.join().unwrap());
        all
    });
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 5000);
}
