//! K10: servers that die or fall silent.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use lisafs::Errno;
use lisafs::transport::{FdSocket, PacketMemory};
use lisafs::wire::message::{ChannelResp, FStatReq};
use lisafs::wire::{FdId, MessageId, Wire};
use parking_lot::{Condvar, Mutex};

use crate::support::{ROOT, Reply, Request, SHORT, Setup, TIMEOUT, both, bytes, connect, connected, honest};

/// A number that can be waited for.
#[derive(Default)]
struct Counter(Mutex<usize>, Condvar);

impl Counter {
    fn add(&self) {
        *self.0.lock() += 1;
        self.1.notify_all();
    }

    fn wait_for(&self, number: usize) {
        let deadline = Instant::now() + TIMEOUT;
        let mut count = self.0.lock();
        while *count < number {
            assert!(!self.1.wait_until(&mut count, deadline).timed_out(), "{count} of {number}");
        }
    }
}

#[test]
fn a_server_that_dies_ends_all_calls_at_once() {
    const CALLERS: usize = 8;
    let arrived = Arc::new(Counter::default());
    let deaths = Arc::new(Counter::default());
    let (client, server) = connected(Setup { channels: 2, ..Setup::default() }, {
        let arrived = arrived.clone();
        move |request| {
            (request.id == MessageId::FSTAT).then(|| {
                arrived.add();
                Reply::Silence
            })
        }
    });
    client.on_death({
        let deaths = deaths.clone();
        move || deaths.add()
    });
    let start = Instant::now();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| client.fstat(ROOT))).collect();
        // Both channels and the socket wait for an answer, the other callers for a channel or the socket.
        arrived.wait_for(3);
        assert!(!client.is_dead());
        server.hang_up();
        for caller in callers {
            assert_eq!(caller.join().unwrap(), Err(Errno::IO));
        }
    });
    assert!(start.elapsed() < TIMEOUT / 2, "the time limit was not what ended them");
    deaths.wait_for(1);
    assert!(client.is_dead());
    assert_eq!(client.fstat(ROOT), Err(Errno::IO));
    client.close(ROOT);
    client.flush_closes();
    // Too late to wait for it.
    client.on_death({
        let deaths = deaths.clone();
        move || deaths.add()
    });
    drop(client);
    assert_eq!(*deaths.0.lock(), 2);
}

#[test]
fn a_server_that_dies_while_channels_are_made_is_an_error() {
    let hang_up = |request: &Request| (request.id == MessageId::CHANNEL).then_some(Reply::HangUp);
    assert!(connect(Setup::default(), hang_up).is_err());

    // The channel is fine, but there will be no handshake.
    let leave = |request: &Request| {
        (request.id == MessageId::CHANNEL).then(|| {
            let mut memory = PacketMemory::new().unwrap();
            let (_, len) = memory.allocate(1 << 20).unwrap();
            let answer = bytes(&ChannelResp { data_offset: 0, data_length: len as u64 });
            let memory = memory.as_fd().try_clone_to_owned().unwrap();
            Reply::AnswerAndHangUp(request.id, answer, vec![memory, FdSocket::pair().unwrap().0.into()])
        })
    };
    let start = Instant::now();
    assert!(connect(Setup::default(), leave).is_err());
    assert!(start.elapsed() < TIMEOUT / 2, "the time limit was not what ended it");
}

#[test]
fn whoever_sees_a_channel_end_knows_that_the_server_is_gone() {
    // Now and then the one who watches the socket comes too late for that.
    for _ in 0..200 {
        let (client, _server) =
            connected(Setup::default(), |request| (request.id == MessageId::FSTAT).then_some(Reply::Leave));
        assert_eq!(client.fstat(ROOT), Err(Errno::IO));
        assert!(client.is_dead());
    }
}

#[test]
fn dropping_the_client_is_no_death() {
    for setup in both() {
        let deaths = Arc::new(AtomicUsize::new(0));
        let (client, _server) = connected(setup, |_| None);
        client.on_death({
            let deaths = deaths.clone();
            move || {
                deaths.fetch_add(1, Ordering::Relaxed);
            }
        });
        drop(client);
        assert_eq!(deaths.load(Ordering::Relaxed), 0);
        assert_eq!(Arc::strong_count(&deaths), 1, "what it would have done is forgotten");
    }
}

#[test]
fn the_last_reference_may_go_when_the_server_dies() {
    let (client, server) = connected(Setup::default(), |_| None);
    let client = Arc::new(client);
    let gone = Arc::new(Counter::default());
    client.on_death({
        let (client, gone) = (client.clone(), gone.clone());
        move || {
            drop(client);
            gone.add();
        }
    });
    drop(client);
    server.hang_up();
    gone.wait_for(1);
}

#[test]
fn a_silent_communicator_is_given_up() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (client, server) = connected(Setup { time_limit: SHORT, ..Setup::default() }, {
        let asked = asked.clone();
        move |request| {
            (request.id == MessageId::FSTAT).then(|| {
                asked.fetch_add(1, Ordering::Relaxed);
                Reply::Silence
            })
        }
    });
    for communicators in (0..2).rev() {
        let start = Instant::now();
        assert_eq!(client.fstat(ROOT), Err(Errno::IO));
        assert!(start.elapsed() >= SHORT && start.elapsed() < TIMEOUT);
        assert_eq!(client.is_dead(), communicators == 0);
    }
    assert_eq!(client.fstat(ROOT), Err(Errno::IO));
    drop((client, server));
    assert_eq!(asked.load(Ordering::Relaxed), 2, "in the end, nobody was asked");
}

#[test]
fn a_server_that_trickles_is_given_up() {
    // Each byte comes in time, but not the answer.
    let (client, _server) = connected(Setup { time_limit: SHORT, ..Setup::socket_only() }, |request| {
        (request.id == MessageId::FSTAT).then(|| Reply::Raw(vec![144, 0, 0, 0, 3, 0, 0]))
    });
    assert_eq!(client.fstat(ROOT), Err(Errno::IO));
    assert!(client.is_dead());
}

/// K11: an answer that comes too late is never taken for that of another request.
#[test]
fn late_answers_go_to_nobody() {
    let late = FdId(5);
    let others = Arc::new(Counter::default());
    let (client, _server) = connected(Setup { time_limit: SHORT, ..Setup::default() }, {
        let others = others.clone();
        move |request| {
            if request.id == MessageId::FSTAT && FStatReq::from_bytes(&request.payload).unwrap().fd == late {
                // The answer is made now and sent after the client has moved on.
                others.wait_for(10);
            }
            None
        }
    });
    assert_eq!(client.fstat(late), Err(Errno::IO));
    for fd in 100..110 {
        assert_eq!(client.fstat(FdId(fd)).unwrap().ino, fd);
        others.add();
    }
    assert!(!client.is_dead());
}

#[test]
fn an_honest_answer_in_time_is_not_given_up() {
    let (client, _server) =
        connected(Setup::default(), |request| (request.id == MessageId::FSTAT).then(|| honest(request)));
    assert!(client.fstat(ROOT).is_ok() && client.channels() == 1);
}
