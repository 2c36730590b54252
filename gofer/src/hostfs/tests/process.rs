//! Where the process stands: its root directory and its mounts.

use std::os::fd::AsFd;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::chroot;

use super::*;
use crate::hostfs::ProcFds;
use lisafs::backend::{DirEntry, DirSink, Error, IoSource, Mode, SetStat, SocketType, XattrFlags};

#[test]
fn everything_works_in_a_root_directory_without_proc() {
    let fixture = Fixture::stock();
    fixture.write("f", "content");
    in_thread(|| {
        let proc_fds = ProcFds::new().unwrap();
        unshare(CloneFlags::CLONE_FS).unwrap();
        chroot(fixture.dir.path()).unwrap();
        std::env::set_current_dir("/").unwrap();
        assert!(!exists(Path::new("/proc")));
        assert_eq!(ProcFds::new().err(), Some(rustix::io::Errno::NOENT));
        let options = HostOptions { host_uds: UdsPolicy::All, ..HostOptions::default() };
        let root_fd = std::fs::File::open("/").unwrap();
        let root = HostFs::with_proc_fds(root_fd.as_fd(), proc_fds, options).unwrap().attach().ok().unwrap().root.file;
        let file = walk(&*root, "f").unwrap();
        assert!(open(&*file, Access::ReadWrite).is_ok());
        assert_eq!(file.set_stat(&SetStat::new().mode(Mode::new(0o4600)).size(2)), Ok(()));
        assert!(root.link(name("g"), &*file).is_ok());
        let bound = root.bind(name("s"), &own(0o600), SocketType::Stream).ok().unwrap();
        bound.socket.listen(1).unwrap();
        assert!(bound.found.file.connect(None, None).is_ok());
        // Old kernels need a path for this.
        if file.set_xattr(b"user.a", b"1", XattrFlags::empty()) == Err(Error::NOENT) {
            eprintln!("skipped extended attributes, because this kernel has no setxattrat");
        }
    });
    assert_eq!(mode(&fixture.path("g")), 0o4600);
}

/// Runs `test` with a small file system in the fixture's directory "m".
fn with_mount(fixture: &Fixture, test: impl FnOnce() + Send) {
    let place = fixture.path("m");
    std::fs::create_dir(&place).unwrap();
    in_thread(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount::<str, str, str, str>(None, "/", None, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None).unwrap();
        mount(Some("none"), &place, Some("tmpfs"), MsFlags::empty(), Some("size=1m")).unwrap();
        test();
    });
}

#[test]
fn a_write_that_does_not_fit_is_short_and_the_next_fails() {
    let fixture = Fixture::stock();
    with_mount(&fixture, || {
        let root = HostFs::open(&fixture.path("m"), HostOptions::default()).unwrap().attach().ok().unwrap().root.file;
        let file = root.create(name("f"), &own(0o600), Access::Write).ok().unwrap().opened.file;
        let data = vec![1; 2 << 20];
        let len = file.write_at(IoSource::from(&data[..]), 0).unwrap();
        assert_eq!(len, 1 << 20);
        assert_eq!(file.write_at(IoSource::from(&data[len..]), len as u64), Err(Error::NOSPC));
        assert_eq!(file.stat().unwrap().size, len as u64);
    });
}

#[test]
fn a_mount_point_is_listed_as_what_is_mounted_there() {
    struct Only(Option<(u64, (u32, u32))>);
    impl DirSink for Only {
        fn add(&mut self, entry: &DirEntry<'_>) -> bool {
            self.0 = Some((entry.ino, entry.dev));
            true
        }
    }
    let fixture = Fixture::stock();
    with_mount(&fixture, || {
        let root = HostFs::open(fixture.dir.path(), HostOptions::default()).unwrap().attach().ok().unwrap().root;
        let stat = root.file.walk(name("m")).ok().unwrap().stat;
        let mut only = Only(None);
        open(&*root.file, Access::Read).ok().unwrap().file.read_dir(0, &mut only).unwrap();
        assert_eq!(only.0, Some((stat.ino, (stat.dev_major, stat.dev_minor))));
        assert_ne!((stat.dev_major, stat.dev_minor), (root.stat.dev_major, root.stat.dev_minor));
    });
}

/// The kernel's debugfs has such a directory; those of network file systems and of mount daemons are entered the same
/// way.
#[test]
fn what_is_mounted_on_demand_is_mounted_by_walking_there() {
    let fixture = Fixture::stock();
    with_mount(&fixture, || {
        let place = fixture.path("m");
        let mounted = mount(Some("none"), &place, Some("debugfs"), MsFlags::empty(), None::<&str>);
        // Looking at it by its name would mount it.
        let mut entries = std::fs::read_dir(&place).unwrap();
        if mounted.is_err() || !entries.any(|entry| entry.unwrap().file_name() == "tracing") {
            return eprintln!("skipped, because this kernel has no debugfs with tracing");
        }
        let root = HostFs::open(&place, HostOptions::default()).unwrap().attach().ok().unwrap().root;
        let path = ["tracing", "trace_clock"].map(name);
        let mut seen = Vec::new();
        root.file.walk_stat(&mut path.into_iter(), &mut |stat| seen.push(stat)).unwrap();
        assert_eq!(seen.len(), path.len());
        let tracing = root.file.walk(path[0]).ok().unwrap();
        assert_eq!((tracing.stat.ino, tracing.stat.dev_minor), (seen[0].ino, seen[0].dev_minor));
        assert_ne!(tracing.stat.dev_minor, root.stat.dev_minor);
        assert!(tracing.file.walk(path[1]).is_ok());
    });
}

#[test]
fn a_value_that_no_answer_can_carry_is_an_error() {
    let fixture = Fixture::stock();
    with_mount(&fixture, || {
        let root = HostFs::open(&fixture.path("m"), HostOptions::default()).unwrap().attach().ok().unwrap().root.file;
        let file = root.create(name("f"), &own(0o600), Access::Read).ok().unwrap().found.file;
        if file.set_xattr(b"user.a", &[1; 65_535], XattrFlags::empty()) == Err(Error::OPNOTSUPP) {
            return eprintln!("skipped, because this kernel's tmpfs has no extended attributes for users");
        }
        assert_eq!(file.get_xattr(b"user.a").map(|value| value.len()), Ok(65_535));
        file.set_xattr(b"user.a", &[1; 65_536], XattrFlags::empty()).unwrap();
        assert_eq!(file.get_xattr(b"user.a"), Err(Error::RANGE));
    });
}
