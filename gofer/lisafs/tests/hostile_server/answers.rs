//! Answers that contradict their request.

use std::time::Instant;

use lisafs::Errno;
use lisafs::backend::{SetStat, SetStatFailure, Unlink};
use lisafs::wire::message::{OpenCreateAtResp, PReadHead, PWriteResp, SetStatResp, WalkStatResp};
use lisafs::wire::{Array, CreateCommon, FdId, Inode, MessageId, Statx, StatxMask, WalkStatus};

use crate::support::{ROOT, Reply, Setup, TIMEOUT, both, bytes, connected, inode, walked};

const NEW: FdId = FdId(77);

fn common() -> CreateCommon {
    CreateCommon::new(ROOT, 0, 0, 0o644)
}

/// Answers every `id` with `reply`, the rest honestly.
macro_rules! scripted {
    ($setup:expr, $id:expr, $reply:expr) => {
        connected($setup, move |request| (request.id == $id).then(|| $reply))
    };
}

/// K2.
#[test]
fn errors_that_are_cut_short_or_no_errors_are_io_errors() {
    for setup in both() {
        for len in 0..4 {
            let (client, _server) =
                scripted!(setup.clone(), MessageId::FSTAT, Reply::Message(MessageId::ERROR, vec![1; len], Vec::new()));
            assert_eq!(client.fstat(ROOT).unwrap_err(), Errno::IO);
            assert!(client.pread(ROOT, 0, 1, |_| ()).is_ok(), "the communicator is still in step");
        }
        for (wire, errno) in [(0, Errno::IO), (4096, Errno::IO), (u32::MAX, Errno::IO), (40, Errno::LOOP)] {
            let (client, _server) = scripted!(setup.clone(), MessageId::FSTAT, Reply::error(wire));
            assert_eq!(client.fstat(ROOT).unwrap_err(), errno);
        }
    }
}

#[test]
fn an_answer_to_another_request_ends_the_communicator() {
    for setup in both() {
        let channels = setup.channels;
        let (client, _server) = scripted!(setup, MessageId::FSTAT, Reply::of(MessageId::WALK, &inode(NEW, 0).stat));
        assert_eq!(client.fstat(ROOT).unwrap_err(), Errno::IO);
        assert_eq!(client.channels(), 0);
        assert_eq!(client.is_dead(), channels == 0, "with the socket alone, it was the last one");
    }
}

#[test]
fn answers_that_end_too_early_are_io_errors() {
    for setup in both() {
        let (client, _server) = connected(setup, |request| {
            let answered = [MessageId::MOUNT, MessageId::CHANNEL, MessageId::CLOSE].contains(&request.id);
            (!answered).then(|| Reply::Message(request.id, vec![1], Vec::new()))
        });
        assert_eq!(client.fstat(ROOT), Err(Errno::IO));
        assert_eq!(client.walk(ROOT, &[b"a"]), Err(Errno::IO));
        assert_eq!(client.lookup(ROOT, b"a"), Err(Errno::IO));
        assert_eq!(client.walk_stat(ROOT, &[b"a"]), Err(Errno::IO));
        assert_eq!(client.open_at(ROOT, 0).map(drop), Err(Errno::IO));
        assert_eq!(client.open_create_at(common(), 0, b"a").map(drop), Err(Errno::IO));
        assert_eq!(client.pread(ROOT, 0, 9, |_| ()), Err(Errno::IO));
        assert_eq!(client.pwrite(ROOT, 0, b"x"), Err(Errno::IO));
        assert_eq!(client.mkdir_at(common(), b"a"), Err(Errno::IO));
        assert_eq!(client.mknod_at(common(), 0, 0, b"a"), Err(Errno::IO));
        assert_eq!(client.symlink_at(ROOT, 0, 0, b"a", b"b"), Err(Errno::IO));
        assert_eq!(client.link_at(ROOT, ROOT, b"a"), Err(Errno::IO));
        assert_eq!(client.fstatfs(ROOT), Err(Errno::IO));
        assert_eq!(client.read_link_at(ROOT), Err(Errno::IO));
        assert_eq!(client.getdents(ROOT, 100, &mut |_| ()), Err(Errno::IO));
        assert_eq!(client.get_xattr(ROOT, b"user.a", 0), Err(Errno::IO));
        assert_eq!(client.list_xattr(ROOT, 0), Err(Errno::IO));
        assert_eq!(client.bind_at(common(), 1, b"a").map(drop), Err(Errno::IO));
        assert_eq!(client.accept(ROOT).map(drop), Err(Errno::IO));
        // These say nothing, and what is behind the end of a message is ignored.
        assert_eq!(client.flush(ROOT), Ok(()));
        assert_eq!(client.unlink_at(ROOT, b"a", Unlink::File), Ok(()));
        assert!(!client.is_dead());
    }
}

/// K3.
#[test]
fn a_read_is_never_longer_than_asked_for() {
    for setup in both() {
        // What the answer claims, and how much data is in it.
        for (count, data) in [(11, 11), (1 << 32, 10), (u64::MAX, 10), (10, 9), (1, 0), (u64::from(u32::MAX) + 2, 1)] {
            let mut answer = bytes(&PReadHead { count });
            answer.resize(answer.len() + data, b'x');
            let (client, _server) = scripted!(
                setup.clone(),
                MessageId::PREAD,
                Reply::Message(MessageId::PREAD, answer.clone(), Vec::new())
            );
            assert_eq!(client.pread(ROOT, 0, 10, |data| data.to_vec()), Err(Errno::IO), "{count} {data}");
            assert!(client.fstat(ROOT).is_ok());
        }
        let mut answer = bytes(&PReadHead { count: 2 });
        answer.extend(b"abcdef");
        let (client, _server) =
            scripted!(setup, MessageId::PREAD, Reply::Message(MessageId::PREAD, answer.clone(), Vec::new()));
        assert_eq!(client.pread(ROOT, 0, 10, |data| data.to_vec()), Ok(b"ab".to_vec()));
    }
}

/// K4.
#[test]
fn a_write_is_never_longer_than_its_data() {
    for setup in both() {
        for count in [11, 1000, 1 << 32, u64::MAX] {
            let (client, _server) =
                scripted!(setup.clone(), MessageId::PWRITE, Reply::of(MessageId::PWRITE, &PWriteResp { count }));
            assert_eq!(client.pwrite(ROOT, 0, &[0; 10]), Err(Errno::IO));
        }
    }
}

/// K5: none of the files is passed up, so all are given back.
#[test]
fn a_walk_finds_no_more_than_it_looked_for() {
    let inodes = [inode(FdId(7), 0o40_755), inode(FdId(8), 0o40_755), inode(FdId(9), 0o40_755)];
    let all = inodes.map(|inode| inode.control_fd);
    for setup in both() {
        let (client, server) = scripted!(setup.clone(), MessageId::WALK, walked(0, &inodes));
        assert_eq!(client.walk(ROOT, &[b"a"]), Err(Errno::IO));
        server.wait_for_closed(&all);
        assert_eq!(client.lookup(ROOT, b"a"), Err(Errno::IO));
        client.flush_closes();
        assert_eq!(server.closed().len(), 2 * all.len());

        let stats = [inodes[0].stat, inodes[1].stat];
        let answer = bytes(&WalkStatResp { stats: Array::new(&stats).unwrap() });
        let (client, _server) =
            scripted!(setup, MessageId::WALK_STAT, Reply::Message(MessageId::WALK_STAT, answer.clone(), Vec::new()));
        assert_eq!(client.walk_stat(ROOT, &[b"a"]), Err(Errno::IO));
        assert_eq!(client.walk_stat(ROOT, &[b"a", b"b"]), Ok(stats.to_vec()));
    }
}

#[test]
fn a_walk_ends_as_its_files_say() {
    let found = [inode(FdId(7), 0o40_755), inode(FdId(8), 0o120_777)];
    let cases: [(u8, usize, Result<WalkStatus, Errno>); 8] = [
        (0, 2, Ok(WalkStatus::Success)),
        (0, 1, Ok(WalkStatus::DoesNotExist)),
        (1, 1, Ok(WalkStatus::DoesNotExist)),
        (1, 2, Err(Errno::IO)),
        (2, 2, Ok(WalkStatus::Symlink)),
        (2, 0, Err(Errno::IO)),
        (3, 1, Err(Errno::IO)),
        (255, 0, Err(Errno::IO)),
    ];
    for (status, count, expected) in cases {
        let (client, server) = scripted!(Setup::default(), MessageId::WALK, walked(status, &found[..count]));
        let walked = client.walk(ROOT, &[b"a", b"b"]);
        assert_eq!(walked.as_ref().map(|(status, _)| *status).map_err(|errno| *errno), expected, "{status} {count}");
        match walked {
            Ok((_, inodes)) => assert_eq!(inodes, found[..count]),
            Err(_) => server.wait_for_closed(&found[..count].iter().map(|inode| inode.control_fd).collect::<Vec<_>>()),
        }
    }
    for status in [0, 1] {
        let (client, _server) = scripted!(Setup::default(), MessageId::WALK, walked(status, &[]));
        assert_eq!(client.lookup(ROOT, b"a"), Err(Errno::NOENT));
        assert_eq!(client.lookup(ROOT, &[b'n'; 300]), Err(Errno::NOENT));
    }
}

#[test]
fn files_without_a_type_are_given_back() {
    let bad = Inode { control_fd: NEW, stat: Statx::default() };
    let nameless = inode(FdId::INVALID, 0o100_644);
    for setup in both() {
        let (client, server) = scripted!(setup.clone(), MessageId::WALK, walked(0, &[bad]));
        assert_eq!(client.lookup(ROOT, b"a"), Err(Errno::IO));
        server.wait_for_closed(&[NEW]);

        let (client, server) = scripted!(setup.clone(), MessageId::MKDIR_AT, Reply::of(MessageId::MKDIR_AT, &bad));
        assert_eq!(client.mkdir_at(common(), b"a"), Err(Errno::IO));
        server.wait_for_closed(&[NEW]);

        let answer = OpenCreateAtResp { child: nameless, open_fd: NEW };
        let (client, server) =
            scripted!(setup, MessageId::OPEN_CREATE_AT, Reply::of(MessageId::OPEN_CREATE_AT, &answer));
        assert_eq!(client.open_create_at(common(), 0, b"a").map(drop), Err(Errno::IO));
        server.wait_for_closed(&[NEW]);
    }
}

#[test]
fn attributes_that_could_not_be_set_have_an_errno() {
    for (sent, seen) in [(28, Errno::NOSPC), (0, Errno::IO), (u32::MAX, Errno::IO)] {
        let answer = SetStatResp { failure_mask: StatxMask::SIZE, failure_errno: sent };
        let (client, _server) =
            scripted!(Setup::default(), MessageId::SET_STAT, Reply::of(MessageId::SET_STAT, &answer));
        let failure = client.set_stat(ROOT, &SetStat::new().size(0)).unwrap().unwrap_err();
        assert_eq!(failure, SetStatFailure::new(StatxMask::SIZE, seen));
    }
}

/// K8: the length is refused before any memory is set aside for it.
#[test]
fn lengths_beyond_any_message_end_the_communicator() {
    let header = |len: u32| [&len.to_ne_bytes()[..], &[3, 0, 0, 0]].concat();
    for len in [256 * 1024 + 1, u32::MAX] {
        let (client, _server) = scripted!(Setup::socket_only(), MessageId::FSTAT, Reply::Raw(header(len)));
        let start = Instant::now();
        assert_eq!(client.fstat(ROOT), Err(Errno::IO));
        assert!(client.is_dead());
        assert!(start.elapsed() < TIMEOUT / 2, "such a message is not waited for");
    }
    for len in [3, 256 * 1024 + 5, 1 << 20, usize::try_from(u32::MAX).unwrap()] {
        let (client, _server) = scripted!(Setup::default(), MessageId::PWRITE, Reply::Claim(len));
        assert_eq!(client.pwrite(ROOT, 0, b"x"), Err(Errno::IO));
        assert_eq!(client.channels(), 0, "{len}");
        assert!(client.fstat(ROOT).is_ok(), "over the socket");
    }
    let (client, _server) = scripted!(Setup::default(), MessageId::FSTAT, Reply::Raw(vec![3, 0, 0]));
    assert_eq!(client.fstat(ROOT), Err(Errno::IO));
    assert_eq!(client.channels(), 0);
}
