//! What breaks does so with the right error, in time, and leaves no mess.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::modes::{Access, Io, Transport};
use e2e::mount::{self, Mount, Point};
use e2e::scene::Scene;
use e2e::{check, command, host, process, scratch, skip, wait};
use rustix::io::Errno;
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(20);
/// Less than what a server that says nothing is given: 30 seconds.
const SOON: Duration = Duration::from_secs(25);

/// The server of a mount: the process below the bridge.
fn server(mount: &Mount) -> Result<u32> {
    let family = process::family(mount.pid())?;
    family.get(1).copied().context("the bridge has no child that serves")
}

/// Processes that use a mount. They are killed if they have not ended by themselves.
struct Users(Vec<Child>);

impl Users {
    /// Read, write, list and make files without end, until one of the calls fails.
    fn busy(directory: &Path) -> Result<Self> {
        fs::write(directory.join("data"), vec![1; 1 << 20])?;
        fs::create_dir(directory.join("many"))?;
        let mut users = Self(Vec::new());
        for script in [
            "while cat data > /dev/null; do :; done",
            "while dd if=/dev/zero of=out bs=64k count=64 conv=notrunc status=none; do :; done",
            "while ls -l many > /dev/null; do :; done",
            "i=0; while touch many/$((i % 100)); do i=$((i + 1)); done",
        ] {
            let mut shell = Command::new("sh");
            shell.args(["-c", script]).current_dir(directory);
            shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
            users.0.push(shell.spawn().context("a shell")?);
        }
        Ok(users)
    }

    /// Waits for the end of each.
    fn end(&mut self, limit: Duration) -> Result<()> {
        self.0.iter_mut().try_for_each(|user| command::exit_status(user, limit).map(drop))
    }
}

impl Drop for Users {
    fn drop(&mut self) {
        for user in &mut self.0 {
            process::kill_group(user.id());
            _ = user.wait();
        }
    }
}

/// The server goes away in the way that `kill` does it. Everything that waits ends, and the mount can be taken down.
fn server_lost(io: Io, transport: Transport, kill: impl FnOnce(u32)) -> Result<()> {
    let scene = Scene::separate(transport, io, Access::Exclusive)?;
    let mut users = Users::busy(scene.path())?;
    let served = scene.directory()?.join("many");
    wait::until("work is going on", LIMIT, || fs::read_dir(&served).is_ok_and(|entries| entries.count() > 10))?;
    let open = fs::File::open(scene.path().join("data"))?;
    let lost = server(scene.mount())?;

    let start = Instant::now();
    kill(lost);
    users.end(SOON).context("somebody still waits")?;
    let dead = [Errno::IO, Errno::NOTCONN];
    check::fails("a new name", fs::metadata(scene.path().join("unknown")).map(drop), &dead)?;
    check::fails("a new file", fs::write(scene.path().join("new"), "x"), &dead)?;
    check::fails(
        "a listing",
        fs::read_dir(scene.path()).and_then(|mut list| list.try_for_each(|e| e.map(drop))),
        &dead,
    )?;
    check::holds("errors come soon", start.elapsed() < SOON)?;
    if io != Io::Rpc {
        // Its data does not go by the server.
        let mut byte = [0];
        check::equal("bytes read of an open file", &open.read_at(&mut byte, 0)?, &1)?;
    }
    drop(open);

    let point = scene.path().to_path_buf();
    scene.mount().umount_command()?;
    check::equal("mounted", &host::mounted(&point)?, &None)
}

#[test]
fn the_server_is_killed() -> Result<()> {
    for transport in Transport::all() {
        for io in [Io::Auto, Io::Rpc] {
            let mode = || format!("with --io {} --transport {}", io.word(), transport.word());
            server_lost(io, transport, process::kill).with_context(mode)?;
        }
    }
    Ok(())
}

#[test]
fn the_bridge_is_killed() -> Result<()> {
    for transport in Transport::all() {
        for server in ["separate", "in-process"] {
            bridge_is_killed(transport, server).context(server)?;
        }
    }
    Ok(())
}

fn bridge_is_killed(transport: Transport, place: &str) -> Result<()> {
    let (served, point) = (scratch::memory()?, Point::new()?);
    fs::write(served.path().join("file"), "content")?;
    let mnt = || -> Result<Mount> {
        let mut command = mount::command(Io::Auto, Access::Exclusive)?;
        command.args(["--transport", transport.word(), "--server", place]);
        Mount::start(command.arg(mount::backend(served.path())).arg(point.path()))
    };
    let mut mount = mnt()?;
    let server = (place == "separate").then(|| server(&mount)).transpose()?;
    let held = fs::File::open(point.path().join("file"))?;
    process::kill(mount.pid());
    mount.ended()?;
    wait::until("the server follows", LIMIT, || server.is_none_or(|server| !process::alive(server)))?;
    let gone = [Errno::NOTCONN, Errno::IO, Errno::CONNABORTED];
    check::fails("the dead mount", fs::metadata(point.path().join("other")).map(drop), &gone)?;
    mount.umount_command()?;
    drop(held);
    check::equal("mounted", &host::mounted(point.path())?, &None)?;

    let again = mnt()?;
    check::equal("content", &fs::read_to_string(point.path().join("file"))?.as_str(), &"content")?;
    again.unmount()
}

#[test]
fn a_dead_mount_is_replaced_without_umount() -> Result<()> {
    let (served, point) = (scratch::memory()?, Point::new()?);
    let mut command = mount::command(Io::Auto, Access::Exclusive)?;
    let mut mount = Mount::start(command.arg(mount::backend(served.path())).arg(point.path()))?;
    process::kill(mount.pid());
    mount.ended()?;
    let mut command = mount::command(Io::Auto, Access::Exclusive)?;
    let outcome = command::run(command.arg("--daemon").arg(mount::backend(served.path())).arg(point.path()), LIMIT)?;
    check::holds(
        &outcome.describe(),
        outcome.stderr.contains("had a stale mount, whose process had died; it was unmounted"),
    )?;
    outcome.success()?;
    fs::write(point.path().join("new"), "content")?;
    check::equal("below", &fs::read_to_string(served.path().join("new"))?.as_str(), &"content")?;
    // It did not lie on the dead one.
    mount.umount_command()?;
    check::equal("mounted", &host::mounted(point.path())?, &None)
}

/// A small tmpfs, unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn new(options: &str) -> Result<Self> {
        let small = Self(scratch::memory()?);
        command::succeed(
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "small"]).arg(small.0.path()),
            LIMIT,
        )?;
        Ok(small)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        _ = command::run(Command::new("umount").arg("--lazy").arg(self.0.path()), LIMIT);
    }
}

#[test]
fn the_disk_is_full() -> Result<()> {
    if !host::is_root() {
        skip!("mounting a small tmpfs needs root");
    }
    for io in [Io::Auto, Io::Direct, Io::Rpc] {
        let small = Small::new("size=1m,nr_inodes=20")?;
        let mount = Mount::host(small.0.path(), io, Access::Exclusive)?;
        let file = OpenOptions::new().create_new(true).write(true).open(mount.path().join("large"))?;
        // What is reported as written is written, and the rest is an error.
        let buffer = vec![7; 300_000];
        let mut reported = 0;
        let error = loop {
            match file.write_at(&buffer, reported) {
                Ok(count) => reported += count as u64,
                Err(error) => break error,
            }
            check::holds("the disk has an end", reported <= 1 << 20)?;
        };
        check::equal("the error", &error.raw_os_error(), &Some(Errno::NOSPC.raw_os_error()))?;
        let below = fs::read(small.0.path().join("large"))?;
        check::holds("what is reported is there", below.len() as u64 >= reported && reported > 1 << 19)?;
        check::holds("and is right", below.iter().take(reported.try_into()?).all(|&byte| byte == 7))?;
        drop(file);

        fs::remove_file(mount.path().join("large"))?;
        let made = (0..30).try_for_each(|number| fs::create_dir(mount.path().join(number.to_string())));
        check::fails("too many files", made, &[Errno::NOSPC])?;
        mount.unmount().with_context(|| format!("with --io {}", io.word()))?;
    }
    Ok(())
}

#[test]
fn files_too_large() -> Result<()> {
    for io in [Io::Auto, Io::Direct, Io::Rpc] {
        let scene = Scene::on(scratch::disk()?, io, Access::Exclusive)?;
        // What the file system below says about this size counts, so it is asked too.
        let size = 1 << 60;
        let try_it = |directory: &Path| -> Result<Option<i32>> {
            let file = fs::File::create(directory.join("huge"))?;
            let error = file.write_at(b"x", size).err().and_then(|error| error.raw_os_error());
            let cut = file.set_len(size).err().and_then(|error| error.raw_os_error());
            check::equal("write and truncate", &error, &cut)?;
            Ok(error)
        };
        let wanted = try_it(scene.directory()?)?;
        check::equal("the error", &try_it(scene.path())?, &wanted)?;
        scene.end()?;
    }
    Ok(())
}

#[test]
fn the_host_directory_is_read_only() -> Result<()> {
    if !host::is_root() {
        skip!("mounting a read-only tmpfs needs root");
    }
    let small = Small::new("size=1m")?;
    fs::write(small.0.path().join("file"), "content")?;
    command::succeed(Command::new("mount").args(["-o", "remount,ro"]).arg(small.0.path()), LIMIT)?;
    for io in [Io::Auto, Io::Rpc] {
        let mount = Mount::host(small.0.path(), io, Access::Exclusive)?;
        let file = mount.path().join("file");
        check::equal("content", &fs::read_to_string(&file)?.as_str(), &"content")?;
        check::fails("writing", fs::write(&file, "no"), &[Errno::ROFS])?;
        check::fails("making", fs::create_dir(mount.path().join("no")), &[Errno::ROFS])?;
        check::fails("removing", fs::remove_file(&file), &[Errno::ROFS])?;
        check::fails("linking", fs::hard_link(&file, mount.path().join("no")), &[Errno::ROFS])?;
        mount.unmount()?;
    }
    Ok(())
}

#[test]
fn a_stopped_server_is_not_waited_for() -> Result<()> {
    Transport::all().try_for_each(server_is_stopped)
}

fn server_is_stopped(transport: Transport) -> Result<()> {
    let (served, point) = (scratch::memory()?, Point::new()?);
    let mut command = mount::separate(Io::Rpc, Access::Shared)?;
    command
        .args(["--time-limit", "5", "--transport", transport.word()])
        .arg(mount::backend(served.path()))
        .arg(point.path());
    let mount = Mount::start(&mut command)?;
    let server = server(&mount)?;
    process::stop(server)?;
    let story = || -> Result<()> {
        let mut reader = Command::new("cat");
        let outcome = command::run(reader.arg(point.path().join("unknown")), SOON)?;
        check::holds(&outcome.describe(), outcome.stderr.contains("Input/output error"))?;
        mount.umount_command()
    };
    let done = story();
    process::signal(server, Signal::CONT);
    done?;
    check::equal("mounted", &host::mounted(point.path())?, &None)
}
