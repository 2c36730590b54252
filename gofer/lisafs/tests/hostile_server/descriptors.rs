//! K7: descriptors are owned from the moment they arrive, whatever comes with them.

use std::os::fd::{AsFd, OwnedFd};

use lisafs::Errno;
use lisafs::wire::message::{BindAtResp, OpenAtResp};
use lisafs::wire::{CreateCommon, FdId, MessageId};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::support::{ROOT, Reply, TIMEOUT, both, connected, inode};

/// A descriptor to give away, and one to see whether all copies of it have been closed.
fn tracked() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (writer, reader)
}

fn wait_for_close(reader: &OwnedFd) {
    let limit = TIMEOUT.try_into().unwrap();
    assert_eq!(poll(&mut [PollFd::new(reader, PollFlags::HUP)], Some(&limit)), Ok(1), "a copy is still open");
}

fn is_open(reader: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(reader, PollFlags::HUP)], Some(&Default::default())) == Ok(0)
}

/// Answers the first `id` with what `answer` makes of `count` descriptors, and hands out what watches them.
macro_rules! donating {
    ($setup:expr, $id:expr, $count:expr, $answer:expr) => {{
        let (given, readers): (Vec<_>, Vec<_>) = (0..$count).map(|_| tracked()).unzip();
        let given = Mutex::new(given);
        let (client, server) =
            connected($setup, move |request| (request.id == $id).then(|| $answer(std::mem::take(&mut *given.lock()))));
        (client, server, readers)
    }};
}

#[test]
fn what_is_given_away_arrives_and_is_the_callers() {
    for setup in both() {
        let answer = |fds| Reply::with(MessageId::OPEN_AT, &OpenAtResp { open_fd: FdId(9) }, fds);
        let (client, _server, readers) = donating!(setup, MessageId::OPEN_AT, 1, answer);
        let (open_fd, donated) = client.open_at(ROOT, 0).unwrap();
        assert_eq!(open_fd, FdId(9));
        let flags = rustix::io::fcntl_getfd(donated.as_ref().unwrap().as_fd()).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        drop(client);
        assert!(is_open(&readers[0]), "it does not end with the client");
        drop(donated);
        wait_for_close(&readers[0]);
    }
}

#[test]
fn descriptors_with_an_error_are_closed() {
    for setup in both() {
        let answer = |fds| Reply::Message(MessageId::ERROR, vec![13, 0, 0, 0], fds);
        let (client, _server, readers) = donating!(setup, MessageId::OPEN_AT, 2, answer);
        assert_eq!(client.open_at(ROOT, 0).map(drop), Err(Errno::ACCESS));
        readers.iter().for_each(wait_for_close);
        assert!(client.fstat(ROOT).is_ok());
    }
}

#[test]
fn descriptors_with_an_answer_that_makes_no_sense_are_closed() {
    for setup in both() {
        let answer = |fds| Reply::Message(MessageId::OPEN_AT, vec![1], fds);
        let (client, _server, readers) = donating!(setup.clone(), MessageId::OPEN_AT, 1, answer);
        assert_eq!(client.open_at(ROOT, 0).map(drop), Err(Errno::IO));
        wait_for_close(&readers[0]);

        let answer = |fds| Reply::Message(MessageId::WALK, vec![1], fds);
        let (client, _server, readers) = donating!(setup, MessageId::OPEN_AT, 1, answer);
        assert_eq!(client.open_at(ROOT, 0).map(drop), Err(Errno::IO));
        wait_for_close(&readers[0]);
    }
}

#[test]
fn descriptors_nobody_asked_for_are_closed() {
    for setup in both() {
        let answer = |fds| Reply::with(MessageId::FSTAT, &inode(ROOT, 0o40_755).stat, fds);
        let (client, _server, readers) = donating!(setup.clone(), MessageId::FSTAT, 2, answer);
        assert!(client.fstat(ROOT).is_ok());
        readers.iter().for_each(wait_for_close);

        let answer = |fds| Reply::with(MessageId::OPEN_AT, &OpenAtResp { open_fd: FdId(9) }, fds);
        let (client, _server, readers) = donating!(setup, MessageId::OPEN_AT, 5, answer);
        let donated = client.open_at(ROOT, 0).unwrap().1;
        assert!(donated.is_some() && is_open(&readers[0]));
        // Those beyond the room for them would otherwise come with the next answer.
        readers[1..].iter().for_each(wait_for_close);
        assert!(client.fstat(ROOT).is_ok());
    }
}

#[test]
fn a_socket_that_does_not_come_is_an_error() {
    let common = CreateCommon::new(ROOT, 0, 0, 0o140_755);
    for setup in both() {
        let (client, server) = connected(setup, |request| match request.id {
            MessageId::CONNECT | MessageId::CONNECT_WITH_CREDS => Some(Reply::empty(request.id)),
            MessageId::ACCEPT => Some(Reply::Message(request.id, vec![0, 0], Vec::new())),
            MessageId::BIND_AT => {
                let answer = BindAtResp { child: inode(FdId(7), 0o140_755), bound_socket_fd: FdId(8) };
                Some(Reply::of(request.id, &answer))
            }
            _ => None,
        });
        assert_eq!(client.connect_at(ROOT, 0).map(drop), Err(Errno::IO));
        assert_eq!(client.connect_with_creds(ROOT, 0, 1, 1).map(drop), Err(Errno::IO));
        assert_eq!(client.accept(ROOT).map(drop), Err(Errno::IO));
        assert_eq!(client.bind_at(common, 1, b"s").map(drop), Err(Errno::IO));
        server.wait_for_closed(&[FdId(7), FdId(8)]);
    }
}
