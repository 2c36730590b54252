//! Idle files are given up, and nobody who is in one of them notices; and files have more names than there are
//! descriptors.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::{check, command, host, process, scratch, skip};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::mount::{MountFlags, UnmountFlags, mount as mount_at, mount_bind, unmount};

const LIMIT: Duration = Duration::from_secs(60);

/// How many files there are, and how many may be known.
const FILES: usize = 800;
const KNOWN: &str = "100";

/// Of Debian's package `busybox-static`.
const BUSYBOX: &str = "/bin/busybox";

/// Something mounted in a test.
struct Inner(PathBuf);

impl Drop for Inner {
    fn drop(&mut self) {
        _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// A process in a directory, which says where that is when it is asked to.
struct Dweller(Child);

impl Dweller {
    fn in_directory(directory: &Path) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo; read go; /bin/pwd; cat inside"]).current_dir(directory);
        Self::start(&mut shell)
    }

    /// In a root directory and a mount namespace of its own, as a container's process is.
    fn in_root(root: &Path) -> Result<Self> {
        fs::copy(BUSYBOX, root.join("busybox")).with_context(|| format!("{BUSYBOX}: run `cargo xtask setup`"))?;
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "chroot"]).arg(root);
        shell.args(["/busybox", "sh", "-c", "echo; read go; pwd; /busybox cat /inside"]);
        Self::start(&mut shell)
    }

    fn start(shell: &mut Command) -> Result<Self> {
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        // It is there.
        child.stdout.as_mut().context("no pipe")?.read_exact(&mut [0])?;
        Ok(Self(child))
    }

    fn look(mut self) -> Result<String> {
        self.0.stdin.take().context("no pipe")?.write_all(b"go\n")?;
        let mut said = String::new();
        self.0.stdout.take().context("no pipe")?.read_to_string(&mut said)?;
        Ok(said)
    }
}

impl Drop for Dweller {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Looks at many files, more than once, so that others are idle for long.
fn walk(many: &Path) -> Result<()> {
    for _ in 0..3 {
        for number in 0..FILES {
            fs::symlink_metadata(many.join(number.to_string()))?;
        }
    }
    Ok(())
}

/// The names that an inotify instance has seen appear.
fn created(watch: &OwnedFd) -> Result<Vec<String>> {
    let mut room = [MaybeUninit::uninit(); 1024];
    let mut events = inotify::Reader::new(watch.as_fd(), &mut room);
    let mut names = Vec::new();
    loop {
        match events.next() {
            Ok(event) if event.events().contains(inotify::ReadFlags::CREATE) => {
                names.extend(event.file_name().map(|name| name.to_string_lossy().into_owned()));
            }
            Ok(event) => names.push(format!("{:?}", event.events())),
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(names),
            Err(error) => bail!("inotify: {error}"),
        }
    }
}

fn nobody_is_disturbed(access: Access, backend: impl AsRef<std::ffi::OsStr>, options: &[&str]) -> Result<()> {
    if !host::is_root() {
        skip!("mounting needs root");
    }
    let outside = scratch::memory()?;
    let file = outside.path().join("file");
    fs::write(&file, "from outside")?;
    let mut bridge = mount::command(Io::Auto, access)?;
    bridge.args(["--max-nodes", KNOWN]).args(options).arg(backend);
    let mount = Mount::start(&mut bridge)?;
    let at = |name: &str| mount.path().join(name);
    for directory in ["many", "tmpfs", "bound", "lower", "cwd", "root", "held", "watched", "deep"] {
        fs::create_dir(at(directory))?;
        fs::write(at(directory).join("inside"), directory)?;
    }
    fs::create_dir_all(at("deep/a/b/c"))?;
    fs::write(at("target"), "below")?;
    for number in 0..FILES {
        File::create(at("many").join(number.to_string()))?;
    }
    let elsewhere = |name: &str| -> Result<PathBuf> {
        let path = outside.path().join(name);
        fs::create_dir(&path)?;
        Ok(path)
    };

    // Mounts in it, of it, and over it.
    mount_at("inner", at("tmpfs"), c"tmpfs", MountFlags::empty(), None)?;
    let _tmpfs = Inner(at("tmpfs"));
    fs::write(at("tmpfs/inside"), "inner")?;
    mount_bind(&file, at("target"))?;
    let _target = Inner(at("target"));
    let bound = elsewhere("bound")?;
    mount_bind(at("bound"), &bound)?;
    let _bound = Inner(bound.clone());
    let (upper, work, merged) = (elsewhere("upper")?, elsewhere("work")?, elsewhere("merged")?);
    let layers = format!("lowerdir={},upperdir={},workdir={}", at("lower").display(), upper.display(), work.display());
    let mut overlay = Command::new("mount");
    overlay.args(["-t", "overlay", "none", "-o", &layers]).arg(&merged);
    command::succeed(&mut overlay, LIMIT)?;
    let _merged = Inner(merged.clone());

    // Those who are in it.
    let dweller = Dweller::in_directory(&at("cwd"))?;
    let deep = Dweller::in_directory(&at("deep/a/b/c"))?;
    let contained = Dweller::in_root(&at("root"))?;
    let held = open(at("held"), OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let watch = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    inotify::add_watch(&watch, at("watched"), WatchFlags::CREATE | WatchFlags::DELETE_SELF)?;

    walk(&at("many"))?;

    check::equal("the mount inside", &host::mounted(&at("tmpfs"))?.as_deref(), &Some("tmpfs"))?;
    check::equal("in it", &fs::read_to_string(at("tmpfs/inside"))?.as_str(), &"inner")?;
    check::equal("the file on a file", &fs::read_to_string(at("target"))?.as_str(), &"from outside")?;
    check::equal("seen elsewhere", &fs::read_to_string(bound.join("inside"))?.as_str(), &"bound")?;
    fs::write(bound.join("new"), "")?;
    check::holds("new in both", at("bound/new").exists())?;
    check::equal("in the overlay", &fs::read_to_string(merged.join("inside"))?.as_str(), &"lower")?;
    let said = dweller.look()?;
    check::equal("working directory", &said, &format!("{}\ncwd", at("cwd").display()))?;
    check::equal("a deeper one", &deep.look()?, &format!("{}\n", at("deep/a/b/c").display()))?;
    check::equal("a root directory", &contained.look()?.as_str(), &"/\nroot")?;
    let link = fs::read_link(format!("/proc/self/fd/{}", held.as_raw_fd()))?;
    check::equal("a path descriptor", &link, &at("held"))?;
    let mut inside = String::new();
    File::from(openat(&held, "inside", OFlags::RDONLY, Mode::empty())?).read_to_string(&mut inside)?;
    check::equal("through it", &inside.as_str(), &"held")?;
    fs::write(at("watched/new"), "")?;
    check::equal("seen by a watch", &created(&watch)?, &vec!["new".to_owned()])?;

    // All of it can end in order, which it could not if names led elsewhere by now.
    drop((_tmpfs, _target, _bound, _merged, held, watch));
    check::equal("what is below", &fs::read_to_string(at("target"))?.as_str(), &"below")?;
    fs::remove_dir_all(at("deep"))?;
    mount.unmount()
}

#[test]
fn nobody_is_disturbed_in_exclusive_mode() -> Result<()> {
    let served = scratch::memory()?;
    nobody_is_disturbed(Access::Exclusive, mount::backend(served.path()), &[])
}

#[test]
fn nobody_is_disturbed_in_shared_mode() -> Result<()> {
    let served = scratch::memory()?;
    nobody_is_disturbed(Access::Shared, mount::backend(served.path()), &[])
}

#[test]
fn nobody_is_disturbed_while_names_are_trusted_for_a_while() -> Result<()> {
    let served = scratch::memory()?;
    nobody_is_disturbed(Access::Shared, mount::backend(served.path()), &["--ttl", "1"])
}

#[test]
fn nobody_is_disturbed_on_files_in_memory() -> Result<()> {
    nobody_is_disturbed(Access::Shared, "mem:", &[])
}

#[test]
fn a_working_directory_that_is_removed_is_still_there_for_who_is_in_it() -> Result<()> {
    let served = scratch::memory()?;
    let mut bridge = mount::command(Io::Auto, Access::Exclusive)?;
    bridge.args(["--max-nodes", KNOWN]).arg(mount::backend(served.path()));
    let mount = Mount::start(&mut bridge)?;
    fs::create_dir(mount.path().join("many"))?;
    for number in 0..FILES {
        File::create(mount.path().join("many").join(number.to_string()))?;
    }
    for replaces in [false, true] {
        let (gone, other) = (mount.path().join("gone"), mount.path().join("other"));
        fs::create_dir(&gone)?;
        fs::create_dir(&other)?;
        let held = open(&gone, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        walk(&mount.path().join("many"))?;
        if replaces {
            fs::rename(&other, &gone)?;
        } else {
            fs::remove_dir(&gone)?;
        }
        let stat = rustix::fs::fstat(&held).context("of a directory that is gone")?;
        check::equal("links", &stat.st_nlink, &0)?;
        _ = fs::remove_dir(&gone);
        _ = fs::remove_dir(&other);
    }
    mount.unmount()
}

#[test]
fn a_file_has_more_names_than_there_are_descriptors() -> Result<()> {
    const NAMES: usize = 1500;
    let served = scratch::memory()?;
    let links = served.path().join("links");
    fs::create_dir(&links)?;
    fs::write(links.join("0"), "content")?;
    for number in 1..NAMES {
        fs::hard_link(links.join("0"), links.join(number.to_string()))?;
    }
    let mut bridge = mount::command(Io::Auto, Access::Shared)?;
    bridge.arg(mount::backend(served.path()));
    let mount = Mount::start(&mut process::with_descriptor_limit(&bridge, 1000))?;
    let found = || {
        let mut find = Command::new("find");
        find.arg(mount.path().join("links")).args(["-type", "f", "-links", "+5", "-printf", "."]);
        command::succeed(&mut find, LIMIT).map(|dots| dots.len())
    };
    check::equal("names", &found()?, &NAMES)?;
    fs::write(mount.path().join("new"), "new")?;
    for number in 0..NAMES {
        fs::hard_link(mount.path().join("links/0"), mount.path().join(format!("more-{number}")))?;
    }
    // The name that it was walked to by goes, and any other leads there.
    for number in 0..NAMES - 1 {
        fs::remove_file(mount.path().join("links").join(number.to_string()))?;
    }
    let last = mount.path().join("links").join((NAMES - 1).to_string());
    check::equal("content", &fs::read_to_string(&last)?.as_str(), &"content")?;
    for pid in process::family(mount.pid())? {
        check::holds("names take no descriptors", process::descriptors(pid)? < 500)?;
    }
    mount.unmount()
}

/// Opens `name` anew until that fails, or there are `most`.
fn open_many(name: &Path, most: usize) -> (Vec<File>, Option<std::io::Error>) {
    let mut files = Vec::new();
    while files.len() < most {
        match File::open(name) {
            Ok(file) => files.push(file),
            Err(error) => return (files, Some(error)),
        }
    }
    (files, None)
}

/// Lets this process have more files open than a bridge can.
fn raise_own_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("the limit of descriptors")
}

#[test]
fn who_opens_all_files_that_can_be_open_leaves_some_for_others() -> Result<()> {
    raise_own_limit()?;
    // With the server in its process, a mount has the descriptors of both.
    let places = [(Io::Auto, "in-process", 200), (Io::Rpc, "in-process", 200)];
    let places = places.into_iter().chain([Io::Auto, Io::Direct, Io::Rpc].map(|io| (io, "separate", 300)));
    for (io, place, least) in places {
        let served = scratch::memory()?;
        let mut bridge = mount::command(io, Access::Shared)?;
        bridge.args(["--server", place]).arg(mount::backend(served.path()));
        let mount = Mount::start(&mut process::with_descriptor_limit(&bridge, 1000))?;
        let file = mount.path().join("file");
        fs::write(&file, "content")?;
        let (mut files, error) = open_many(&file, 2000);
        let error = error.context("a limit")?;
        check::equal("error", &error.raw_os_error(), &Some(rustix::io::Errno::NFILE.raw_os_error()))?;
        let opened = files.len();
        check::holds(&format!("{opened} files were opened"), opened > least)?;
        // Each of these took seconds once. What was written above counts until its RELEASE is answered, for which
        // `close` does not wait: one of them may have its place.
        for _ in 0..100 {
            match File::open(&file) {
                Ok(more) if files.len() == opened => files.push(more),
                more => check::fails("one more", more, &[rustix::io::Errno::NFILE])?,
            }
        }
        let script =
            "for i in $(seq 20); do echo $i > new-$i && mkdir dir-$i && ln new-$i dir-$i/link; done && cat file";
        let said = command::shell(mount.path(), script, LIMIT).context("a neighbour")?;
        check::equal("what a neighbour reads", &said.as_str(), &"content")?;
        drop(files);
        // Also of directories.
        let (files, error) = open_many(mount.path(), 2000);
        check::holds(&format!("{} directories: {error:?}", files.len()), files.len() > least && error.is_some())?;
        command::shell(mount.path(), "mkdir more && ls more && cat file", LIMIT).context("a neighbour")?;
        drop(files);
        let (files, error) = open_many(&file, 200);
        check::holds(&format!("opening again: {error:?}"), files.len() == 200)?;
        drop(files);
        mount.unmount()?;
    }
    Ok(())
}

#[test]
fn files_in_memory_can_be_open_and_known_beyond_the_limit_of_descriptors() -> Result<()> {
    raise_own_limit()?;
    let mut bridge = mount::command(Io::Auto, Access::Exclusive)?;
    let mount = Mount::start(&mut process::with_descriptor_limit(bridge.arg("mem:"), 500))?;
    let files: Vec<File> = (0..1500)
        .map(|number| File::create(mount.path().join(format!("file-{number}"))))
        .collect::<Result<_, _>>()
        .context("many open files")?;
    for (number, file) in files.iter().enumerate() {
        (&*file).write_all(number.to_string().as_bytes())?;
    }
    drop(files);
    check::equal("content", &fs::read_to_string(mount.path().join("file-1234"))?.as_str(), &"1234")?;
    mount.unmount()
}
