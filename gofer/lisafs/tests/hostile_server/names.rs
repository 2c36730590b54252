//! K9: names, link targets and lists of names that nothing on the host could have.

use lisafs::Errno;
use lisafs::client::Listing;
use lisafs::wire::message::{FGetXattrResp, FListXattrResp, ReadLinkAtResp};
use lisafs::wire::{Dirent, MessageId, StringArrayBuf};

use crate::support::{ROOT, Reply, both, connected, listing};

#[test]
fn directory_entries_have_names_that_exist() {
    let long = [b'n'; 256];
    for setup in both() {
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0", &long] {
            let listing = listing(&[b"good", bad]);
            let (client, _server) = connected(setup.clone(), move |request| {
                let answer = || Reply::Message(request.id, listing.clone(), Vec::new());
                (request.id == MessageId::GETDENTS64).then(answer)
            });
            let mut seen = 0;
            assert_eq!(client.getdents(ROOT, 4096, &mut |_| seen += 1), Err(Errno::IO), "{bad:?}");
            assert_eq!(seen, 0, "nothing of such an answer is used");
        }
        let listing = listing(&[b"a", &long[..255], b"\xff..."]);
        let (client, _server) = connected(setup, move |request| {
            let answer = || Reply::Message(request.id, listing.clone(), Vec::new());
            (request.id == MessageId::GETDENTS64).then(answer)
        });
        let mut names = Vec::new();
        let mut each = |dirent: Dirent<'_>| {
            assert!(client.fstat(ROOT).is_ok(), "another call is allowed meanwhile");
            names.push(dirent.name.to_vec());
        };
        assert_eq!(client.getdents(ROOT, 4096, &mut each), Ok(3));
        assert_eq!(names, [&b"a"[..], &long[..255], b"\xff..."]);
    }
}

#[test]
fn a_directory_without_an_end_is_given_up() {
    for setup in both() {
        let (client, _server) = connected(setup, |request| {
            let answer = || Reply::Message(request.id, listing(&[b"again", b"and", b"over"]), Vec::new());
            (request.id == MessageId::GETDENTS64).then(answer)
        });
        assert_eq!(Listing::read_up_to(&client, ROOT, 1000).map(drop), Err(Errno::FBIG));
    }
}

#[test]
fn link_targets_are_ones_that_the_kernel_could_follow() {
    let long: &'static [u8] = &[b't'; 4096];
    for (target, expected) in [
        (&b""[..], Err(Errno::IO)),
        (b"a\0b", Err(Errno::IO)),
        (long, Err(Errno::IO)),
        (&long[1..], Ok(long[1..].to_vec())),
        (b"../a b", Ok(b"../a b".to_vec())),
    ] {
        let (client, _server) = connected(Default::default(), move |request| {
            (request.id == MessageId::READ_LINK_AT).then(|| Reply::of(request.id, &ReadLinkAtResp { target }))
        });
        assert_eq!(client.read_link_at(ROOT), expected);
    }
}

#[test]
fn extended_attributes_are_what_was_asked_for() {
    for (names, size, expected) in [
        (&[&b"user.a"[..], b"user.b"][..], 0, Ok(2)),
        (&[b"user.a", b"user.b"], 14, Ok(2)),
        (&[b"user.a", b"user.b"], 13, Err(Errno::IO)),
        (&[b""], 0, Err(Errno::IO)),
        (&[b"user.a\0user.b"], 0, Err(Errno::IO)),
        (&[&[b'n'; 256]], 0, Err(Errno::IO)),
    ] {
        let list = StringArrayBuf::collect(names.iter().copied()).unwrap();
        let (client, _server) = connected(Default::default(), move |request| match request.id {
            MessageId::FLIST_XATTR => Some(Reply::of(request.id, &FListXattrResp { names: list.as_array() })),
            MessageId::FGET_XATTR => Some(Reply::of(request.id, &FGetXattrResp { value: b"value" })),
            _ => None,
        });
        assert_eq!(client.list_xattr(ROOT, size).map(|names| names.len()), expected, "{names:?}");
        assert_eq!(client.get_xattr(ROOT, b"user.a", 5), Ok(b"value".to_vec()));
        assert_eq!(client.get_xattr(ROOT, b"user.a", 0), Ok(b"value".to_vec()));
        assert_eq!(client.get_xattr(ROOT, b"user.a", 4), Err(Errno::IO));
    }
}
