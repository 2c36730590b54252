//! Servers that end and come back under a mount: `--reconnect`.

use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::{bins, check, command, process, scratch, wait};
use rustix::io::Errno;
use rustix::process::Signal;
use tempfile::TempDir;

/// For everything that takes milliseconds when all is well.
const LIMIT: Duration = Duration::from_secs(60);

/// Names how many restarts there are to be in each mode; `cargo xtask kill-servers` sets it.
const VARIABLE: &str = "SERVER_KILLS";

/// How many restarts there are to be in each mode.
fn restarts() -> Result<u64> {
    std::env::var(VARIABLE).map_or(Ok(25), |text| Ok(text.parse()?))
}

/// Some number below `end`.
fn any(end: u64) -> u64 {
    RandomState::new().hash_one(0) % end
}

/// A directory that a server on a socket serves, which can be killed.
struct Served {
    directory: TempDir,
    /// What is wrong with it, as parameters of `fault:`.
    fault: Option<&'static str>,
    socket: PathBuf,
    server: Option<Child>,
    _place: TempDir,
}

impl Served {
    fn new() -> Result<Self> {
        Self::on(scratch::memory()?)
    }

    fn on(directory: TempDir) -> Result<Self> {
        let place = scratch::memory()?;
        let socket = place.path().join("socket");
        let mut served = Served { directory, fault: None, socket, server: None, _place: place };
        served.start()?;
        served.is_there()?;
        Ok(served)
    }

    fn is_there(&self) -> Result<()> {
        wait::until("the server", LIMIT, || std::os::unix::net::UnixStream::connect(&self.socket).is_ok())
    }

    /// Starts it again with something wrong, or with nothing.
    fn restart_with(&mut self, fault: Option<&'static str>) -> Result<()> {
        self.kill()?;
        self.fault = fault;
        self.start()?;
        self.is_there()
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the server, which may take a while to be there.
    fn start(&mut self) -> Result<()> {
        let mut gofer = Command::new(bins::gofer()?);
        gofer.args(["serve", "--socket"]).arg(&self.socket).stdin(Stdio::null());
        match self.fault {
            Some(fault) => gofer.arg(format!("fault:{}?{fault}", self.path().display())),
            None => gofer.arg(self.path()),
        };
        self.server = Some(gofer.spawn()?);
        Ok(())
    }

    /// Kills it.
    fn kill(&mut self) -> Result<()> {
        let mut server = self.server.take().context("no server")?;
        server.kill()?;
        server.wait()?;
        Ok(())
    }

    fn mount(&self, io: Io, access: Access, options: &[&str]) -> Result<Mount> {
        let mut command = mount::command(io, access)?;
        command.arg("--reconnect").args(options).arg(format!("unix:{}", self.socket.display()));
        Mount::start(&mut command)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if self.server.is_some() {
            _ = self.kill();
        }
    }
}

/// What is done in a mount, with the number of the time.
type Step = fn(&Path, u64) -> Result<()>;

/// Something that is done all the time, and how often it has been.
struct Worker {
    name: &'static str,
    step: Step,
    done: AtomicU64,
}

/// Content that nobody mistakes for any other.
fn content(number: u64) -> Vec<u8> {
    (0..512).flat_map(|word| (number << 16 | word).to_le_bytes()).collect()
}

/// Bytes of it.
const BLOCK: u64 = 4096;

thread_local! {
    /// What a worker keeps open from the beginning to the end.
    static OPEN: std::cell::OnceCell<File> = const { std::cell::OnceCell::new() };
}

/// Does `f` with the file that this thread has opened at first by `open`.
fn with_open<T>(open: impl FnOnce() -> io::Result<File>, f: impl FnOnce(&File) -> Result<T>) -> Result<T> {
    OPEN.with(|cell| {
        if cell.get().is_none() {
            let _ = cell.set(open()?);
        }
        f(cell.get().context("just set")?)
    })
}

/// Overwrites blocks of an open file, and reads what was written there the last time.
fn overwrite(root: &Path, number: u64) -> Result<()> {
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(root.join("blocks"));
    with_open(open, |file| {
        file.write_all_at(&content(number), number % 16 * BLOCK)?;
        let mut block = vec![0; usize::try_from(BLOCK)?];
        let before = number.saturating_sub(any(16));
        file.read_exact_at(&mut block, before % 16 * BLOCK)?;
        ensure!(block == content(before), "block {before} has the content of {:?}", &block[..8]);
        Ok(())
    })
}

/// Appends to an open file.
fn append(root: &Path, number: u64) -> Result<()> {
    let open = || OpenOptions::new().append(true).create(true).open(root.join("appended"));
    with_open(open, |mut file| {
        file.write_all(&number.to_le_bytes())?;
        if number.is_multiple_of(8) {
            file.sync_all()?;
        }
        Ok(())
    })
}

/// How many files there are to be read.
const FILES: u64 = 20;

/// Where the one with this number is.
fn place(number: u64) -> PathBuf {
    format!("read/{}/{}/{number}", number % 2, number % 4).into()
}

/// Looks for files by their names, lists their directories, and reads them.
fn look(root: &Path, number: u64) -> Result<()> {
    let number = number % FILES;
    let path = root.join(place(number));
    check::equal("size", &fs::metadata(&path)?.len(), &BLOCK)?;
    ensure!(fs::read(&path)? == content(number), "{} has other content", path.display());
    let listed = fs::read_dir(path.parent().context("no parent")?)?.collect::<io::Result<Vec<_>>>()?;
    check::equal("entries", &listed.len(), &5)
}

/// Changes names. `may_be_others`: a file or directory that is there may be somebody else's. So whether one was made when
/// the server ended nobody knows, which is an error.
fn change_names(root: &Path, number: u64, may_be_others: bool) -> Result<()> {
    let at = |name: &str| root.join(format!("{name}{number}"));
    let is_made = |made: io::Result<()>| match made {
        Err(error) if may_be_others && error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(false),
        made => made.map(|()| true),
    };
    let (new, target) = (at("new"), root.join("target"));
    if !is_made(File::create_new(&new).map(drop)).context("create")? && !new.exists() {
        return Ok(());
    }
    fs::write(&new, content(number)).context("write")?;
    fs::rename(&new, &target).context("rename")?;
    check::holds("the old name is gone", !new.exists())?;
    check::holds("content moves with its name", fs::read(&target)? == content(number))?;
    let (link, linked, directory, moved) = (at("link"), at("linked"), at("directory"), at("moved"));
    std::os::unix::fs::symlink("target", &link).context("symlink")?;
    fs::hard_link(&target, &linked).context("link")?;
    check::holds("a link leads there", fs::read(&link)? == fs::read(&linked)?)?;
    if is_made(fs::create_dir(&directory)).context("mkdir")? {
        fs::rename(&directory, &moved).context("rename of a directory")?;
        fs::remove_dir(&moved).context("rmdir")?;
        check::holds("it is gone", !moved.exists() && !directory.exists())?;
    }
    for file in [link, linked] {
        fs::remove_file(&file).context("unlink")?;
        check::holds("it is gone", !file.exists())?;
    }
    Ok(())
}

/// Changes names that others may change, too.
fn change(root: &Path, number: u64) -> Result<()> {
    change_names(root, number, true)
}

/// Changes names that nobody else does: nothing is unsure.
fn change_alone(root: &Path, number: u64) -> Result<()> {
    change_names(root, number, false)
}

/// Works until `is_over`.
fn work(worker: &Worker, root: &Path, is_over: &AtomicBool) -> Result<()> {
    while !is_over.load(Ordering::Relaxed) {
        let number = worker.done.load(Ordering::Relaxed);
        (worker.step)(root, number).with_context(|| format!("{} {number}", worker.name))?;
        worker.done.store(number + 1, Ordering::Relaxed);
    }
    Ok(())
}

/// Restarts a server while all is done on a mount of it that can be.
fn under_load(io: Io, access: Access) -> Result<()> {
    let mut served = Served::new()?;
    for number in 0..FILES {
        let path = served.path().join(place(number));
        fs::create_dir_all(path.parent().context("no parent")?)?;
        fs::write(path, content(number))?;
    }
    let mount = served.mount(io, access, &[])?;
    let change: Step = if access == Access::Exclusive { change_alone } else { change };
    let steps: [(_, Step); 4] = [("overwrite", overwrite), ("append", append), ("look", look), ("change", change)];
    let workers = steps.map(|(name, step)| Worker { name, step, done: AtomicU64::new(0) });
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads: Vec<_> =
            workers.iter().map(|worker| scope.spawn(|| work(worker, mount.path(), &is_over))).collect();
        let restart = |_| -> Result<()> {
            let before = workers.each_ref().map(|worker| worker.done.load(Ordering::Relaxed) + 1 + any(10));
            wait::until("everybody gets on", LIMIT, || {
                let mut pairs = workers.iter().zip(before);
                threads.iter().any(|thread| thread.is_finished())
                    || pairs.all(|(worker, enough)| worker.done.load(Ordering::Relaxed) >= enough)
            })?;
            served.kill()?;
            served.start()
        };
        let restarted = (0..restarts()?).try_for_each(restart);
        is_over.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
        }
        restarted
    })
    .with_context(|| mount.warnings())?;
    let [overwritten, appended, ..] = workers.map(|worker| worker.done.into_inner());
    let blocks = fs::read(served.path().join("blocks"))?;
    for number in overwritten.saturating_sub(16)..overwritten {
        let start = usize::try_from(number % 16 * BLOCK)?;
        let wanted = content(number);
        ensure!(blocks[start..start + wanted.len()] == wanted, "block {number} is another one");
    }
    let numbers: Vec<u8> = (0..appended).flat_map(u64::to_le_bytes).collect();
    ensure!(fs::read(served.path().join("appended"))? == numbers, "something was appended twice, or not at all");
    let warnings = mount.unmount_and_hear()?;
    check::equal("restarts", &(warnings.matches("the server is back").count() as u64), &restarts()?)
}

#[test]
fn nothing_goes_wrong_under_load() -> Result<()> {
    under_load(Io::Rpc, Access::Shared)
}

#[test]
fn nothing_goes_wrong_under_load_with_caches_and_donated_files() -> Result<()> {
    under_load(Io::Auto, Access::Exclusive)
}

/// Each change of names, by servers of which each ends when it has made one, and before it has said so.
fn changes_of_dying_servers(access: Access) -> Result<()> {
    let directory = scratch::memory()?;
    let fault = ["create", "mkdir", "mknod", "symlink", "link", "unlink", "rename"].map(|call| format!("exit={call}"));
    let backend = format!(
        "exec:exec {} serve --fd 3 --client kernel 'fault:{}?{}'",
        bins::gofer()?.display(),
        directory.path().display(),
        fault.join("&")
    );
    let mount = Mount::start(mount::command(Io::Auto, access)?.arg("--reconnect").arg(backend))?;
    let at = |name: &str| mount.path().join(name);
    fs::write(at("file"), "content").context("create")?;
    std::os::unix::fs::symlink("file", at("symlink")).context("symlink")?;
    fs::hard_link(at("file"), at("link")).context("link")?;
    fs::rename(at("link"), at("moved")).context("rename")?;
    fs::remove_file(at("symlink")).context("unlink")?;
    let mut changes = 5;
    if access == Access::Exclusive {
        fs::create_dir(at("directory")).context("mkdir")?;
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), fifo, mode, 0).context("mknod")?;
        File::create_new(at("new")).context("create")?.write_all(b"content")?;
        fs::rename(at("new"), at("directory/new")).context("rename")?;
        changes += 4;
    } else {
        // Somebody else may have made them.
        check::fails("mkdir", fs::create_dir(at("directory")), &[Errno::IO])?;
        check::fails("create", File::create_new(at("new")), &[Errno::IO])?;
        changes += 2;
    }
    let seen = names_in(mount.path())?;
    check::equal("names", &seen, &names_in(directory.path())?)?;
    let wanted: &[&str] = match access {
        Access::Exclusive => &["directory", "directory/new", "fifo", "file", "moved"],
        Access::Shared => &["directory", "file", "moved", "new"],
    };
    check::equal("names", &seen.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), &wanted)?;
    check::equal("links", &fs::metadata(at("file"))?.nlink(), &2)?;
    check::equal("content", &fs::read_to_string(at("moved"))?.as_str(), &"content")?;
    let warnings = mount.unmount_and_hear()?;
    check::equal(&warnings, &warnings.matches("the server is back").count(), &changes)
}

/// All names below `directory`.
fn names_in(directory: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if entry.file_type()?.is_dir() {
            names.extend(names_in(&entry.path())?.iter().map(|below| format!("{name}/{below}")));
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

#[test]
fn changes_are_made_once_by_servers_that_end_before_they_answer() -> Result<()> {
    changes_of_dying_servers(Access::Exclusive)?;
    changes_of_dying_servers(Access::Shared)
}

#[test]
fn names_of_an_unsure_change_are_not_believed() -> Result<()> {
    let mut served = Served::new()?;
    let mount = served.mount(Io::Auto, Access::Exclusive, &["--time-limit", "1"])?;
    let at = |name: &str| mount.path().join(name);
    fs::write(at("old"), "content")?;
    check::holds("the kernel knows both names", at("old").exists() && !at("new").exists() && !at("made").exists())?;
    served.restart_with(Some("exit=rename&exit=mkdir"))?;
    check::fails("rename", fs::rename(at("old"), at("new")), &[Errno::IO])?;
    served.restart_with(Some("exit=mkdir"))?;
    wait::until("what has happened is seen", LIMIT, || !at("old").exists() && at("new").exists())?;
    check::equal("content", &fs::read_to_string(at("new"))?.as_str(), &"content")?;
    check::fails("mkdir", fs::create_dir(at("made")), &[Errno::IO])?;
    served.restart_with(None)?;
    wait::until("it is seen", LIMIT, || at("made").is_dir())?;
    mount.unmount()
}

#[test]
fn what_is_not_there_any_more_is_stale_and_locks_are_kept() -> Result<()> {
    let mut served = Served::new()?;
    let mount = served.mount(Io::Rpc, Access::Shared, &[])?;
    let root = mount.path();
    let open =
        |name: &str| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(root.join(name));
    fs::create_dir(root.join("d"))?;
    let (kept, unlinked, replaced) = (open("d/kept")?, open("unlinked")?, open("replaced")?);
    for file in [&kept, &unlinked, &replaced] {
        file.write_all_at(b"before", 0)?;
    }
    kept.lock()?;
    fs::remove_file(root.join("unlinked"))?;
    fs::rename(root.join("d"), root.join("e"))?;
    served.kill()?;
    fs::remove_file(served.path().join("replaced"))?;
    fs::write(served.path().join("replaced"), "another")?;
    served.start()?;
    let mut byte = [0];
    for file in [&unlinked, &replaced] {
        check::fails("read", file.read_at(&mut byte, 0), &[Errno::STALE, Errno::IO])?;
        check::fails("write", file.write_at(b"x", 0), &[Errno::STALE, Errno::IO])?;
    }
    check::equal("by its name", &fs::read_to_string(root.join("replaced"))?.as_str(), &"another")?;
    kept.write_all_at(b"after", 0)?;
    check::equal("where it was moved", &fs::read_to_string(root.join("e/kept"))?.as_str(), &"aftere")?;
    check::holds("the lock is held", open("e/kept")?.try_lock().is_err())?;
    drop((kept, unlinked, replaced));
    mount.unmount()
}

/// A killed server does not hold removed files any more, and their inode numbers go to others: here, unless other
/// programs get them first. Returns whether they have come here.
fn numbers_come_again(access: Access) -> Result<bool> {
    let mut served = Served::on(scratch::disk()?)?;
    let mount = served.mount(Io::Rpc, access, &[])?;
    let (root, below) = (mount.path(), served.path().to_path_buf());
    let removed = (0..16).map(|number| {
        let path = root.join("removed");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        file.write_all_at(&content(number), 0)?;
        let inode = fs::metadata(below.join("removed"))?.ino();
        fs::remove_file(&path)?;
        Ok((file, inode))
    });
    let removed: Vec<(File, u64)> = removed.collect::<Result<_>>()?;
    served.kill()?;
    served.start()?;
    let mut again = 0;
    for number in 0..64 {
        let name = format!("new{number}");
        fs::write(root.join(&name), content(100 + number))?;
        let stat = fs::metadata(root.join(&name))?;
        again += usize::from(
            removed.iter().any(|(_, inode)| *inode == fs::metadata(below.join(&name)).map_or(0, |stat| stat.ino())),
        );
        for (file, _) in &removed {
            // One that cannot be asked any more is told apart by that.
            check::holds("another number", file.metadata().map_or(true, |removed| removed.ino() != stat.ino()))?;
        }
    }
    for number in 0..64 {
        check::equal("content", &fs::read(root.join(format!("new{number}")))?, &content(100 + number))?;
    }
    for (number, (file, _)) in removed.iter().enumerate() {
        let mut block = vec![0; usize::try_from(BLOCK)?];
        match file.read_exact_at(&mut block, 0) {
            Ok(()) => check::holds("its own content", block == content(number as u64))?,
            failed => check::fails("read", failed, &[Errno::STALE, Errno::IO])?,
        }
    }
    drop(removed);
    mount.unmount()?;
    Ok(again > 0)
}

#[test]
fn another_file_with_the_number_of_a_removed_one_is_another_file() -> Result<()> {
    for access in [Access::Shared, Access::Exclusive] {
        let mut tries = (0..8).map(|_| numbers_come_again(access));
        let have_come = tries.find(|come| !matches!(come, Ok(false))).transpose()?.is_some();
        check::holds("the file system gives numbers again", have_come)?;
    }
    Ok(())
}

#[test]
fn calls_fail_when_the_server_does_not_come_back_and_work_when_it_does() -> Result<()> {
    let mut served = Served::new()?;
    let mount = served.mount(Io::Rpc, Access::Shared, &["--time-limit", "1"])?;
    let file = mount.path().join("file");
    fs::write(&file, "content")?;
    served.kill()?;
    let readers = [(); 3].map(|()| {
        let file = file.clone();
        thread::spawn(move || fs::read(file))
    });
    for reader in readers {
        let Ok(read) = reader.join() else { bail!("a reader panicked") };
        check::fails("read", read, &[Errno::IO])?;
    }
    check::fails("mkdir", fs::create_dir(mount.path().join("dir")), &[Errno::IO])?;
    served.start()?;
    wait::until("the server", LIMIT, || fs::read(&file).is_ok_and(|read| read == b"content"))?;
    let warnings = mount.unmount_and_hear()?;
    check::equal(&warnings, &warnings.matches("the server is not back within 1s").count(), &1)?;
    check::equal(&warnings, &warnings.lines().count(), &3)
}

#[test]
fn a_mount_ends_while_calls_wait_for_its_server() -> Result<()> {
    let mut served = Served::new()?;
    let mount = served.mount(Io::Rpc, Access::Shared, &[])?;
    served.kill()?;
    let path = mount.path().join("file");
    let waiting = thread::spawn(move || fs::metadata(path));
    wait::until("it waits", LIMIT, || mount.warnings().contains("the server is gone"))?;
    process::signal(mount.pid(), Signal::TERM);
    mount.ended_well()?;
    check::holds("a caller has an error", waiting.join().is_ok_and(|stat| stat.is_err()))
}

#[test]
fn a_command_is_started_again() -> Result<()> {
    let directory = scratch::memory()?;
    let backend = format!("exec:exec {} serve --fd 3 {}", bins::gofer()?.display(), directory.path().display());
    let mount = Mount::start(mount::command(Io::Rpc, Access::Shared)?.arg("--reconnect").arg(backend))?;
    let file = File::create_new(mount.path().join("file"))?;
    for round in 1..=3_u8 {
        let server = process::child_running(mount.pid(), "serve")?.context("no server")?;
        process::kill(server);
        file.write_all_at(&[round], u64::from(round) - 1)?;
        check::equal("content", &fs::read(mount.path().join("file"))?, &(1..=round).collect::<Vec<_>>())?;
    }
    drop(file);
    let server = process::child_running(mount.pid(), "serve")?.context("no server")?;
    mount.unmount()?;
    check::holds("the last one has ended", !process::alive(server))
}

#[test]
fn what_cannot_be_is_told_in_one_line() -> Result<()> {
    for (arguments, told) in [
        (&["mem:"][..], "needs a server that can be started again: unix:SOCKET or exec:COMMAND; leave it out"),
        (&["--transport", "fuser", "unix:/run/none"], "is impossible with --transport fuser; leave it out"),
    ] {
        let mut run = Command::new(bins::fusebridge()?);
        run.args(["run", "--reconnect"]).args(arguments).args(["--", "true"]);
        let outcome = command::run(&mut run, LIMIT)?;
        check::equal("stderr", &outcome.stderr, &format!("fusebridge: --reconnect {told}\n"))?;
        check::equal("exit status", &outcome.status.code().context("no status")?, &1)?;
    }
    Ok(())
}
