//! Many callers on few communicators: each gets its own answer.

use std::collections::HashSet;
use std::sync::Arc;

use lisafs::wire::FdId;
use parking_lot::Mutex;

use crate::support::{Setup, connected};

const CALLERS: u64 = 8;
const CALLS: u64 = 300;

#[test]
fn each_answer_goes_to_its_asker() {
    let used = Arc::new(Mutex::new(HashSet::new()));
    let (client, server) = connected(Setup { channels: 2, ..Setup::default() }, {
        let used = used.clone();
        move |request| {
            used.lock().insert(request.channel);
            None
        }
    });
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let client = &client;
            scope.spawn(move || {
                for call in 0..CALLS {
                    let fd = FdId(1 + caller * CALLS + call);
                    assert_eq!(client.fstat(fd).unwrap().ino, fd.0);
                    assert_eq!(client.lookup(fd, fd.0.to_string().as_bytes()).unwrap().control_fd, FdId(1000 + fd.0));
                    let count = 1 + usize::try_from(call).unwrap() * 7;
                    let data = client.pread(fd, call, count, |data| data.to_vec()).unwrap();
                    assert_eq!(data.len(), count);
                    assert!((call + fd.0..).zip(&data).all(|(expected, byte)| expected.to_le_bytes()[0] == *byte));
                    assert_eq!(client.pwrite(fd, 0, &data), Ok(count));
                    client.close(fd);
                }
            });
        }
    });
    client.flush_closes();
    let mut closed = server.closed();
    closed.sort();
    assert_eq!(closed, (1..=CALLERS * CALLS).map(FdId).collect::<Vec<_>>(), "each FD is given back once");
    assert_eq!(*used.lock(), HashSet::from([None, Some(0), Some(1)]));
}

#[test]
fn a_lone_caller_stays_on_one_channel() {
    let used = Arc::new(Mutex::new(Vec::new()));
    let (client, _server) = connected(Setup { channels: 2, ..Setup::default() }, {
        let used = used.clone();
        move |request| {
            used.lock().push(request.channel);
            None
        }
    });
    used.lock().clear();
    for _ in 0..20 {
        client.fstat(FdId(3)).unwrap();
    }
    let used = used.lock();
    assert!(used[0].is_some() && used.iter().all(|channel| *channel == used[0]), "{used:?}");
}

/// Closed FDs are given back without anybody asking for it.
#[test]
fn closes_are_sent_by_themselves() {
    for setup in crate::support::both() {
        let (client, server) = connected(setup, |_| None);
        client.close(FdId(5));
        client.close(FdId::INVALID);
        server.wait_for_closed(&[FdId(5)]);
        assert_eq!(server.closed(), [FdId(5)]);
    }
}
