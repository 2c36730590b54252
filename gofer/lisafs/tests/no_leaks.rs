//! A connection leaves nothing behind: alone in its process, so that descriptors, mappings and threads can be counted.

mod support;

use std::time::Instant;

use lisafs::wire::message::OpenAtResp;
use lisafs::wire::{FdId, MessageId};

use support::{ROOT, Reply, Setup, TIMEOUT, connected};

/// Descriptors, mapped packet windows and threads of this process.
fn possessions() -> (usize, usize, usize) {
    let entries = |directory| std::fs::read_dir(directory).unwrap().count();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let windows = maps.lines().filter(|line| line.contains("packet_windows")).count();
    (entries("/proc/self/fd"), windows, entries("/proc/self/task"))
}

/// A connection with everything that can come up in one.
fn whole_life() {
    let setup = Setup { channels: 2, ..Setup::default() };
    let (client, server) = connected(setup, |request| match request.id {
        MessageId::OPEN_AT => {
            let fds = (0..2).map(|_| tempfile::tempfile().unwrap().into()).collect();
            Some(Reply::with(request.id, &OpenAtResp { open_fd: FdId(9) }, fds))
        }
        // Breaks the protocol.
        MessageId::FLUSH => Some(Reply::empty(MessageId::LISTEN)),
        _ => None,
    });
    assert!(possessions().1 > 0);
    for _ in 0..10 {
        let (open_fd, donated) = client.open_at(ROOT, 0).unwrap();
        assert!(donated.is_some());
        client.close(open_fd);
    }
    // Gives one channel up.
    assert!(client.flush(ROOT).is_err());
    assert_eq!(client.channels(), 1);
    assert!(client.fstat(ROOT).is_ok());
    drop(client);
    drop(server);
}

#[test]
fn nothing_is_left_of_a_connection() {
    // What the process sets up once.
    whole_life();
    let before = possessions();
    assert_eq!(before.1, 0);
    (0..5).for_each(|_| whole_life());
    // A joined thread may still be on its way out of the kernel, now or when they were counted before.
    let is_more = |now: (usize, usize, usize)| now.0 > before.0 || now.1 > before.1 || now.2 > before.2;
    let deadline = Instant::now() + TIMEOUT;
    while is_more(possessions()) {
        assert!(Instant::now() < deadline, "{:?} before, {:?} after", before, possessions());
        std::thread::yield_now();
    }
}
