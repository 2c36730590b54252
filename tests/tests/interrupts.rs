//! Callers of a slow backend can be interrupted and killed, and what they leave behind is cleared away.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::modes::{Access, Io, Transport};
use e2e::mount::{self, Mount};
use e2e::{check, command, host, process, scratch, wait};
use rustix::process::Signal;
use tempfile::TempDir;

/// Less than the backends here take for a call, which is some minutes.
const LIMIT: Duration = Duration::from_secs(20);
/// Requests at once.
const THREADS: usize = 8;

/// A mount of a backend that takes its time, and its server, which is killed in the end: it has calls to finish.
struct Slow {
    mount: Mount,
    server: u32,
}

impl Slow {
    /// Serves `directory` with faults.
    fn new(directory: &Path, faults: &str, access: Access, transport: Transport) -> Result<Self> {
        let mut command = mount::command(Io::Rpc, access)?;
        command.args(["--time-limit", "600", "--threads", &THREADS.to_string(), "--transport", transport.word()]);
        let mount = Mount::start(command.arg(format!("fault:host:{}?{faults}", directory.display())))?;
        let server = process::child_running(mount.pid(), "serve")?.context("no server")?;
        Ok(Self { mount, server })
    }

    fn path(&self) -> &Path {
        self.mount.path()
    }

    fn end(self) -> Result<()> {
        process::kill(self.server);
        self.mount.umount_command()?;
        check::equal("mounted", &host::mounted(self.path())?, &None)
    }
}

/// A program that makes one system call on the mount, which waits for the backend.
struct Stuck(Child);

impl Stuck {
    /// Runs a Perl script that is given `path`, and waits until it is in the call.
    fn new(script: &str, path: &Path) -> Result<Self> {
        let mut perl = Command::new("perl");
        perl.args(["-MPOSIX", "-e", script]).arg(path).stdin(Stdio::null()).stdout(Stdio::piped());
        let stuck = Self(perl.spawn().context("perl")?);
        let place = format!("/proc/{}/wchan", stuck.0.id());
        wait::until(&format!("{script:?} waits for an answer"), LIMIT, || {
            fs::read_to_string(&place).is_ok_and(|place| place.contains("request_wait_answer"))
        })?;
        Ok(stuck)
    }

    /// Sends SIGUSR1 until it ends: it may have been in an earlier call, which was quick.
    fn signalled(mut self) -> Result<String> {
        let pid = self.0.id();
        wait::until("a signal ends the call", LIMIT, || {
            process::signal(pid, Signal::USR1);
            !matches!(self.0.try_wait(), Ok(None))
        })?;
        self.ended()
    }

    /// Waits for its end; returns what it has printed.
    fn ended(mut self) -> Result<String> {
        command::exit_status(&mut self.0, LIMIT)?;
        let mut printed = String::new();
        self.0.stdout.take().context("no pipe")?.read_to_string(&mut printed)?;
        Ok(printed)
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        process::kill(self.0.id());
        _ = self.0.wait();
    }
}

/// Has a handler for SIGUSR1, with these flags.
fn handling(flags: &str) -> String {
    format!("sigaction(SIGUSR1, POSIX::SigAction->new(sub {{}}, POSIX::SigSet->new, {flags}));")
}

/// Prints what a call has come to: a word, or its error's number.
const READ: &str = r#"open($f, "<", $ARGV[0]) && defined sysread($f, $b, 1) and print "read" or print 0 + $!;"#;
const LIST: &str = r#"opendir($d, $ARGV[0]) && ($! = 0, readdir($d)) and print "listed" or print 0 + $!;"#;
const OPEN: &str = r#"print sysopen($f, $ARGV[0], O_RDONLY) ? "opened" : 0 + $!;"#;
const WRITE: &str = r#"open($f, "+<", $ARGV[0]) && defined syswrite($f, "late") and print "wrote" or print 0 + $!;"#;

/// A directory with a file.
fn served() -> Result<TempDir> {
    let served = scratch::memory()?;
    fs::write(served.path().join("file"), "old content")?;
    Ok(served)
}

/// Calls, and what they wait for.
const CALLS: [(&str, &str, &str); 4] =
    [("read", READ, "file"), ("readdir", LIST, "."), ("open", OPEN, "file"), ("write", WRITE, "file")];

#[test]
fn a_signal_ends_a_call_that_takes_long() -> Result<()> {
    Transport::all().try_for_each(signal_ends_call)
}

fn signal_ends_call(transport: Transport) -> Result<()> {
    let eintr = rustix::io::Errno::INTR.raw_os_error().to_string();
    for (slow, call, name) in CALLS {
        let served = served()?;
        let mount = Slow::new(served.path(), &format!("latency=300s@{slow}"), Access::Shared, transport)?;
        for flags in ["0", "SA_RESTART"] {
            let script = handling(flags) + call;
            let stuck = Stuck::new(&script, &mount.path().join(name))?;
            check::equal(&script, &stuck.signalled()?, &eintr)?;
        }
        mount.end()?;
    }
    Ok(())
}

#[test]
fn who_is_killed_in_a_call_ends_at_once_and_the_mount_goes_on() -> Result<()> {
    Transport::all().try_for_each(killed_in_call)
}

fn killed_in_call(transport: Transport) -> Result<()> {
    for access in [Access::Shared, Access::Exclusive] {
        let served = served()?;
        let slow: Vec<String> = CALLS.iter().map(|(slow, ..)| format!("latency=300s@{slow}")).collect();
        let mount = Slow::new(served.path(), &slow.join("&"), access, transport)?;
        for (_, call, name) in CALLS.iter().filter(|(slow, ..)| !matches!(*slow, "read" | "write" | "readdir")) {
            for _ in 0..4 {
                let stuck = Stuck::new(call, &mount.path().join(name))?;
                process::kill(stuck.0.id());
                check::equal(call, &stuck.ended()?.as_str(), &"")?;
            }
        }
        fs::create_dir(mount.path().join("directory"))?;
        fs::rename(mount.path().join("directory"), mount.path().join("renamed"))?;
        check::holds("the name below", served.path().join("renamed").is_dir())?;
        mount.end()?;
    }
    Ok(())
}

#[test]
fn a_call_that_the_end_of_the_mount_gives_up_is_no_fault_of_the_server() -> Result<()> {
    let served = served()?;
    // Less than the five seconds that a server may take to end.
    let Slow { mount, .. } = Slow::new(served.path(), "latency=3s@read", Access::Shared, Transport::Device)?;
    let stuck = Stuck::new(READ, &mount.path().join("file"))?;
    let pid = stuck.0.id();
    wait::until("the file is open", LIMIT, || opened(pid, "file").is_ok_and(|count| count == 1))?;
    let place = format!("/proc/{pid}/wchan");
    let waits = || fs::read_to_string(&place).is_ok_and(|place| place.contains("request_wait_answer"));
    wait::until("it is read", LIMIT, waits)?;
    process::kill(pid);
    stuck.ended()?;
    let said = mount.stderr()?;
    mount.umount_command()?;
    mount.ended_well()?;
    let said = command::text(&said)?;
    check::holds(&said, !said.contains("the server is gone"))
}

#[test]
fn many_who_are_killed_leave_room_for_others() -> Result<()> {
    Transport::all().try_for_each(many_killed)
}

fn many_killed(transport: Transport) -> Result<()> {
    let served = served()?;
    let mount = Slow::new(served.path(), "latency=300s@read", Access::Shared, transport)?;
    let mut stuck = Vec::new();
    for _ in 0..10 {
        stuck.push(Stuck::new(READ, &mount.path().join("file"))?);
    }
    // As many as may be under way at once.
    let mut stat = Command::new("stat");
    let found = command::succeed(stat.args(["-c", "%s"]).arg(mount.path().join("file")), Duration::from_secs(1));
    check::holds("the rest waits", found.is_ok() || stuck.len() >= THREADS)?;
    stuck.iter().for_each(|stuck| process::kill(stuck.0.id()));
    stuck.into_iter().try_for_each(|stuck| stuck.ended().map(drop))?;
    fs::write(mount.path().join("new"), "new")?;
    check::equal("below", &fs::read_to_string(served.path().join("new"))?.as_str(), &"new")?;
    mount.end()
}

#[test]
fn what_follows_an_interrupted_write_waits_for_it() -> Result<()> {
    Transport::all().try_for_each(after_interrupted_write)
}

fn after_interrupted_write(transport: Transport) -> Result<()> {
    let served = served()?;
    let mount = Slow::new(served.path(), "latency=1s@write", Access::Shared, transport)?;
    let file = mount.path().join("file");
    let stuck = Stuck::new(&(handling("0") + WRITE), &file)?;
    let eintr = rustix::io::Errno::INTR.raw_os_error().to_string();
    check::equal("the write", &stuck.signalled()?, &eintr)?;
    check::equal("the file", &fs::read_to_string(&file)?.as_str(), &"latecontent")?;
    mount.end()
}

/// How many descriptors a process has on files that it has opened, and whose names begin with `name`.
fn opened(pid: u32, name: &str) -> Result<usize> {
    const O_PATH: u32 = 0o10_000_000;
    let mut count = 0;
    for fd in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
        let Ok(target) = fs::read_link(fd.path()) else { continue };
        let number = fd.file_name();
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", number.display())).unwrap_or_default();
        let flags = info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
        let is_path = flags.is_some_and(|flags| flags & O_PATH != 0);
        let is_named = target.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
        count += usize::from(is_named && !is_path);
    }
    Ok(count)
}

#[test]
fn nothing_stays_open_of_interrupted_calls() -> Result<()> {
    Transport::all().try_for_each(nothing_stays_open)
}

fn nothing_stays_open(transport: Transport) -> Result<()> {
    let served = served()?;
    let mount = Slow::new(served.path(), "latency=4s@open", Access::Shared, transport)?;
    let file = mount.path().join("file");
    let stuck = (0..2).map(|_| Stuck::new(OPEN, &file)).collect::<Result<Vec<_>>>()?;
    stuck.iter().for_each(|stuck| process::kill(stuck.0.id()));
    stuck.into_iter().try_for_each(|stuck| stuck.ended().map(drop))?;
    let is_open = || opened(mount.server, "file").is_ok_and(|count| count > 0);
    // They come 4 seconds after the calls, and what they opened is closed within half a second: on a busy machine,
    // perhaps before anybody looks.
    let _ = wait::until("the answers come late", Duration::from_secs(6), is_open);
    wait::until("what came late is closed", LIMIT, || !is_open())?;
    mount.end()
}
