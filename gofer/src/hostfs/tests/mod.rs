//! Tests of the whole backend on directories of the host. They need root, as they change owners and identities.

mod attributes;
mod create;
mod io;
mod listing;
mod names;
mod process;
mod sockets;
mod special;
mod xattrs;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::Mode;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use tempfile::TempDir;

use super::{HostFs, HostOptions, SpecialFiles, UdsPolicy};
use lisafs::backend::{Access, Backend, ControlBox, ControlFile, Errno, NO_ID, Name, NewFile, OpenHow, Opened, Result};

lisafs::testing::suite!(suite, Capabilities::all(), || {
    let fixture = Fixture::open();
    Subject::new(fixture.fs).with(fixture.dir)
});

/// A directory and the root of a mount on it.
struct Fixture {
    dir: TempDir,
    fs: HostFs,
    root: ControlBox,
}

impl Fixture {
    fn new(options: HostOptions) -> Self {
        // Modes are ready made, see the module's documentation. It is the same for all tests.
        rustix::process::umask(Mode::empty());
        let dir = tempfile::tempdir().unwrap();
        let fs = HostFs::open(dir.path(), options).unwrap();
        let root = fs.attach().ok().unwrap().root.file;
        Fixture { dir, fs, root }
    }

    fn stock() -> Self {
        Self::new(HostOptions::default())
    }

    /// With everything allowed.
    fn open() -> Self {
        Self::new(HostOptions {
            special: SpecialFiles::Create,
            host_uds: UdsPolicy::All,
            host_fifo: true,
            char_devices: true,
            ..HostOptions::default()
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The file at `path`, one name after the other.
    fn walk(&self, path: &str) -> ControlBox {
        walk(&*self.root, path).unwrap()
    }
}

fn walk(from: &dyn ControlFile, path: &str) -> Result<ControlBox> {
    let mut names = path.split('/');
    let mut file = from.walk(name(names.next().unwrap()))?.file;
    for next in names {
        file = file.walk(name(next))?.file;
    }
    Ok(file)
}

fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

/// A new file of the server's own.
fn own(mode: u16) -> NewFile {
    NewFile::new(mode.into(), NO_ID, NO_ID)
}

fn owned(mode: u16, uid: u32, gid: u32) -> NewFile {
    NewFile::new(mode.into(), uid, gid)
}

fn open(file: &dyn ControlFile, access: Access) -> Result<Opened> {
    file.open(OpenHow::new(access))
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn owner(path: &Path) -> (u32, u32) {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// The error of something whose success cannot be printed.
fn error<T>(result: Result<T>) -> Option<Errno> {
    result.err().map(|error| error.errno())
}

/// Waits for what the kernel does when the last one who has a descriptor lets go of it. A child that another test
/// starts has all of ours for a moment.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::yield_now();
    }
}

const USER: u32 = 4242;

/// Runs `test` as an ordinary user with a group of the same number. Only this thread changes: identities are a
/// thread's.
fn as_user(test: impl FnOnce() + Send) {
    in_thread(|| {
        set_thread_groups(&[]).unwrap();
        let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        test();
    });
}

/// Runs `test` in a thread of its own, to whose end all that it changed of itself is gone.
fn in_thread(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        if let Err(panic) = scope.spawn(test).join() {
            std::panic::resume_unwind(panic);
        }
    });
}
