//! Answers to the first message.

use lisafs::Errno;
use lisafs::client::{Client, ClientOptions, ConnectError};
use lisafs::wire::message::MountResp;
use lisafs::wire::{Array, FdId, Inode, MessageId};

use crate::support::{ROOT, Reply, Request, SHORT, Setup, connect, connected, inode};

fn mount_error(reply: impl Fn() -> Reply + Send + Sync + 'static) -> ConnectError {
    let mount = move |request: &Request| (request.id == MessageId::MOUNT).then(&reply);
    connect(Setup { time_limit: SHORT, ..Setup::default() }, mount).map(drop).unwrap_err()
}

fn mount_answer(root: Inode, max_message_size: u32) -> Reply {
    let supported = Array::new(&[3]).unwrap();
    Reply::of(MessageId::MOUNT, &MountResp { root, max_message_size, supported })
}

/// K1: nothing is supported, which is no reason to fail; but everything is refused unasked.
#[test]
fn a_server_that_supports_nothing_is_not_asked_for_anything() {
    let setup = Setup { supported: Vec::new(), channels: 0, ..Setup::default() };
    let (client, _server) = connected(setup, |request| {
        assert!([MessageId::MOUNT, MessageId::CHANNEL].contains(&request.id), "{:?} was sent", request.id);
        None
    });
    assert!(!client.supports(MessageId::FSTAT));
    assert_eq!(client.fstat(ROOT).unwrap_err(), Errno::OPNOTSUPP);
    assert_eq!(client.rename_at(ROOT, b"a", ROOT, b"b", 1), Err(Errno::OPNOTSUPP));
    client.close(ROOT);
    client.flush_closes();
}

#[test]
fn private_messages_in_the_list_are_ignored() {
    let setup = Setup { supported: vec![3, 64, 255, 65535], channels: 0, ..Setup::default() };
    let (client, _server) = connected(setup, |_| None);
    assert!(client.supports(MessageId::FSTAT) && !client.supports(MessageId(255)));
    assert!(client.fstat(ROOT).is_ok());
}

#[test]
fn a_refused_mount_says_why() {
    let error = mount_error(|| Reply::error(libc::EACCES.unsigned_abs()));
    assert!(error.to_string().contains("ermission denied"), "{error}");
}

#[test]
fn a_mount_that_makes_no_sense_is_refused() {
    let stat_without_type = Inode { control_fd: ROOT, stat: Default::default() };
    let replies: [fn(Inode) -> Reply; 4] = [
        |_| Reply::empty(MessageId::MOUNT),
        |_| Reply::Message(MessageId::MOUNT, vec![1; 160], Vec::new()),
        |_| mount_answer(inode(FdId::INVALID, 0o40_755), 4096),
        |root| mount_answer(root, 4096),
    ];
    for reply in replies {
        let error = mount_error(move || reply(stat_without_type));
        assert!(matches!(error, ConnectError::Mount(_)), "{error}");
    }
}

#[test]
fn messages_that_are_too_small_are_refused() {
    let error = mount_error(|| mount_answer(inode(ROOT, 0o40_755), 511));
    assert!(matches!(error, ConnectError::MessageSize(511)), "{error}");
}

/// K8: what the server says is no reason to set memory aside.
#[test]
fn messages_that_are_too_large_are_made_smaller() {
    let (client, _server) = connected(Setup { max_message: u32::MAX, ..Setup::socket_only() }, |_| None);
    assert!(client.max_read() < 16 << 20 && client.max_write() < 16 << 20);
    assert_eq!(client.pread(ROOT, 0, usize::MAX, |data| data.len()), Ok(client.max_read()));
}

#[test]
fn a_server_that_hangs_up_or_says_nothing_is_an_error() {
    for reply in [|| Reply::HangUp, || Reply::Silence] {
        assert!(matches!(mount_error(reply), ConnectError::Mount(_)));
    }
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(theirs);
    assert!(Client::connect(ours.into(), &ClientOptions::default()).is_err());
}

/// The message size limits both directions and is kept by the client.
#[test]
fn requests_that_do_not_fit_are_not_sent() {
    for setup in crate::support::both() {
        let (client, server) = connected(Setup { max_message: 1024, ..setup }, |request| {
            assert!(request.payload.len() <= 1024);
            None
        });
        assert_eq!((client.max_read(), client.max_write()), (1016, 1004));
        assert_eq!(client.pwrite(ROOT, 0, &[1; 5000]), Ok(1004));
        assert_eq!(
            client.mkdir_at(lisafs::wire::CreateCommon::new(ROOT, 0, 0, 0), &[b'n'; 2000]),
            Err(Errno::NAMETOOLONG)
        );
        assert_eq!(client.lookup(ROOT, &[b'n'; 70_000]), Err(Errno::NAMETOOLONG));
        assert_eq!(client.set_xattr(ROOT, b"user.a", &[0; 1003], 0), Err(Errno::TOOBIG));
        assert_eq!(client.set_xattr(ROOT, b"user.a", &[0; 65_536], 0), Err(Errno::TOOBIG));
        assert_eq!(client.fsync(&[ROOT; 70_000]), Err(Errno::INVAL));
        assert!(client.fstat(ROOT).is_ok(), "the communicator is still in step");
        // More FDs than fit into one message are given back in several.
        client.close_all(&[ROOT; 1000]);
        client.flush_closes();
        assert_eq!(server.closed().len(), 1000);
    }
}
