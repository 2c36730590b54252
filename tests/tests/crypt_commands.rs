//! `gofer-volumes crypt`: what it makes and changes, gocryptfs opens, and the other way round.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::command::Outcome;
use e2e::terminal::Terminal;
use e2e::{bins, check, command, crypt, scratch, skip};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// A directory for an encrypted directory, passwords and a mountpoint.
struct Scene(TempDir);

impl Scene {
    fn new() -> Result<Self> {
        let scene = Scene(scratch::memory()?);
        for name in ["first", "second"] {
            fs::write(scene.path(name), format!("{name}\n"))?;
        }
        fs::create_dir(scene.path("mount"))?;
        Ok(scene)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `gofer-volumes crypt` there.
    fn crypt(&self, line: &str) -> Result<Outcome> {
        let mut command = Command::new(bins::volumes()?);
        command.arg("crypt").args(line.split(' ')).current_dir(self.0.path()).stdin(Stdio::null());
        command::run(&mut command, LIMIT)
    }

    /// Runs it, which must succeed.
    fn crypts(&self, line: &str) -> Result<String> {
        self.crypt(line)?.success().with_context(|| line.to_owned())
    }

    /// Runs it, which must fail with `status` and one line that has `text` in it.
    fn refuses(&self, line: &str, status: i32, text: &str) -> Result<()> {
        let outcome = self.crypt(line)?;
        check::equal(line, &outcome.status.code(), &Some(status))?;
        check::equal(&outcome.stderr, &outcome.stderr.lines().count(), &1)?;
        check::holds(&format!("{text:?} in {:?}", outcome.stderr), outcome.stderr.contains(text))
    }

    /// Runs gocryptfs there. Its status is for people.
    fn gocryptfs(&self, line: &str) -> Result<Outcome> {
        let mut command = Command::new("gocryptfs");
        command.args(["-quiet", "-nosyslog"]).args(line.split(' ')).current_dir(self.0.path());
        command::run(command.stdin(Stdio::null()), LIMIT)
    }

    /// Has gocryptfs mount `volume` with the password in `passfile`, and calls `work` there.
    fn mounted<T>(&self, volume: &str, passfile: &str, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        self.gocryptfs(&format!("-passfile {passfile} {volume} mount"))?.success()?;
        let outcome = work(&self.path("mount"));
        command::succeed(Command::new("fusermount3").args(["-u", "mount"]).current_dir(self.0.path()), LIMIT)?;
        outcome
    }

    /// Whether gocryptfs opens `volume` with the password in `passfile`.
    fn opens(&self, volume: &str, passfile: &str) -> Result<bool> {
        let outcome = self.gocryptfs(&format!("-fsck -passfile {passfile} {volume}"))?;
        match outcome.status.code() {
            Some(0) => Ok(true),
            Some(12) => Ok(false),
            _ => bail!("{}", outcome.describe()),
        }
    }
}

/// What both programs say of a configuration.
fn same_information(scene: &Scene, volume: &str) -> Result<()> {
    let ours = scene.crypts(&format!("info {volume}"))?;
    let theirs = scene.gocryptfs(&format!("-info {volume}"))?.success()?;
    let lines = |text: &str| text.lines().map(str::trim_end).map(str::to_owned).collect::<Vec<_>>();
    // gocryptfs 2.3 does not print it.
    let ours = lines(&ours).into_iter().filter(|line| !line.starts_with("LongNameMax")).collect::<Vec<_>>();
    check::equal("what both say", &ours, &lines(&theirs))
}

#[test]
fn what_is_made_here_gocryptfs_uses() -> Result<()> {
    if !crypt::has_gocryptfs() {
        skip!("needs gocryptfs (cargo xtask setup installs it), /dev/fuse and root");
    }
    let scene = Scene::new()?;
    let long = "n".repeat(200);
    let options = [
        "",
        " --xchacha",
        " --plaintextnames --xchacha",
        " --deterministic-names --longnamemax 100",
        " --longnamemax 62 --raw64 true",
        " --raw64 false --scryptn 11",
    ];
    for (index, option) in options.into_iter().enumerate() {
        let volume = format!("v{index}");
        let cost = if option.contains("scryptn") { "" } else { " --scryptn 10" };
        let said = scene.crypts(&format!("init --passfile first{cost}{option} {volume}"))?;
        // This is no terminal.
        check::holds(&said, said.lines().count() == 1 && !said.contains("master key"))?;
        same_information(&scene, &volume)?;
        scene.mounted(&volume, "first", |mount| {
            fs::create_dir(mount.join("directory"))?;
            fs::write(mount.join("directory").join(&long), vec![7; 10_000])?;
            Ok(std::os::unix::fs::symlink("to/somewhere", mount.join("link"))?)
        })?;
        check::holds("gocryptfs finds it whole", scene.opens(&volume, "first")?)?;
        let said = scene.crypts(&format!("fsck --passfile first {volume}"))?;
        check::holds(&said, said.contains("clean: 1 files") && said.contains("2 directories and 1 links"))?;
    }
    Ok(())
}

#[test]
fn passwords_are_changed_by_either() -> Result<()> {
    if !crypt::has_gocryptfs() {
        skip!("needs gocryptfs (cargo xtask setup installs it), /dev/fuse and root");
    }
    let scene = Scene::new()?;
    fs::create_dir(scene.path("v"))?;
    scene.gocryptfs("-init -scryptn 10 -xchacha -passfile first v")?.success()?;
    same_information(&scene, "v")?;
    scene.mounted("v", "first", |mount| Ok(fs::write(mount.join("file"), "text")?))?;

    scene.crypts("passwd --passfile first --new-extpass cat --new-extpass second v")?;
    check::equal("the first opens", &scene.opens("v", "first")?, &false)?;
    check::equal("the second opens", &scene.opens("v", "second")?, &true)?;
    scene.refuses("fsck --passfile first v", 8, "wrong password, or the configuration was changed")?;
    // Nobody needs to know that there was another one, and the cost has not become less.
    let config = fs::read_to_string(scene.path("v/gocryptfs.conf"))?;
    check::holds(&config, config.contains("\"N\": 1024,") && config.contains("\"Creator\": \"gocryptfs 2.3\""))?;
    check::equal("files in the directory", &fs::read_dir(scene.path("v"))?.count(), &3)?;

    // It asks for both by the same program.
    fs::write(scene.path("both"), "#!/bin/sh\nif mkdir asked 2>/dev/null; then cat second; else cat first; fi\n")?;
    scene.gocryptfs("-passwd -extpass sh -extpass both v")?.success()?;
    scene.crypts("fsck --passfile first v")?;
    scene.crypts("passwd --extpass cat --extpass first --new-passfile first --new-passfile second --scryptn 11 v")?;
    fs::write(scene.path("joined"), "firstsecond")?;
    check::equal("the joined one opens", &scene.opens("v", "joined")?, &true)?;
    let json: serde_json::Value = serde_json::from_str(&scene.crypts("info --json v")?)?;
    check::equal("the cost", &json["scrypt"]["n"], &2048)
}

#[test]
fn descriptors_are_read_a_line_at_a_time() -> Result<()> {
    let scene = Scene::new()?;
    scene.crypts("init --scryptn 10 --passfile first v")?;
    let volumes = bins::volumes()?;
    let shell = |line: &str| {
        command::shell(scene.0.path(), &line.replace("gofer-volumes", &volumes.display().to_string()), LIMIT)
    };
    shell("printf 'first\\nsecond\\nmore' | gofer-volumes crypt passwd --passfd 0 --new-passfd 0 v")?;
    shell("gofer-volumes crypt fsck --passfd 3 v 3<second")?;
    shell("gofer-volumes crypt fsck --crypt-passfile second v")?;
    scene.refuses("fsck --passfd 3 v", 8, "descriptor 3 is not open")
}

#[test]
fn what_is_wrong_is_said_in_one_line() -> Result<()> {
    let scene = Scene::new()?;
    scene.crypts("init --scryptn 10 --passfile first v")?;
    scene.refuses("init --passfile first v", 1, "v is not empty; name an empty directory")?;
    scene.refuses("init --passfile first none/v", 1, "No such file or directory")?;
    scene.refuses("init --passfile nothing w", 1, "cannot read the password from nothing")?;
    scene.refuses("info none", 1, "is this an encrypted directory?")?;
    scene.refuses("fsck none", 8, "is this an encrypted directory?")?;
    scene.refuses("fsck --passfile second v", 8, "wrong password")?;
    scene.refuses("passwd --passfile second --new-passfile first v", 1, "wrong password")?;
    scene.refuses("passwd --passfile first --new-passfile /dev/null v", 1, "is empty")?;
    // A test has no terminal, unless somebody runs it at one.
    let mut nobody = Command::new("setsid");
    nobody.args(["--wait".as_ref(), bins::volumes()?.as_os_str()]).args(["crypt", "fsck", "v"]);
    let outcome = command::run(nobody.current_dir(scene.0.path()).stdin(Stdio::null()), LIMIT)?;
    check::holds(&outcome.stderr, outcome.stderr.contains("no terminal to ask for a password; use --passfile FILE"))?;

    let config = fs::read_to_string(scene.path("v/gocryptfs.conf"))?;
    for (from, to, text) in [
        (
            "\"Version\": 2",
            "\"Version\": 3",
            "version 3 of the format; only version 2 is supported; use a newer program",
        ),
        (
            "\"Raw64\"",
            "\"Raw64\", \"Compression\"",
            "unknown feature flag \"Compression\"; a newer program may know it",
        ),
        ("\"Raw64\"", "\"Raw64\", \"AESSIV\"", "the feature \"AESSIV\" is not supported; use gocryptfs itself"),
        ("\"HKDF\",", "", "the feature flag \"HKDF\" is missing"),
        ("\"N\": 1024", "\"N\": 64", "scrypt's parameter N is out of range"),
        ("{", "[", "not a gocryptfs configuration"),
    ] {
        fs::write(scene.path("changed"), config.replace(from, to))?;
        scene.refuses("fsck --config changed --passfile first v", 8, text)?;
        scene.refuses("passwd --config changed --passfile first --new-passfile second v", 1, text)?;
    }
    // It is shown nevertheless, as far as it can be.
    fs::write(scene.path("changed"), config.replace("\"Raw64\"", "\"Raw64\", \"AESSIV\""))?;
    let said = scene.crypts("info --config changed v")?;
    check::holds(&said, said.contains("AES-SIV-512") && said.contains("cannot be opened:  the feature \"AESSIV\""))?;
    check::equal("the configuration", &fs::read_to_string(scene.path("v/gocryptfs.conf"))?, &config)
}

#[test]
fn fsck_tells_damage_by_lines_json_and_status() -> Result<()> {
    let scene = Scene::new()?;
    scene.crypts("init --scryptn 10 --plaintextnames --passfile first v")?;
    fs::write(scene.path("v/bad\u{1b}[31m"), "no header")?;
    let outcome = scene.crypt("fsck --passfile first v")?;
    check::equal("status", &outcome.status.code(), &Some(4))?;
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    check::equal(
        "lines",
        &lines,
        &vec![
            "bad\\u{1b}[31m: the header is cut off after 9 bytes, no block decrypts",
            "v: 1 damaged: 1 files with 9 B, 1 directories and 0 links",
        ],
    )?;
    let quiet = scene.crypt("fsck --quiet --passfile first v")?;
    check::equal("quiet lines", &quiet.stdout.lines().count(), &1)?;
    let outcome = scene.crypt("fsck --json --passfile first v")?;
    check::equal("status", &outcome.status.code(), &Some(4))?;
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout)?;
    check::equal("clean", &json["clean"], &false)?;
    check::equal("damaged", &json["summary"]["damaged"], &1)?;
    let finding = &json["findings"][0];
    check::equal("problem", &finding["problem"], &"header")?;
    check::equal("severity", &finding["severity"], &"damage")?;
    check::equal("path", &finding["path"], &"bad\u{1b}[31m")
}

/// Makes `volume` at a terminal with the password `typed`, and gives the master key that is shown.
fn init_at_a_terminal(scene: &Scene, volume: &str, typed: &str) -> Result<String> {
    let line = format!("{} crypt init --scryptn 10 {}", bins::volumes()?.display(), scene.path(volume).display());
    let mut terminal = Terminal::start(&line)?;
    terminal.shows("Password for the new volume: ", 1)?;
    terminal.types(&format!("{typed}\n"))?;
    terminal.shows("Repeat: ", 1)?;
    terminal.types(&format!("{typed}\n"))?;
    let shown = terminal.ends()?.success()?;
    check::holds("the password is not shown", !shown.contains(typed))?;
    let is_part = |word: &&str| word.len() >= 35 && word.chars().all(|char| char == '-' || char.is_ascii_hexdigit());
    let key = shown.split_whitespace().filter(is_part).collect::<String>();
    check::equal(&shown, &key.len(), &71)?;
    Ok(key)
}

#[test]
fn people_are_asked_without_echo_and_can_say_no() -> Result<()> {
    let scene = Scene::new()?;
    init_at_a_terminal(&scene, "v", "first")?;
    scene.crypts("fsck --passfile first v")?;

    let volumes = bins::volumes()?;
    let line = format!("{} crypt passwd --passfile first v", volumes.display());
    let line = line.replace("first v", &format!("{} {}", scene.path("first").display(), scene.path("v").display()));
    let mut terminal = Terminal::start(&line)?;
    terminal.shows("New password: ", 1)?;
    terminal.types("second\n")?;
    terminal.shows("Repeat: ", 1)?;
    terminal.types("third\n")?;
    let outcome = terminal.ends()?;
    check::equal("status", &outcome.status.code(), &Some(1))?;
    check::holds(&outcome.stdout, outcome.stdout.contains("the two passwords differ; nothing was changed"))?;
    scene.crypts("fsck --passfile first v")?;

    // Ctrl-C ends it, and the terminal shows again what is typed.
    let mut terminal = Terminal::start(&format!("trap : INT; {line}; echo status $?; stty -a"))?;
    terminal.shows("New password: ", 1)?;
    terminal.types("sec\u{3}")?;
    let shown = terminal.ends()?.stdout;
    check::holds(&shown, shown.contains("status 130") && shown.contains(" echo ") && !shown.contains("sec"))
}

#[test]
fn at_a_terminal_fsck_shows_how_far_it_is() -> Result<()> {
    let scene = Scene::new()?;
    scene.crypts("init --passfile first --scryptn 10 --plaintextnames v")?;
    // A header, and blocks that nobody has made.
    let content = [&[0, 2][..], &[7; 16], &vec![0xee; 2000 * 4128]].concat();
    fs::write(scene.path("v/file"), content)?;
    let line = format!("cd {}; {} crypt fsck --passfile first", scene.0.path().display(), bins::volumes()?.display());
    let at_a_terminal = |options: &str| Terminal::start(&format!("{line} {options} v"))?.ends();

    let outcome = at_a_terminal("")?;
    let screen = outcome.stdout;
    check::equal(&screen, &outcome.status.code(), &Some(4))?;
    // Bytes of all bytes, of which there are 7.87 MiB.
    check::holds(&screen, screen.contains("MiB/7.87 MiB") && screen.contains(" left"))?;
    // What was found has a line of its own, and when all is done the bar is gone.
    let (clear, lines) = ("\u{1b}[2K", screen.split(['\r', '\n']).collect::<Vec<_>>());
    let found = |text: &str| lines.iter().position(|line| line.trim_start_matches(clear).starts_with(text));
    let damage = found("file: no block is whole").or(found("file: "));
    let (damage, sentence) = damage.zip(found("v: 1 damaged: 1 files with 7.87 MiB")).context(screen.clone())?;
    check::holds(&screen, damage < sentence && lines[sentence..].iter().all(|line| !line.contains(" left")))?;

    for options in ["--quiet", "--json"] {
        let screen = at_a_terminal(options)?.stdout;
        check::holds(&screen, !screen.contains(" left") && !screen.contains(clear))?;
    }
    Ok(())
}

#[test]
fn the_master_key_is_the_last_hope() -> Result<()> {
    if !crypt::has_gocryptfs() {
        skip!("needs gocryptfs (cargo xtask setup installs it), /dev/fuse and root");
    }
    let scene = Scene::new()?;
    let key = init_at_a_terminal(&scene, "v", "first")?;
    fs::write(scene.path("key"), &key)?;
    fs::write(scene.path("wrong"), key.replace(|digit: char| digit.is_ascii_hexdigit(), "0"))?;
    scene.mounted("v", "first", |mount| Ok(fs::write(mount.join("file"), "text")?))?;
    scene.crypts("fsck --masterkey key v")?;

    // The password is forgotten.
    scene.refuses("passwd --masterkey wrong --new-passfile second v", 1, "the master key does not match")?;
    scene.refuses("passwd --masterkey first --new-passfile second v", 1, "does not hold a master key")?;
    let said = scene.crypts("passwd --masterkey key --new-passfile second v")?;
    check::holds(&said, said.contains("gocryptfs.conf.bak; remove it once"))?;
    scene.mounted("v", "second", |_| Ok(()))?;
    scene.refuses("passwd --masterkey key --new-passfile first v", 1, "an older backup is in the way")?;
    let said = scene.crypts("fsck --passfile second v")?;
    check::holds(&said, said.contains("gocryptfs.conf.bak: a file that is not needed any more"))?;
    fs::rename(scene.path("v/gocryptfs.conf.bak"), scene.path("old"))?;
    scene.crypts("fsck --config old --passfile first v")?;

    // The configuration is damaged, then lost.
    let config = fs::read_to_string(scene.path("v/gocryptfs.conf"))?;
    fs::remove_file(scene.path("v/gocryptfs.conf"))?;
    let start = config.find("EncryptedKey\": \"").context("no key")? + 16;
    fs::write(scene.path("v/gocryptfs.conf"), config.replace(&config[start..start + 20], ""))?;
    scene.refuses("fsck --passfile second v", 8, "EncryptedKey has 49 bytes, not 64; restore it from a backup")?;
    scene.crypts("passwd --masterkey key --new-passfile first --scryptn 10 v")?;
    fs::remove_file(scene.path("v/gocryptfs.conf.bak"))?;
    check::equal("the first opens", &scene.opens("v", "first")?, &true)?;
    fs::remove_file(scene.path("v/gocryptfs.conf"))?;
    scene.refuses("init --masterkey wrong --passfile second --scryptn 10 v", 1, "the master key does not match")?;
    scene.refuses(
        "init --masterkey key --xchacha --passfile second --scryptn 10 v",
        1,
        "the master key does not match",
    )?;
    scene.crypts("init --masterkey key --passfile second --scryptn 10 v")?;
    scene.refuses("init --masterkey key --passfile second --scryptn 10 v", 1, "a configuration already exists")?;
    scene.mounted("v", "second", |mount| {
        check::equal("the file", &fs::read_to_string(mount.join("file"))?, &"text".to_owned())
    })
}

#[test]
fn the_mount_that_init_names_works() -> Result<()> {
    let scene = Scene::new()?;
    for (config, told) in
        [("", "crypt:v0 MOUNTPOINT"), (" --config c", "/c' MOUNTPOINT"), (" --config v2/c", "v2/c' MOUNTPOINT")]
    {
        let volume = told.find("v2").map_or(if config.is_empty() { "v0" } else { "v1" }, |_| "v2");
        let said = scene.crypts(&format!("init --scryptn 10 --passfile first{config} {volume}"))?;
        check::holds(&said, said.trim_end().ends_with(told))?;
        let backend = said.split("fusebridge mnt ").nth(1).and_then(|rest| rest.split(" MOUNTPOINT").next());
        let line = format!(
            "{} run --crypt-passfile first {} -- touch file",
            bins::fusebridge()?.display(),
            backend.context(said.clone())?
        );
        command::shell(scene.0.path(), &line, LIMIT)?;
        let said = scene.crypts(&format!("fsck --passfile first{config} {volume}"))?;
        check::holds(&said, said.contains("clean: 1 files"))?;
    }
    Ok(())
}

/// As rclone's mounts are.
#[test]
fn neither_links_nor_renames_without_replacing_are_needed() -> Result<()> {
    let has_rclone = Command::new("rclone").arg("version").stdout(Stdio::null()).status().is_ok();
    if !has_rclone || !crypt::has_gocryptfs() {
        skip!("needs rclone, gocryptfs, /dev/fuse and root");
    }
    let scene = Scene::new()?;
    fs::create_dir(scene.path("files"))?;
    let mut rclone = Command::new("rclone");
    rclone.args(["mount", "--daemon", "--vfs-cache-mode", "writes", "--config", "/dev/null", "--cache-dir"]);
    rclone.arg(scene.path("cache")).arg(scene.path("files")).arg(scene.path("mount"));
    command::succeed(rclone.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()), LIMIT)?;
    let work = || {
        scene.crypts("init --scryptn 10 --passfile first mount/v")?;
        fs::write(scene.path("key"), "0".repeat(64))?;
        scene.crypts("passwd --masterkey key --new-passfile second mount/v")?;
        scene.refuses("passwd --masterkey key --new-passfile first mount/v", 1, "an older backup is in the way")?;
        scene.crypts("fsck --passfile second mount/v")
    };
    let outcome = work();
    command::succeed(Command::new("fusermount3").arg("-u").arg(scene.path("mount")), LIMIT)?;
    outcome.map(drop)
}
