//! What people see.

use lisafs::wire::message::{
    CloseReq, CloseResp, FStatReq, Getdents64Req, Getdents64Resp, MkdirAtReq, MkdirAtResp, PWriteReq, PWriteResp,
    RenameAt2Req, RenameAt2Resp, RenameAtReq, RenameAtResp, SetStatReq, SetStatResp, UnlinkAtReq, UnlinkAtResp,
};
use lisafs::wire::{Array, CreateCommon, Dirent, FdId, NO_ID, Pad, StatxMask, Timespec, Wire};

use super::super::{Excerpt, Filter, Reader, Stats, excerpts, show};
use super::{Finished, ROOT, Session, inode};

/// The lines of a trace.
pub(super) fn lines(trace: &Finished, filter: &Filter) -> Vec<String> {
    let mut text = Vec::new();
    show(&mut Reader::open(trace.path()).unwrap(), filter, u64::MAX, &mut text).unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

/// The lines without the columns before the message.
fn messages(trace: &Finished) -> Vec<String> {
    let lines = lines(trace, &Filter::default());
    lines.iter().map(|line| line.splitn(3, "s  ").last().unwrap().to_owned()).collect()
}

#[test]
fn a_line_has_time_communicator_duration_request_and_answer() {
    let mut session = Session::new();
    let dir = session.walk(ROOT, "dir", 2, 0o40_755);
    session.walk(dir, "a \"file\"", 3, 0o100_644);
    session.refused(&FStatReq { fd: FdId(9) }, libc::EBADF, 18);
    let trace = session.finished();
    assert_eq!(
        lines(&trace, &Filter::default()),
        [
            "    0.001000  ch2   10.0 µs  Mount         → [1] directory 0755 0:0 size=5 nlink=1 ino=101, 3 messages, \
             of up to 1048576 bytes",
            "    0.002000  ch2   20.0 µs  Walk          /[1]/dir → [2] directory 0755 0:0 size=5 nlink=1 ino=102",
            "    0.003000  ch2   20.0 µs  Walk          /dir[2]/a \"file\" → [3] file 0644 0:0 size=5 nlink=1 ino=103",
            "    0.004000  ch2   18.0 µs  FStat         ?[9] → EBADF (Bad file number)",
        ]
    );
}

#[test]
fn requests_are_shown_with_what_is_in_them() {
    let mut session = Session::new();
    let file = session.walk(ROOT, "file", 3, 0o100_644);
    let open = session.open(file, 4);
    session.read(open, b"hello");
    session.answered(&PWriteReq { offset: 7, fd: open, data: b"data" }, &PWriteResp { count: 4 }, 1);
    let now = Timespec { sec: 0, nsec: Timespec::UTIME_NOW };
    let set = SetStatReq {
        fd: file,
        mask: StatxMask::MODE | StatxMask::UID | StatxMask::SIZE | StatxMask::MTIME,
        mode: 0o600,
        uid: 5,
        gid: NO_ID,
        size: 3,
        atime: now,
        mtime: now,
    };
    session.answered(&set, &SetStatResp { failure_mask: StatxMask::UID, failure_errno: 1 }, 1);
    let entries = [("x", 8_u8), ("sub", 4), ("pipe", 1)];
    let mut listing = u16::try_from(entries.len()).unwrap().to_ne_bytes().to_vec();
    for (name, kind) in entries {
        let dirent = Dirent { ino: 1, dev_minor: 0, dev_major: 0, off: 1, kind, name: name.as_bytes() };
        dirent.encode(&mut listing).unwrap();
    }
    let dirents = Getdents64Resp::from_bytes(&listing).unwrap();
    session.answered(&Getdents64Req { dir: ROOT, count: -100, pad: Pad }, &dirents, 1);
    session.answered(&CloseReq { fds: Array::new(&[open, file]).unwrap() }, &CloseResp {}, 1);
    session.raw(&FStatReq { fd: ROOT }, false, &[1, 2], 0, 1);
    let shown = messages(&session.finished());
    assert_eq!(
        shown[2..],
        [
            "OpenAt        /file[3] O_RDONLY → [4]",
            "PRead         /file[4] 4096 bytes at 0 → 5 bytes",
            "PWrite        /file[4] 4 bytes at 7 → 4 bytes",
            "SetStat       /file[3] mode=0600 uid=5 size=3 mtime=now → EPERM (Operation not permitted); not set: uid",
            "Getdents64    /[1] 100 bytes, from the start → 3: x, sub/, pipe (FIFO)",
            "Close         /file[4], /file[3] → done",
            "FStat         /[1] → malformed",
        ]
    );
}

#[test]
fn paths_follow_what_happens_to_names() {
    let mut session = Session::new();
    let common = CreateCommon::new(ROOT, 1, NO_ID, 0o700);
    session.answered(&MkdirAtReq { common, name: b"a" }, &MkdirAtResp { child: inode(FdId(2), 0o40_700) }, 1);
    let file = session.walk(FdId(2), "file", 3, 0o100_644);
    let rename = RenameAtReq { old_dir: ROOT, new_dir: ROOT, old_name: b"a", new_name: b"b" };
    session.answered(&rename, &RenameAtResp {}, 1);
    session.stat(file, 1);
    session.walk(ROOT, "c", 4, 0o40_755);
    let exchange = RenameAt2Req { old_dir: ROOT, new_dir: ROOT, old_name: b"b", new_name: b"c", flags: 2 };
    session.answered(&exchange, &RenameAt2Resp {}, 1);
    session.stat(file, 1);
    session.stat(FdId(4), 1);
    session.answered(&UnlinkAtReq { dir: FdId(2), flags: 0, name: b"file" }, &UnlinkAtResp {}, 1);
    session.stat(file, 1);
    session.walk(FdId(2), "file", 5, 0o100_644);
    session.stat(FdId(5), 1);
    session.refused(&rename, libc::EACCES, 1);
    session.stat(FdId(5), 1);
    let shown = messages(&session.finished());
    let stats: Vec<&str> = shown
        .iter()
        .filter_map(|line| line.strip_prefix("FStat "))
        .map(|line| line.split('→').next().unwrap().trim())
        .collect();
    assert_eq!(stats, ["/b/file[3]", "/c/file[3]", "/b[4]", "/c/file[3] (removed)", "/c/file[5]", "/c/file[5]"]);
    assert!(shown[1].contains("/[1]/a 0700 1:-"), "{}", shown[1]);
    assert!(shown.iter().any(|line| line.contains("/[1]/b to /[1]/c RENAME_EXCHANGE")), "{shown:?}");
}

#[test]
fn excerpts_have_what_was_under_way_between_two_marks() {
    let mut session = Session::new();
    (0..10).for_each(|_| session.stat(ROOT, 100));
    let trace = session.finished();
    let mark = |micros| super::super::Mark(std::time::Duration::from_micros(micros));
    // Messages begin at each millisecond and take a tenth of one.
    let windows = [(mark(3_050), mark(5_000)), (mark(3_150), mark(3_900)), (mark(0), mark(100_000))];
    let found = excerpts(trace.path(), &windows, 4).unwrap();
    let starts = |excerpt: &Excerpt| -> Vec<String> {
        excerpt.lines.iter().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
    };
    assert_eq!(starts(&found[0]), ["0.003000", "0.004000"]);
    assert_eq!(found[1], Excerpt::default());
    assert_eq!(starts(&found[2]), ["0.001000", "0.002000", "...", "0.010000", "0.011000"]);
    assert_eq!(found[2].left_out, 7);
    assert!(found[2].lines[2].contains("7 messages"), "{:?}", found[2]);
}

#[test]
fn a_server_that_moves_a_directory_into_itself_is_not_believed() {
    let mut session = Session::new();
    let dir = session.walk(ROOT, "a", 2, 0o40_755);
    let below = session.walk(dir, "b", 3, 0o40_755);
    let rename = RenameAtReq { old_dir: ROOT, new_dir: below, old_name: b"a", new_name: b"c" };
    session.answered(&rename, &RenameAtResp {}, 1);
    session.stat(below, 1);
    let exchange = RenameAt2Req { old_dir: ROOT, new_dir: dir, old_name: b"a", new_name: b"b", flags: 2 };
    session.answered(&exchange, &RenameAt2Resp {}, 1);
    session.stat(below, 1);
    let shown = messages(&session.finished());
    assert_eq!(shown.len(), 7);
    assert!(shown[4].starts_with("FStat         /a/b[3] "), "{}", shown[4]);
}

/// Whoever reads a trace may have got it from somewhere.
#[test]
fn no_byte_of_a_trace_can_do_harm() {
    let mut session = Session::new();
    let dir = session.walk(ROOT, "dir", 2, 0o40_755);
    let file = session.walk(dir, "file", 3, 0o100_644);
    let open = session.open(file, 4);
    session.read(open, b"hello");
    let rename = RenameAtReq { old_dir: ROOT, new_dir: ROOT, old_name: b"dir", new_name: b"b" };
    session.answered(&rename, &RenameAtResp {}, 1);
    session.answered(&CloseReq { fds: Array::new(&[open, file]).unwrap() }, &CloseResp {}, 1);
    session.stat(ROOT, 1);
    let trace = session.finished();
    let whole = std::fs::read(trace.path()).unwrap();
    let mut readable = 0;
    for at in 0..whole.len() {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut damaged = whole.clone();
            damaged[at] = byte;
            let open = || Reader::new(&damaged[..], trace.path());
            let Ok(mut reader) = open() else { continue };
            let mut shown = Vec::new();
            show(&mut reader, &Filter { paths: vec![b"/b".to_vec()], ..Filter::default() }, 99, &mut shown).unwrap();
            let figures = Stats::of(&mut open().unwrap(), &Filter::default()).unwrap();
            // The end can become a message.
            assert!(figures.count() <= 9 && figures.to_string().contains("message"));
            readable += 1;
        }
    }
    assert!(readable > whole.len(), "most of it is not the header");
}
