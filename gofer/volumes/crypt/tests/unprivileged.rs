//! What modes forbid the server itself, if it is not root's.

mod common;

use std::os::unix::fs::{MetadataExt, chown};
use std::thread;

use lisafs::backend::{Access, Backend, Errno, Mode, NO_ID, Name, NewFile, OpenHow, RenameFlags, Unlink};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use common::DEFAULT;
use common::change::{read, walk};

const USER: u32 = 65_534;

/// Runs `test` in a thread of another user.
fn as_user(test: impl FnOnce() + Send) {
    let user = || {
        set_thread_groups(&[]).unwrap();
        let (uid, gid) = (Uid::from_raw(USER), Gid::from_raw(USER));
        set_thread_res_gid(gid, gid, gid).unwrap();
        set_thread_res_uid(uid, uid, uid).unwrap();
        test();
    };
    thread::scope(|scope| {
        if let Err(panic) = scope.spawn(user).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

#[test]
fn an_owner_can_do_what_plain_files_would_allow() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can become somebody else");
        return;
    }
    rustix::process::umask(rustix::fs::Mode::empty());
    let directory = common::volume(DEFAULT);
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        chown(entry.unwrap().path(), Some(USER), Some(USER)).unwrap();
    }
    chown(directory.path(), Some(USER), Some(USER)).unwrap();
    as_user(|| {
        let volume = common::open(directory.path());
        let root = volume.attach().unwrap().root.file;
        let new = |mode| NewFile::new(Mode::new(mode), NO_ID, NO_ID);

        // What may only be written is read to change a part of a block.
        let file = root.create(name("file"), &new(0o200), Access::Write).unwrap().opened.file;
        assert_eq!(file.write_at((&b"hello there"[..]).into(), 0), Ok(11));
        let control = walk(&volume, "file");
        let opened = control.open(OpenHow::new(Access::Write)).unwrap().file;
        assert_eq!(opened.write_at((&b"HELLO"[..]).into(), 0), Ok(5));
        assert_eq!(control.stat().unwrap().mode & 0o7777, 0o200);
        assert_eq!(control.open(OpenHow::new(Access::Read)).map(|_| ()), Err(Errno::ACCESS.into()));
        let change = lisafs::backend::SetStat::new().mode(Mode::new(0o400));
        control.set_stat(&change).unwrap();
        assert_eq!(read(&control), b"HELLO there");
        assert_eq!(control.open(OpenHow::new(Access::Write)).map(|_| ()), Err(Errno::ACCESS.into()));

        // Directories have something in them, whatever their mode.
        for mode in [0o000, 0o555, 0o077] {
            assert_eq!(root.mkdir(name("dir"), &new(mode)).unwrap().stat.mode & 0o7777, mode);
            root.unlink(name("dir"), Unlink::Directory).unwrap();
        }
        let full = root.mkdir(name("full"), &new(0o700)).unwrap().file;
        full.create(name("inside"), &new(0o600), Access::Read).unwrap();
        full.set_stat(&lisafs::backend::SetStat::new().mode(Mode::new(0o500))).unwrap();
        assert_eq!(root.unlink(name("full"), Unlink::Directory), Err(Errno::NOTEMPTY.into()));
        assert_eq!(full.stat().unwrap().mode & 0o7777, 0o500);
        root.mkdir(name("empty"), &new(0o000)).unwrap();
        full.set_stat(&lisafs::backend::SetStat::new().mode(Mode::new(0o700))).unwrap();
        root.rename(name("full"), &*root, name("empty"), RenameFlags::Replace).unwrap();
        walk(&volume, "empty").walk(name("inside")).unwrap();
    });
    let owners = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().uid());
    assert!(owners.into_iter().all(|owner| owner == USER));
}
