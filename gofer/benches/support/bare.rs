//! The system calls that an operation comes down to.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, openat, statx, unlinkat};

use super::files::Files;
use super::operation::Operation;

/// Makes the calls in this thread.
#[derive(Debug)]
pub(crate) struct Bare {
    dir: OwnedFd,
    file: File,
    /// The file without access to its data, which is what a control FD is.
    held: OwnedFd,
    buffer: Vec<u8>,
}

impl Bare {
    /// Opens what the calls need.
    pub(crate) fn new(files: &Files) -> Self {
        let hold = |path| openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("cannot open");
        Bare {
            dir: hold(files.dir()),
            file: File::open(files.path()).expect("cannot open"),
            held: hold(&files.path()),
            buffer: vec![0; Files::SIZE],
        }
    }

    /// The calls of `operation`, once.
    pub(crate) fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Stat => stat(&self.held),
            Operation::Walk => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                stat(&openat(&self.dir, Files::NAME, flags, Mode::empty()).expect("openat"));
            }
            Operation::Open => {
                let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                drop(openat(&self.dir, Files::NAME, flags, Mode::empty()).expect("openat"));
            }
            Operation::Read(bytes) => {
                let n = rustix::io::pread(&self.file, &mut self.buffer[..bytes as usize], 0).expect("pread");
                assert_eq!(n, bytes as usize);
            }
            Operation::Create => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let file = openat(&self.dir, Files::NEW, flags, Mode::RUSR | Mode::WUSR).expect("openat");
                unlinkat(&self.dir, Files::NEW, AtFlags::empty()).expect("unlinkat");
                drop(file);
            }
        }
    }
}

fn stat(file: &OwnedFd) {
    statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME).expect("statx");
}
