//! Tests of traces that are made by hand, message by message.

mod files;
mod filters;
mod lines;
mod stats;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lisafs::iobuf::IoSource;
use lisafs::wire::message::{
    ErrorResp, FStatReq, MountReq, MountResp, OpenAtReq, OpenAtResp, PReadReq, PReadResp, WalkReq, WalkResp,
};
use lisafs::wire::{Array, FdId, Inode, Message, MessageId, Pad, Statx, StatxMask, StringArrayBuf, WalkStatus, Wire};
use tempfile::TempDir;

use lisafs::trace::{Exchange, Outcome};

use super::{Facts, NoAnswer, Recorder, RecorderOptions};

/// A trace under way. Each message begins a millisecond after the one before.
struct Session {
    recorder: Arc<Recorder>,
    millis: u64,
    directory: TempDir,
}

const ROOT: FdId = FdId(1);

impl Session {
    fn new() -> Self {
        Session::with(RecorderOptions::default())
    }

    /// A trace that begins with the mount of [`ROOT`].
    fn with(options: RecorderOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let facts = Facts::new().with("backend", "mem:");
        let recorder = Recorder::create(&directory.path().join("trace"), &facts, options).unwrap();
        let mut session = Session { recorder, millis: 0, directory };
        let mount = MountResp {
            root: inode(ROOT, 0o40_755),
            max_message_size: 1 << 20,
            supported: Array::new(&[1, 3, 5]).unwrap(),
        };
        session.answered(&MountReq {}, &mount, 10);
        session
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("trace")
    }

    fn exchange(&mut self, message: MessageId, micros: u64) -> Exchange {
        self.millis += 1;
        let started = self.recorder.started() + Duration::from_millis(self.millis);
        Exchange::new(message, 2, started, Duration::from_micros(micros))
    }

    fn raw<'q, Q: Message<'q>>(&mut self, request: &Q, refused: bool, answer: &[u8], fds: usize, micros: u64) {
        let exchange = self.exchange(Q::ID, micros);
        let outcome = Outcome::Answered { refused, payload: IoSource::from(answer), fds };
        self.recorder.record(&exchange, request, &outcome);
    }

    fn answered<'q, 'a>(&mut self, request: &impl Message<'q>, answer: &impl Wire<'a>, micros: u64) {
        self.raw(request, false, &bytes(answer), 0, micros);
    }

    fn refused<'q>(&mut self, request: &impl Message<'q>, errno: i32, micros: u64) {
        let errno = errno.unsigned_abs();
        self.raw(request, true, &bytes(&ErrorResp { errno }), 0, micros);
    }

    fn unanswered<'q, Q: Message<'q>>(&mut self, request: &Q, why: NoAnswer) {
        let exchange = self.exchange(Q::ID, 1000);
        self.recorder.record(&exchange, request, &Outcome::Unanswered(why));
    }

    /// Walks from `dir` to `name`, which is `fd` from then on.
    fn walk(&mut self, dir: FdId, name: &str, fd: u64, mode: u16) -> FdId {
        let path = StringArrayBuf::collect([name.as_bytes()]).unwrap();
        let inodes = [inode(FdId(fd), mode)];
        let answer = WalkResp { status: WalkStatus::Success as u8, inodes: Array::new(&inodes).unwrap() };
        self.answered(&WalkReq { dir, path: path.as_array() }, &answer, 20);
        FdId(fd)
    }

    fn stat(&mut self, fd: FdId, micros: u64) {
        self.answered(&FStatReq { fd }, &inode(fd, 0o100_644).stat, micros);
    }

    fn open(&mut self, fd: FdId, as_fd: u64) -> FdId {
        let request = OpenAtReq { fd, flags: 0, pad: Pad };
        self.answered(&request, &OpenAtResp { open_fd: FdId(as_fd) }, 30);
        FdId(as_fd)
    }

    fn read(&mut self, fd: FdId, data: &[u8]) {
        let request = PReadReq { offset: 0, fd, count: 4096, pad: Pad };
        self.answered(&request, &PReadResp { data }, 40);
    }

    /// Ends the trace, and returns the file.
    fn finished(self) -> Finished {
        self.recorder.finish().unwrap();
        Finished { path: self.path(), _directory: self.directory }
    }
}

/// A trace.
struct Finished {
    path: PathBuf,
    _directory: TempDir,
}

impl Finished {
    fn path(&self) -> &Path {
        &self.path
    }
}

fn bytes<'a>(message: &impl Wire<'a>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes).unwrap();
    bytes
}

fn inode(control_fd: FdId, mode: u16) -> Inode {
    let (mask, ino) = (StatxMask::BASIC_STATS, 100 + control_fd.0);
    let stat = Statx { mask, mode, nlink: 1, size: 5, ino, ..Statx::default() };
    Inode { control_fd, stat }
}
