//! What running mounts report, and where.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::mount::{Mount, Point, backend};
use e2e::{bins, check, command, host, process, scratch, skip, user, wait};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

fn fusebridge(words: &str) -> Result<Command> {
    let mut command = Command::new(bins::fusebridge()?);
    command.args(words.split_whitespace());
    Ok(command)
}

/// A directory that is served by a daemon, whose log is in a file.
struct Daemon {
    point: Point,
    served: TempDir,
    log: PathBuf,
    pid: u32,
}

impl Daemon {
    fn start(options: &str) -> Result<Self> {
        let (point, served) = (Point::new()?, scratch::memory()?);
        fs::write(served.path().join("file"), "content")?;
        let log = point.path().with_extension("log");
        // Relative, as people write it: the daemon itself leaves the directory.
        let mut mnt = fusebridge(&format!("mnt --daemon {options}"))?;
        let parent = point.path().parent().context("no parent")?;
        mnt.arg("--log-file").arg(log.file_name().context("no name")?).current_dir(parent);
        command::succeed(mnt.arg(backend(served.path())).arg(point.path()), LIMIT)?;
        let pid = process_of(point.path())?;
        Ok(Daemon { point, served, log, pid })
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn logs(&self, what: &str) -> Result<()> {
        wait::until(what, LIMIT, || self.log().contains(what)).with_context(|| self.log())
    }

    fn end(self) -> Result<()> {
        command::succeed(fusebridge("umount")?.arg(self.point.path()), LIMIT)?;
        wait::until("the end of the daemon", LIMIT, || !process::alive(self.pid))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that a failed test has left, perhaps stopped.
        if process_of(self.point.path()).is_ok_and(|pid| pid == self.pid) {
            process::kill(self.pid);
        }
        _ = fs::remove_file(&self.log);
    }
}

/// The process that stays for the mount on `point`.
fn process_of(point: &Path) -> Result<u32> {
    let is_it = |line: &[u8]| {
        let mut words = line.split(|byte| *byte == 0);
        words.clone().any(|word| word == b"--background")
            && words.any(|word| word == point.as_os_str().as_encoded_bytes())
    };
    let processes = fs::read_dir("/proc")?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .find(|pid| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| is_it(&line)))
        .context("no process for the mount")
}

#[test]
fn words_that_are_no_levels_are_refused() -> Result<()> {
    for words in [
        "--log warning",
        "--log inof",
        "--log debug=info",
        "--log-filter inof",
        "--log-filter debug=info",
        "--log-filter lisafs=inof",
        "--log debug --log-filter lisafs=info",
        "--syslog --log-file x",
        "--log-format xml",
        "--log-file /does/not/exist/log",
        "--metrics 9100",
        "--metrics 192.0.2.1:9100",
    ] {
        let outcome = command::run(&mut fusebridge(&format!("run {words} mem: -- true"))?, LIMIT)?;
        let option = words.split_whitespace().next().unwrap_or_default();
        check::holds(&outcome.describe(), !outcome.status.success() && outcome.stderr.contains(option))?;
    }
    Ok(())
}

#[test]
fn filters_choose_modules() -> Result<()> {
    let mut run = fusebridge("run --log-filter gofer=off,lisafs=off,fusebridge=debug mem: -- true")?;
    let outcome = command::run(&mut run, LIMIT)?;
    check::holds(&outcome.describe(), !outcome.stderr.contains("lisafs"))?;
    let mut run = fusebridge("run --log-filter lisafs=trace --log-format json mem: -- true")?;
    let outcome = command::run(&mut run, LIMIT)?;
    for line in outcome.stderr.lines() {
        let event: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        check::holds(line, event["target"].as_str().is_some_and(|target| target.starts_with("lisafs")))?;
    }
    Ok(())
}

#[test]
fn a_daemon_logs_that_its_server_is_gone() -> Result<()> {
    let daemon = Daemon::start("--server separate --log-format json")?;
    let server = process::child_running(daemon.pid, "serve")?.context("no server")?;
    process::kill(server);
    daemon.logs("the server is gone")?;
    for line in daemon.log().lines() {
        let event: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        check::equal(line, &event["level"].as_str(), &Some("ERROR"))?;
    }
    check::holds("names the mount", daemon.log().contains(&format!("umount {}", daemon.point.path().display())))?;
    daemon.end()
}

#[test]
fn a_daemon_writes_statistics_into_its_log() -> Result<()> {
    let daemon = Daemon::start("--log off --stats --io rpc")?;
    check::equal("content", &fs::read_to_string(daemon.point.path().join("file"))?.as_str(), &"content")?;
    process::signal(daemon.pid, Signal::USR1);
    daemon.logs("PRead")?;
    // What the server's process counts.
    daemon.logs("Calls to host:")?;
    check::holds("where it is", daemon.served.path().exists())?;
    daemon.end()
}

#[test]
fn a_running_mount_can_be_asked_for_its_statistics() -> Result<()> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let mount = Mount::start(&mut fusebridge(&format!("mnt --io rpc --metrics {port} mem:"))?)?;
    fs::write(mount.path().join("file"), [7; 5000])?;
    let held = fs::File::open(mount.path().join("file"))?;
    let ask = |words: &str| command::succeed(fusebridge(words)?.arg(mount.path()), LIMIT);
    let table = ask("stats")?;
    let line = |name: &str| table.lines().find(|line| line.starts_with(name)).with_context(|| table.clone());
    let cells: Vec<&str> = line("PWrite")?.split_whitespace().collect();
    check::equal("requests, errors and bytes", &cells[1..4].to_vec(), &vec!["1", "0", "5000"])?;
    check::holds(&table, line("mem: on ")?.ends_with("cached inodes, 1 open files"))?;

    let written = r#"fusebridge_request_bytes_total{mountpoint="MP",request="PWrite"} 5000"#;
    let written = written.replace("MP", &mount.path().display().to_string());
    let metrics = ask("stats --prometheus")?;
    check::holds(&metrics, metrics.lines().any(|line| line == written))?;
    let mut scraper = TcpStream::connect(port)?;
    scraper.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut scraped = String::new();
    scraper.read_to_string(&mut scraped)?;
    check::holds(&scraped, scraped.starts_with("HTTP/1.0 200 OK\r\n") && scraped.contains(&written))?;

    drop(held);
    let point = mount.path().to_path_buf();
    mount.unmount()?;
    let outcome = command::run(fusebridge("stats")?.arg(&point), LIMIT)?;
    check::holds(&outcome.describe(), !outcome.status.success() && outcome.stderr.contains("is no mount of fusebridge"))
}

/// The kernel gives the number of a file system that is gone to the next one.
#[test]
fn a_process_whose_mount_is_gone_does_not_answer_for_the_next() -> Result<()> {
    if !host::is_root() {
        skip!("detaching the mount of a process that is stopped needs root");
    }
    let daemon = Daemon::start("")?;
    process::stop(daemon.pid)?;
    let outcome = command::run(fusebridge("stats")?.arg(daemon.point.path()), LIMIT)?;
    check::holds(&outcome.describe(), outcome.stderr.contains("no answer within 2 s"))?;
    unmount(daemon.point.path(), UnmountFlags::DETACH)?;
    let mount = Mount::start(&mut fusebridge("mnt --io rpc mem:")?)?;
    fs::write(mount.path().join("file"), [7; 5000])?;
    let ask = || command::succeed(fusebridge("stats")?.arg(mount.path()), LIMIT);
    let heading = format!("mem: on {}, up for ", mount.path().display());
    let before = ask()?;
    check::holds(&before, before.contains(&heading) && before.contains(" 5000 "))?;
    process::signal(daemon.pid, Signal::CONT);
    wait::until("the end of the daemon", LIMIT, || !process::alive(daemon.pid))?;
    let after = ask()?;
    check::holds(&after, after.contains(&heading))?;
    mount.unmount()
}

#[test]
fn users_ask_their_own_mounts() -> Result<()> {
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let (programs, runtime, point) = (user::programs()?, scratch::open_to_all()?, Point::new()?);
    user::give(runtime.path())?;
    user::give(point.path())?;
    let runtime = format!("XDG_RUNTIME_DIR={}", runtime.path().display());
    let as_user = |words: &[&OsStr]| {
        let mut command = Command::new("env");
        command.arg(&runtime).arg(programs.path().join("fusebridge")).args(words);
        user::as_user(&command)
    };
    let mount = Mount::start(&mut as_user(&["mnt".as_ref(), "mem:".as_ref(), point.path().as_ref()]))?;
    let table = command::succeed(&mut as_user(&["stats".as_ref(), point.path().as_ref()]), LIMIT)?;
    check::holds(&table, table.contains("Mount "))?;
    mount.unmount()
}

#[test]
fn daemons_log_to_syslog() -> Result<()> {
    if !host::is_root() {
        skip!("a syslog of its own needs root");
    }
    let (directory, point) = (scratch::disk()?, Point::new()?);
    // With a /dev of its own, so that nobody else's log is disturbed.
    let script = r#"
        mkdir dev
        mount -t tmpfs -o mode=755 dev dev
        cp -a /dev/null /dev/zero /dev/urandom /dev/fuse dev
        mount --bind dev /dev
        busybox syslogd -n -O "$PWD/log" 2>/dev/null & syslogd=$!
        trap 'kill $syslogd' EXIT
        until test -S /dev/log; do :; done
        "$1" mnt --daemon --server separate mem: "$2" >/dev/null
        pid=$(pgrep -f -- "--background.* mem: $2\$")
        pkill -KILL -P "$pid"
        until grep -q "fusebridge\[$pid\]: .*the server is gone" log; do sleep 0.01; done
        grep -c daemon.err log
        # Each program has its own name.
        printf 'socket = "%s"\n' "$PWD/s" >volumes.toml
        "$3" serve --syslog volumes.toml & volumes=$!
        until test -S s; do sleep 0.01; done
        kill -HUP $volumes
        until grep -q "gofer-volumes\[$volumes\]: .*reloaded" log; do sleep 0.01; done
        kill $volumes
        wait $volumes
        "$1" umount "$2"
        umount dev
    "#;
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "bash", "-euc", script, "bash"]).arg(bins::fusebridge()?).arg(point.path());
    shell.arg(bins::volumes()?);
    let said = command::succeed(shell.current_dir(directory.path()), LIMIT)?;
    check::equal("lines of that priority", &said.trim(), &"1")
}

#[test]
fn the_service_manager_hears_of_the_mount() -> Result<()> {
    let directory = scratch::disk()?;
    let manager = UnixDatagram::bind(directory.path().join("notify"))?;
    manager.set_read_timeout(Some(LIMIT))?;
    let hear = || -> Result<String> {
        let mut said = [0; 512];
        let count = manager.recv(&mut said)?;
        Ok(String::from_utf8_lossy(&said[..count]).into_owned())
    };
    let mut mnt = fusebridge("mnt mem:")?;
    let mount = Mount::start(mnt.env("NOTIFY_SOCKET", directory.path().join("notify")))?;
    let ready = hear()?;
    check::holds(&ready, ready.starts_with("READY=1\n") && ready.contains(&mount.path().display().to_string()))?;
    mount.unmount()?;
    check::equal("the end", &hear()?.trim(), &"STOPPING=1")
}
