//! A recorded session is sent again to the same file system, to others, and to such with something wrong.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fusebridge::trace::{
    Difference, Ending, Facts, Filter, Reader, Recorder, RecorderOptions, ReplayOptions, Report, Stats, excerpts,
    replay, show,
};
use gofer::extension::Registry;
use gofer::hostfs::HostOptions;
use lisafs::Errno;
use lisafs::backend::{SetStat, Unlink};
use lisafs::client::{Client, ClientOptions, Root};
use lisafs::server::{Connection, Server};
use lisafs::wire::{CreateCommon, FdId, MessageId};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tempfile::TempDir;

/// A client of the backend that `argument` stands for. Fields are dropped from the top.
struct Session {
    client: Client,
    root: Root,
    _connection: Connection,
}

impl Session {
    fn new(argument: &str, trace: Option<Arc<Recorder>>) -> Self {
        let registry = Registry::new(gofer::extensions::shipped()).unwrap();
        let claim = registry.backends(&HostOptions::default()).open(OsStr::new(argument)).unwrap();
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        let connection = Server::new().connect(theirs, b"/", claim.backend).unwrap();
        let options = ClientOptions::default().channels(1).trace(trace);
        let (client, root) = Client::connect(ours, &options).unwrap();
        Session { client, root, _connection: connection }
    }

    /// Sends the requests of `trace` again.
    fn replay(argument: &str, trace: &Path, strict: bool) -> (Report, Vec<Difference>) {
        let session = Session::new(argument, None);
        let mut differences = Vec::new();
        let mut keep = |difference: &Difference| differences.push(difference.clone());
        let report = replay(trace, &session.client, &session.root, ReplayOptions { strict }, &mut keep).unwrap();
        assert_eq!(report.differences, differences.len() as u64);
        (report, differences)
    }
}

fn host(directory: &TempDir) -> String {
    format!("host:{}", directory.path().display())
}

fn new_in(dir: FdId, mode: u16) -> CreateCommon {
    CreateCommon::new(dir, 1000, 1001, mode)
}

/// Something of everything, without any difference between file systems that work.
fn use_everything(client: &Client, root: FdId) {
    const READ_WRITE: u32 = libc::O_RDWR.unsigned_abs();
    let dir = client.mkdir_at(new_in(root, 0o750), b"dir").unwrap().control_fd;
    let (file, open, _) = client.open_create_at(new_in(dir, 0o640), READ_WRITE, b"file").unwrap();
    let file = file.control_fd;
    assert_eq!(client.pwrite(open, 0, b"hello world"), Ok(11));
    assert_eq!(client.pread(open, 0, 11, |data| data.to_vec()).unwrap(), b"hello world");
    client.set_stat(file, &SetStat::new().size(5)).unwrap().unwrap();
    assert_eq!(client.fstat(open).unwrap().size, 5);
    assert_eq!(client.pread(open, 0, 100, |data| data.to_vec()).unwrap(), b"hello");
    client.link_at(root, file, b"link").unwrap();
    assert_eq!(client.fstat(file).unwrap().nlink, 2);
    let symlink = client.symlink_at(root, 1000, 1001, b"symlink", b"dir/file").unwrap().control_fd;
    assert_eq!(client.read_link_at(symlink).unwrap(), b"dir/file");
    client.set_xattr(file, b"user.name", b"value", 0).unwrap();
    assert_eq!(client.get_xattr(file, b"user.name", 0).unwrap(), b"value");
    assert_eq!(client.list_xattr(file, 0).unwrap(), [b"user.name"]);

    for name in ["a", "b", "c"] {
        client.mkdir_at(new_in(dir, 0o755), name.as_bytes()).unwrap();
    }
    let (listed, _) = client.open_at(dir, 0).unwrap();
    let mut names = Vec::new();
    // One call after the other, a few entries each time.
    while client
        .getdents(listed, if names.is_empty() { -80 } else { 80 }, &mut |dirent| names.push(dirent.ino))
        .unwrap()
        > 0
    {}
    assert_eq!(names.len(), 4);

    let over = |old: &[u8], new: &[u8], flags| client.rename_at(dir, old, dir, new, flags);
    assert_eq!(over(b"a", b"b", libc::RENAME_NOREPLACE), Err(Errno::EXIST));
    over(b"a", b"b", 0).unwrap();
    assert_eq!(client.lookup(dir, b"a").map(drop), Err(Errno::NOENT));
    assert_eq!(client.unlink_at(root, b"dir", Unlink::Directory), Err(Errno::NOTEMPTY));
    client.unlink_at(dir, b"file", Unlink::File).unwrap();
    assert_eq!(client.lookup(dir, b"file").map(drop), Err(Errno::NOENT));
    assert_eq!(client.fstat(file).unwrap().nlink, 1);
    client.close_all(&[file, open, listed, symlink]);
    client.flush_closes();
    assert_eq!(client.fstat(open), Err(Errno::BADF));
}

/// A recorded use of everything.
struct Recorded {
    directory: TempDir,
    messages: u64,
}

impl Recorded {
    fn on(argument: &str, data: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let facts = Facts::new().with("io", "rpc");
        let recorder =
            Recorder::create(&directory.path().join("trace"), &facts, RecorderOptions::default().data(data)).unwrap();
        let session = Session::new(argument, Some(recorder.clone()));
        use_everything(&session.client, session.root.inode.control_fd);
        recorder.finish().unwrap();
        Recorded { directory, messages: recorder.records() }
    }

    fn trace(&self) -> PathBuf {
        self.directory.path().join("trace")
    }
}

#[test]
fn the_same_content_gives_the_same_answers() {
    for data in [false, true] {
        let first = tempfile::tempdir().unwrap();
        let recorded = Recorded::on(&host(&first), data);
        let second = tempfile::tempdir().unwrap();
        let (report, differences) = Session::replay(&host(&second), &recorded.trace(), false);
        assert_eq!(differences, []);
        // All but Mount and Channel.
        assert_eq!((report.sent, report.missing, report.unknown), (recorded.messages - 2, 0, 0));
        assert_eq!((report.ending, report.lost), (Some(Ending::Complete), false));
        assert!(report.recorded_time > Duration::ZERO && report.time > Duration::ZERO);
        let (link, of) = (second.path().join("link"), |path| std::fs::read(path).unwrap());
        assert_eq!(of(link.clone()) == b"hello", data, "{:?}", of(link));
        assert!(!second.path().join("dir/file").exists());
    }
}

#[test]
fn another_file_system_that_works_gives_the_same_answers() {
    let recorded = Recorded::on("mem:mode=0755", true);
    let directory = tempfile::tempdir().unwrap();
    for backend in [host(&directory), "mem:mode=0755".to_owned(), "stats:mem:mode=0755".to_owned()] {
        let (report, differences) = Session::replay(&backend, &recorded.trace(), false);
        assert_eq!(differences, [], "{backend}");
        assert_eq!(report.missing, 0);
    }
    // Not even inode numbers and times are the same in two directories of the host.
    let (report, _) = Session::replay(&host(&tempfile::tempdir().unwrap()), &recorded.trace(), true);
    assert!(report.differences > 10, "{report}");
}

#[test]
fn what_is_wrong_makes_a_difference() {
    let recorded = Recorded::on("mem:", true);
    for (fault, message, word) in [
        ("error=EACCES@read", MessageId::PREAD, "was no error, is EACCES"),
        ("error=ENOSPC@write", MessageId::PWRITE, "was no error, is ENOSPC"),
        ("short=read&seed=1", MessageId::PREAD, "the number of bytes was 11"),
        ("short=write&seed=1", MessageId::PWRITE, "the number of bytes was 11"),
        ("defect=wrong-nlink", MessageId::FSTAT, "nlink was 2, is 1"),
        ("defect=wrong-size", MessageId::FSTAT, "size was 5, is 6"),
        ("defect=wrong-mode", MessageId::MKDIR_AT, "mode was 0750, is 0751"),
        ("defect=wrong-owner", MessageId::OPEN_CREATE_AT, "uid was 1000, is 0"),
        ("defect=stale-stat", MessageId::FSTAT, "size was 5, is 0"),
        ("defect=wrong-errno", MessageId::UNLINK_AT, "was ENOTEMPTY, is EIO"),
        ("defect=lost-write", MessageId::PREAD, "the number of bytes was 11, is 0"),
        ("defect=lost-truncate", MessageId::FSTAT, "size was 5, is 11"),
        ("defect=lost-unlink", MessageId::WALK, "the walk was stopped at a name that does not exist, is complete"),
        ("defect=lost-xattr", MessageId::FGET_XATTR, "was no error, is ENODATA"),
        ("defect=cut-xattr", MessageId::FGET_XATTR, "the value was \"value\", is \"valu\""),
        ("defect=cut-link", MessageId::READ_LINK_AT, "the target was \"dir/file\", is \"dir/fil\""),
        ("defect=no-rename-replace", MessageId::RENAME_AT, "was no error, is EEXIST"),
        ("defect=rename-over", MessageId::RENAME_AT2, "was EEXIST, is no error"),
        ("defect=missing-dirent", MessageId::GETDENTS64, "missing: "),
        ("defect=duplicate-dirent", MessageId::GETDENTS64, "some are there more than once"),
        ("defect=reordered-readdir", MessageId::GETDENTS64, "missing: "),
        ("defect=wrong-dirent-type", MessageId::GETDENTS64, "missing: a/, b/, c/"),
    ] {
        let (_, differences) = Session::replay(&format!("fault:mem:?{fault}"), &recorded.trace(), false);
        let is_told = |difference: &Difference| {
            difference.message == message && difference.what.iter().any(|what| what.contains(word))
        };
        assert!(differences.iter().any(is_told), "{fault}: {differences:#?}");
        assert!(differences.iter().all(|difference| !difference.overlapped), "one thread was recorded");
    }
}

#[test]
fn some_is_only_seen_by_those_who_are_strict() {
    let recorded = Recorded::on("mem:", true);
    for (defect, word) in [("zero-ino", ", is 0"), ("coarse-times", ".000000000")] {
        let backend = format!("fault:mem:?defect={defect}");
        let (_, differences) = Session::replay(&backend, &recorded.trace(), false);
        assert_eq!(differences, [], "{defect}");
        let (_, differences) = Session::replay(&backend, &recorded.trace(), true);
        let mut told = differences.iter().flat_map(|difference| &difference.what);
        assert!(told.any(|what| what.contains(word)), "{defect}: {differences:#?}");
    }
}

#[test]
fn what_depends_on_a_difference_is_not_sent() {
    let recorded = Recorded::on("mem:", true);
    let (report, differences) = Session::replay("fault:mem:?error=EIO@create", &recorded.trace(), false);
    let first = &differences[0];
    assert_eq!(
        (first.message, first.what.as_slice()),
        (MessageId::OPEN_CREATE_AT, &["was no error, is EIO".to_owned()][..])
    );
    assert!(first.request.contains("/file O_RDWR"), "{first}");
    assert!(report.missing > 5, "{report}");
    assert_eq!(report.sent + report.missing, recorded.messages - 2);
    assert!(report.to_string().contains("were not sent"), "{report}");
}

#[test]
fn a_backend_that_refuses_changes_is_told() {
    let recorded = Recorded::on("mem:", false);
    let (_, differences) = Session::replay("readonly:mem:", &recorded.trace(), false);
    assert!(differences.iter().any(|difference| difference.what == ["was no error, is EROFS"]), "{differences:#?}");
}

#[test]
fn a_session_can_be_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let recorder =
        Recorder::create(&directory.path().join("trace"), &Facts::new(), RecorderOptions::default()).unwrap();
    let session = Session::new("mem:", Some(recorder.clone()));
    let root = session.root.inode.control_fd;
    let before = recorder.mark();
    session.client.mkdir_at(new_in(root, 0o700), b"made").unwrap();
    let after = recorder.mark();
    session.client.lookup(root, b"made").unwrap();
    recorder.flush().unwrap();

    let path = directory.path().join("trace");
    let found = excerpts(&path, &[(before, after)], 10).unwrap();
    assert_eq!(found[0].lines.len(), 1);
    assert!(found[0].lines[0].contains("MkdirAt       /[1]/made 0700 1000:1001 → ["), "{found:?}");

    let mut text = Vec::new();
    let filter = Filter { paths: vec![b"/made".to_vec()], ..Filter::default() };
    let shown = show(&mut Reader::open(&path).unwrap(), &filter, u64::MAX, &mut text).unwrap();
    assert_eq!((shown.lines, shown.ending), (2, Some(Ending::Unfinished)));
    let stats = Stats::of(&mut Reader::open(&path).unwrap(), &filter).unwrap();
    assert_eq!((stats.count(), stats.of_message(MessageId::WALK).map(|times| times.count())), (2, Some(1)));
    assert!(stats.of_message(MessageId::WALK).unwrap().percentile(50) > Duration::ZERO);
}

#[test]
fn a_request_without_an_answer_is_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace");
    let recorder = Recorder::create(&path, &Facts::new(), RecorderOptions::default()).unwrap();
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let options = ClientOptions::default().time_limit(Duration::from_millis(20)).trace(Some(recorder.clone()));
    assert!(Client::connect(ours.into(), &options).is_err());
    drop(theirs);
    recorder.finish().unwrap();
    let mut text = Vec::new();
    show(&mut Reader::open(&path).unwrap(), &Filter::default(), u64::MAX, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("Mount         → no answer in time"), "{text}");
}
