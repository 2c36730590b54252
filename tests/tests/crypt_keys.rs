//! How passwords reach the process that opens an encrypted volume.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::command::Outcome;
use e2e::terminal::Terminal;
use e2e::{bins, check, command, host, scratch, skip, wait};
use rustix::process::Signal;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// An encrypted directory `v` whose password is in `pass`, and a file in it.
struct Scene(TempDir);

impl Scene {
    fn new() -> Result<Self> {
        let scene = Scene(scratch::memory()?);
        fs::write(scene.path("pass"), "correct horse\n")?;
        fs::write(scene.path("wrong"), "battery staple\n")?;
        scene.shell("gofer-volumes crypt init --scryptn 10 --passfile pass v")?;
        scene.shell("fusebridge run --crypt-passfile pass crypt:v -- sh -c 'echo text >file'")?;
        Ok(scene)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A shell command there, with our programs in its path.
    fn command(&self, line: &str) -> Result<Command> {
        let mut shell = Command::new("setsid");
        shell.args(["--wait", "sh", "-c", line]).current_dir(self.0.path()).env("PATH", search_path()?);
        shell.stdin(Stdio::null());
        Ok(shell)
    }

    fn run(&self, line: &str) -> Result<Outcome> {
        command::run(&mut self.command(line)?, LIMIT)
    }

    fn shell(&self, line: &str) -> Result<String> {
        self.run(line)?.success().with_context(|| line.to_owned())
    }

    /// Writes `volumes.toml`, and gives a command that reads the file in its volume.
    fn volumes(&self) -> Result<String> {
        let (socket, directory) = (self.path("s"), self.path("v"));
        let volumes = format!("socket = {socket:?}\n[volumes]\nv = \"crypt:{}\"\n", directory.display());
        fs::write(self.path("volumes.toml"), volumes)?;
        Ok(format!("fusebridge run 'volume:{}#v' -- cat file", socket.display()))
    }

    /// The same at a terminal.
    fn terminal(&self, line: &str) -> Result<Terminal> {
        let path = search_path()?;
        Terminal::start(&format!("cd {} && PATH={path} && {line}", self.0.path().display()))
    }
}

/// With our programs first.
fn search_path() -> Result<String> {
    Ok(format!("{}:{}", bins::directory()?.display(), std::env::var("PATH").unwrap_or_default()))
}

#[test]
fn a_mount_gets_its_password_from_everywhere() -> Result<()> {
    if !host::has_fuse() {
        skip!("needs /dev/fuse");
    }
    let scene = Scene::new()?;
    for line in [
        "fusebridge run --crypt-extpass 'cat pass' crypt:v -- cat file",
        "fusebridge run --crypt-extpass cat --crypt-extpass pass stats:crypt:host:v -- cat file",
        "fusebridge run --crypt-passfd 0 crypt:v -- cat file <pass",
        // Where servers find their connection.
        "fusebridge run --crypt-passfd 3 crypt:v -- cat file 3<pass",
        "fusebridge run 'crypt:v?passfile=pass' -- cat file",
    ] {
        check::equal(line, &scene.shell(line)?, &"text\n".to_owned())?;
    }
    // It is asked for before the process has gone to the background.
    scene.shell("mkdir m && fusebridge mnt --daemon --crypt-passfd 0 crypt:v m <pass")?;
    let text = fs::read_to_string(scene.path("m/file"));
    scene.shell("fusebridge umount m")?;
    check::equal("text", &text?, &"text\n".to_owned())?;
    // Every mode is another server.
    let conform = "fusebridge conform --all-modes --suite mount --filter unlink --crypt-passfd 0 crypt:v <pass";
    scene.shell(conform).map(drop)
}

#[test]
fn people_are_asked_once_for_a_mount() -> Result<()> {
    if !host::has_fuse() {
        skip!("needs /dev/fuse");
    }
    let scene = Scene::new()?;
    for line in [
        "fusebridge run crypt:v -- cat file",
        "mkdir m && fusebridge mnt --daemon crypt:v m && cat m/file && fusebridge umount m",
    ] {
        let mut terminal = scene.terminal(line)?;
        terminal.shows("Password: ", 1)?;
        terminal.types("correct horse\n")?;
        let shown = terminal.ends()?.success()?;
        check::holds(&shown, shown.contains("text") && !shown.contains("horse"))?;
        check::equal(&shown, &shown.matches("Password").count(), &1)?;
    }
    // A volume server asks when it starts, not when somebody wants the volume.
    let line = scene.volumes()?;
    let mut terminal = scene.terminal("exec gofer-volumes serve --log warn volumes.toml")?;
    terminal.shows("Password: ", 1)?;
    terminal.types("correct horse\n")?;
    wait::until("the volume is served", LIMIT, || scene.shell(&line).is_ok_and(|text| text == "text\n"))?;
    terminal.types("\u{3}")?;
    let shown = terminal.ends()?.success()?;
    check::equal(&shown, &shown.matches("Password").count(), &1)
}

#[test]
fn without_a_password_one_line_says_what_to_do() -> Result<()> {
    if !host::has_fuse() {
        skip!("needs /dev/fuse");
    }
    let scene = Scene::new()?;
    for (line, text) in [
        ("fusebridge run crypt:v -- true", "there is no password; give one with --crypt-passfile FILE"),
        (
            "fusebridge run --crypt-passfile wrong crypt:v -- true",
            "wrong password, or the configuration was changed; if it",
        ),
        ("fusebridge run --crypt-passfile none crypt:v -- true", "cannot read the password from none"),
        ("fusebridge run --crypt-extpass false crypt:v -- true", "\"false\", which should print the password, failed"),
        ("fusebridge run --crypt-passfd 7 crypt:v -- true", "descriptor 7 is not open"),
        ("fusebridge run 'crypt:v?passfile=none' -- true", "cannot read the password from none"),
        ("fusebridge run --crypt-masterkey pass crypt:v -- true", "does not hold a master key"),
    ] {
        let outcome = scene.run(line)?;
        check::holds(line, !outcome.status.success())?;
        check::equal(&outcome.stderr, &outcome.stderr.lines().count(), &1)?;
        check::holds(&format!("{text:?} in {}", outcome.stderr), outcome.stderr.contains(text))?;
        check::holds("no password", !outcome.stderr.contains("horse") && !outcome.stderr.contains("staple"))?;
    }
    // Who needs none is not asked.
    scene.shell("fusebridge run mem: -- true").map(drop)
}

#[test]
fn a_volume_server_passes_its_password_on() -> Result<()> {
    if !host::has_fuse() {
        skip!("needs /dev/fuse");
    }
    let scene = Scene::new()?;
    let line = scene.volumes()?;
    let refused = scene.run("gofer-volumes serve volumes.toml")?;
    check::holds(&refused.stderr, refused.stderr.contains("crypt: there is no password; give one with"))?;

    let mut server = Command::new(bins::volumes()?);
    server.args(["serve", "--crypt-passfd", "0", "volumes.toml"]).current_dir(scene.0.path());
    let log = fs::File::create(scene.path("log"))?;
    let server = server.stdin(fs::File::open(scene.path("pass"))?).stderr(log).spawn()?;
    let mut server = Server { first: server, scene: &scene };
    let read = || scene.shell(&line).is_ok_and(|text| text == "text\n");
    wait::until("the volume is served", LIMIT, read)?;
    // Twice: what was passed on is passed on.
    for _ in 0..2 {
        let before = server.pids()?;
        for pid in &before {
            e2e::process::signal(*pid, Signal::USR2);
        }
        wait::until("a new server", LIMIT, || {
            server.pids().is_ok_and(|now| now.len() == 1 && !before.contains(&now[0]))
        })
        .with_context(|| fs::read_to_string(scene.path("log")).unwrap_or_default())?;
        check::holds("the new one serves it", read())?;
    }
    let arguments = fs::read(format!("/proc/{}/cmdline", server.pids()?[0]))?;
    let flags = String::from_utf8_lossy(&arguments).matches("--crypt-handed=").count();
    check::equal("flags for it", &flags, &1)
}

/// A volume server and those that come after it.
struct Server<'a> {
    first: std::process::Child,
    scene: &'a Scene,
}

impl Server<'_> {
    /// Processes of it.
    fn pids(&mut self) -> Result<Vec<u32>> {
        // Collects it when it has ended.
        let _ = self.first.try_wait()?;
        let mut pids = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let is_ours = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == self.scene.0.path());
            let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if is_ours && command.contains("\0serve\0") {
                pids.push(pid);
            }
        }
        Ok(pids)
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        for pid in self.pids().unwrap_or_default() {
            e2e::process::signal(pid, Signal::KILL);
        }
        let _ = self.first.wait();
    }
}
