//! The command line: what works, and one clear line for everything that cannot.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::command::{self, Outcome};
use e2e::mount::{Mount, Point, backend};
use e2e::ring::{self, Switch};
use e2e::{bins, check, host, process, scratch, skip, user, wait};
use rustix::mount::UnmountFlags;
use rustix::process::Signal;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

fn fusebridge<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Result<Command> {
    let mut command = Command::new(bins::fusebridge()?);
    command.args(words);
    Ok(command)
}

/// Fails unless the program ends with an error and one line of ours that contains `word`.
fn one_clear_line(command: &mut Command, word: &str) -> Result<()> {
    let outcome = command::run(command, LIMIT)?;
    let explain = |what: &str| format!("{command:?}: {what}\n{}", outcome.describe());
    if outcome.status.success() {
        bail!("{}", explain("succeeded"));
    }
    // A shell that cannot start the command of `exec:` has its own words to say.
    let lines: Vec<&str> = outcome.stderr.lines().filter(|line| !line.starts_with("/bin/sh: ")).collect();
    if lines.len() != 1 || lines[0].contains("panicked") {
        bail!("{}", explain("wanted one clear line"));
    }
    if !lines[0].contains(word) {
        bail!("{}", explain(&format!("wanted a word about {word:?}")));
    }
    check::equal("standard output", &outcome.stdout.as_str(), &"")
}

/// A served directory and an empty mountpoint.
fn stage() -> Result<(TempDir, Point)> {
    let served = scratch::memory()?;
    fs::write(served.path().join("file"), "content")?;
    Ok((served, Point::new()?))
}

fn mnt(backend: impl AsRef<OsStr>, point: &Path) -> Result<Command> {
    fusebridge([OsStr::new("mnt"), backend.as_ref(), point.as_os_str()])
}

#[test]
fn backends_that_cannot_be() -> Result<()> {
    let (served, point) = stage()?;
    let file = served.path().join("file");
    for (bad, word) in [
        ("nosuch:thing".into(), "nosuch"),
        ("/does/not/exist".into(), "/does/not/exist"),
        ("host:/does/not/exist".into(), "/does/not/exist"),
        (backend(&file), "file"),
        ("unix:/does/not/exist".into(), "/does/not/exist"),
        ("exec:/does/not/exist".into(), "/does/not/exist"),
        ("exec:false".into(), "false"),
        ("exec:true".into(), "true"),
        (String::new().into(), ""),
    ] {
        one_clear_line(&mut mnt(&bad, point.path())?, word)?;
        check::equal("mounted", &host::mounted(point.path())?, &None)?;
        one_clear_line(&mut fusebridge([OsStr::new("run"), &bad, OsStr::new("--"), OsStr::new("true")])?, word)?;
    }
    Ok(())
}

#[test]
fn mountpoints_that_cannot_be() -> Result<()> {
    let (served, point) = stage()?;
    let backend = backend(served.path());
    one_clear_line(&mut mnt(&backend, Path::new("/does/not/exist"))?, "/does/not/exist")?;

    let file = point.path().join("a-file");
    fs::write(&file, "")?;
    one_clear_line(&mut mnt(&backend, &file)?, "a-file")?;
    one_clear_line(&mut mnt(&backend, point.path())?, "empty")?;
    check::equal("mounted", &host::mounted(point.path())?, &None)?;
    fs::remove_file(&file)?;

    let mount = Mount::start(&mut mnt(&backend, point.path())?)?;
    one_clear_line(&mut mnt(&backend, point.path())?, "mounted")?;
    check::equal("the mount goes on", &fs::read_to_string(point.path().join("file"))?.as_str(), &"content")?;
    mount.unmount()?;

    one_clear_line(&mut fusebridge([OsStr::new("umount"), point.path().as_os_str()])?, "mount")?;
    one_clear_line(&mut fusebridge(["umount", "/does/not/exist"])?, "/does/not/exist")
}

#[test]
fn options_that_cannot_be() -> Result<()> {
    let (served, _point) = stage()?;
    let served = served.path().display();
    for words in ["mnt --io bogus D", "mnt --access bogus D", "mnt --threads no D", "mnt --nosuch D", "run D", "nosuch"]
    {
        let words = words.replace('D', &served.to_string());
        let outcome = command::run(&mut fusebridge(words.split(' '))?, LIMIT)?;
        check::holds(&words, outcome.status.code().is_some_and(|code| code != 0))?;
        check::holds("it says why", !outcome.stderr.is_empty() && !outcome.stderr.contains("panicked"))?;
    }
    Ok(())
}

#[test]
fn no_fuse_device() -> Result<()> {
    if !host::is_root() {
        skip!("hiding /dev/fuse needs root");
    }
    let (served, point) = stage()?;
    let mut hidden = Command::new("unshare");
    hidden.args(["--mount", "sh", "-c", r#"mount -t tmpfs none /dev && exec "$@""#, "sh"]);
    hidden.arg(bins::fusebridge()?).arg("mnt").arg(backend(served.path())).arg(point.path());
    one_clear_line(&mut hidden, "/dev/fuse")
}

#[test]
fn no_permission() -> Result<()> {
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let (theirs, roots) = (stage()?, stage()?);
    let programs = user::programs()?;
    user::give(theirs.0.path())?;
    user::give(theirs.1.path())?;
    for directory in [roots.0.path(), roots.1.path()] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    }
    for (served, point) in [(&roots.0, &theirs.1), (&theirs.0, &roots.1)] {
        let mut command = Command::new(programs.path().join("fusebridge"));
        command.arg("mnt").arg(backend(served.path())).arg(point.path());
        one_clear_line(&mut user::as_user(&command), "ermission")?;
        check::equal("mounted", &host::mounted(point.path())?, &None)?;
    }
    Ok(())
}

#[test]
fn run_gives_the_status_of_its_command() -> Result<()> {
    let (served, _) = stage()?;
    let run = |words: &[&str]| -> Result<Outcome> {
        let mut command = fusebridge(["run"])?;
        command.arg(backend(served.path())).arg("--").args(words);
        command::run(&mut command, LIMIT)
    };
    let outcome = run(&["sh", "-c", r#"test "$(pwd -P)" = "$FUSEBRIDGE_MOUNT" && cat file && exit 7"#])?;
    check::equal(&outcome.describe(), &(outcome.status.code(), outcome.stdout.as_str()), &(Some(7), "content"))?;
    check::equal("true", &run(&["true"])?.status.code(), &Some(0))?;
    check::equal("killed", &run(&["sh", "-c", "kill -9 $$"])?.status.code(), &Some(128 + 9))?;
    let outcome = run(&["/does/not/exist"])?;
    check::equal("not found", &outcome.status.code(), &Some(127))?;
    check::holds("said so", outcome.stderr.contains("/does/not/exist"))?;

    // A process that stays behind, with its feet in the mount, does not keep it.
    let outcome = run(&["sh", "-c", r#"sleep 60 >/dev/null 2>&1 & echo "$! $FUSEBRIDGE_MOUNT""#])?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(0))?;
    let (sleeper, point) = outcome.stdout.trim().split_once(' ').context("two words")?;
    let mounted = host::mounted(Path::new(point));
    process::kill(sleeper.parse()?);
    check::equal("mounted", &mounted?, &None)?;
    check::holds("the mountpoint is gone", !Path::new(point).exists())
}

#[test]
fn run_gives_its_command_the_limits_that_it_has_itself() -> Result<()> {
    let mut run = fusebridge(["run"])?;
    run.args(["mem:", "--", "sh", "-c", "ulimit -Sn; ulimit -Hn"]);
    let limits = command::succeed(&mut process::with_descriptor_limits(&run, 300, 500), LIMIT)?;
    check::equal("limits", &limits.as_str(), &"300\n500\n")
}

#[test]
fn too_small_a_limit_of_open_files_is_told() -> Result<()> {
    let (served, _) = stage()?;
    let mut run = fusebridge(["run"])?;
    run.arg(served.path()).args(["--", "true"]);
    let outcome = command::run(&mut process::with_descriptor_limit(&run, 64), LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(1))?;
    check::holds(&outcome.describe(), outcome.stderr.trim_end().ends_with("for example with: ulimit -n 1024"))
}

#[test]
fn a_mountpoint_is_made_and_taken_away() -> Result<()> {
    let (served, _) = stage()?;
    let mount = Mount::start(fusebridge(["mnt"])?.arg(served.path()))?;
    let point = mount.path().to_path_buf();
    check::equal("content", &fs::read_to_string(point.join("file"))?.as_str(), &"content")?;
    mount.unmount()?;
    check::holds("the directory is gone", !point.exists())
}

#[test]
fn signals_unmount() -> Result<()> {
    let (served, point) = stage()?;
    for signal in [Signal::INT, Signal::QUIT, Signal::TERM] {
        let mount = Mount::start(&mut mnt(backend(served.path()), point.path())?)?;
        process::signal(mount.pid(), signal);
        mount.ended_well()?;

        // Also while somebody uses the mount.
        let mount = Mount::start(&mut mnt(backend(served.path()), point.path())?)?;
        let held = fs::File::open(point.path().join("file"))?;
        process::signal(mount.pid(), signal);
        mount.ended_well()?;
        drop(held);
    }
    Ok(())
}

#[test]
fn a_busy_mount_can_be_unmounted() -> Result<()> {
    let (served, point) = stage()?;
    let mount = Mount::start(&mut mnt(backend(served.path()), point.path())?)?;
    let held = fs::File::open(point.path().join("file"))?;
    mount.umount_command()?;
    check::equal("mounted", &host::mounted(point.path())?, &None)?;
    drop(held);
    mount.ended_well()
}

#[test]
fn what_others_mount_there_later_stays() -> Result<()> {
    if !host::is_root() {
        skip!("mounting a tmpfs needs root");
    }
    let (served, point) = stage()?;
    let mut mount = Mount::start(&mut mnt(backend(served.path()), point.path())?)?;
    // It learns of the end only when something else is there already.
    process::stop(mount.pid())?;
    // The command would look at what is mounted first, and wait.
    let replaced = rustix::mount::unmount(point.path(), UnmountFlags::empty())
        .context("unmounting")
        .and_then(|()| command::succeed(Command::new("mount").args(["-t", "tmpfs", "later"]).arg(point.path()), LIMIT));
    process::signal(mount.pid(), Signal::CONT);
    replaced?;
    let status = mount.ended()?;
    check::equal("mounted", &host::mounted(point.path())?.as_deref(), &Some("tmpfs"))?;
    check::holds(&mount.warnings(), status.success())?;

    // Nor does it go with our own command.
    one_clear_line(&mut fusebridge([OsStr::new("umount"), point.path().as_os_str()])?, "tmpfs")?;
    check::equal("mounted", &host::mounted(point.path())?.as_deref(), &Some("tmpfs"))
}

#[test]
fn a_later_mount_of_the_bridge_stays() -> Result<()> {
    if !host::is_root() {
        skip!("unmounting behind the bridge's back needs root");
    }
    let (served, point) = stage()?;
    let mut first = Mount::start(&mut mnt(backend(served.path()), point.path())?)?;
    // It learns of the end only when the next one is there, with the same numbers for mount and device.
    process::stop(first.pid())?;
    let second = rustix::mount::unmount(point.path(), UnmountFlags::empty())
        .context("unmounting")
        .and_then(|()| Mount::start(&mut mnt(backend(served.path()), point.path())?));
    process::signal(first.pid(), Signal::CONT);
    let second = second?;
    let status = first.ended()?;
    check::holds(&first.warnings(), status.success())?;
    check::equal("content", &fs::read_to_string(point.path().join("file"))?.as_str(), &"content")?;
    second.unmount()
}

#[test]
fn a_mount_goes_from_where_it_was_moved() -> Result<()> {
    if !host::is_root() {
        skip!("mounting below a directory of its own needs root");
    }
    let (served, point) = stage()?;
    let inner = point.path().join("inner");
    fs::create_dir(&inner)?;
    let mut mount = Mount::start(&mut mnt(backend(served.path()), &inner)?)?;
    let moved = Point::new()?;
    fs::rename(point.path(), moved.path())?;
    let seen = host::mounted(&moved.path().join("inner"))?;
    process::signal(mount.pid(), Signal::TERM);
    let status = mount.ended()?;
    let left = host::mounted(&moved.path().join("inner"))?;
    fs::rename(moved.path(), point.path())?;
    fs::create_dir(moved.path())?;
    check::equal("mounted before", &seen.as_deref(), &Some("fuse.fusebridge"))?;
    check::equal("mounted after", &left, &None)?;
    check::holds(&mount.warnings(), status.success())?;
    fs::remove_dir(inner).context("the mountpoint")
}

#[test]
fn nothing_stays_mounted_if_nobody_can_be_told() -> Result<()> {
    let (served, point) = stage()?;
    let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
    let said = tempfile::tempfile()?;
    let mut command = mnt(backend(served.path()), point.path())?;
    let mut child = command.stdout(full).stderr(said.try_clone()?).spawn()?;
    let status = command::exit_status(&mut child, LIMIT)?;
    check::holds("it says why", command::text(&said)?.contains("cannot write to stdout: No space left"))?;
    check::equal("mounted", &host::mounted(point.path())?, &None)?;
    check::equal("the status", &status.code(), &Some(1))
}

#[test]
fn help_that_cannot_be_written_is_an_error() -> Result<()> {
    for (program, arguments, name) in [
        (bins::fusebridge()?, &["--help"][..], "fusebridge"),
        (bins::fusebridge()?, &["--version"], "fusebridge"),
        (bins::fusebridge()?, &["trace", "show", "--help"], "fusebridge"),
        (bins::gofer()?, &["serve", "--help"], "gofer"),
        (bins::volumes()?, &["-h"], "gofer-volumes"),
    ] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
        let output = Command::new(program).args(arguments).stdout(full).output()?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected = format!("{name}: cannot write to stdout: No space left on device (os error 28)\n");
        check::equal("stderr", &told, &expected)?;
        check::equal("the status", &output.status.code(), &Some(1))?;
    }
    Ok(())
}

#[test]
fn a_signal_ends_the_waiting_for_a_server() -> Result<()> {
    let (served, point) = stage()?;
    let socket = served.path().join("socket");
    let listener = UnixListener::bind(&socket)?;
    let mut command = mnt(format!("unix:{}", socket.display()), point.path())?;
    let mut child = command.args(["--time-limit", "1000"]).stderr(Stdio::null()).spawn()?;
    // Accepts, and never answers.
    let story = listener.accept().map_err(Into::into).and_then(|(silent, _)| {
        process::signal(child.id(), Signal::INT);
        let status = command::exit_status(&mut child, LIMIT)?;
        drop(silent);
        check::equal("the status", &status.code(), &Some(1))
    });
    process::kill(child.id());
    _ = child.wait();
    story?;
    check::equal("mounted", &host::mounted(point.path())?, &None)
}

#[test]
fn a_mount_within_what_is_mounted() -> Result<()> {
    let (served, _point) = stage()?;
    let point = served.path().join("inner/point");
    fs::create_dir_all(&point)?;
    let mut command = mnt(backend(served.path()), &point)?;
    let mount = Mount::start(command.args(["--threads", "1", "--access", "shared"]))?;
    let found = command::succeed(Command::new("find").arg(mount.path()).args(["-printf", "%P\n"]), LIMIT);
    // One that waits for itself is not to keep the test from its end.
    mount.unmount()?;
    let found = found?;
    let mut lines: Vec<&str> = found.lines().collect();
    lines.sort_unstable();
    check::equal("what is there", &lines, &vec!["", "file", "inner", "inner/point"])
}

#[test]
fn copies_of_a_mount_in_other_namespaces_do_not_keep_it() -> Result<()> {
    if !host::is_root() {
        skip!("mount namespaces need root");
    }
    let (served, point) = stage()?;
    let mount = Mount::start(&mut mnt(backend(served.path()), point.path())?)?;
    let control = Path::new("/sys/fs/fuse/connections");
    let is_ours = host::mounted(control)?.is_none();
    if is_ours {
        command::succeed(Command::new("mount").args(["-t", "fusectl", "none"]).arg(control), LIMIT)?;
    }
    let mut elsewhere = Command::new("unshare");
    elsewhere.args(["--mount", "--propagation", "private", "sh", "-c", "echo; exec sleep 60"]);
    let mut elsewhere = elsewhere.stdout(Stdio::piped()).spawn()?;
    let told = elsewhere.stdout.take().context("no pipe")?.read(&mut [0]);
    process::signal(mount.pid(), Signal::TERM);
    let warnings = mount.stderr();
    let ended = mount.ended_well();
    process::kill(elsewhere.id());
    _ = elsewhere.wait();
    if is_ours {
        command::succeed(Command::new("umount").arg(control), LIMIT)?;
    }
    told?;
    ended?;
    check::equal("warnings", &command::text(&warnings?)?.as_str(), &"")
}

#[test]
fn a_daemon_returns_when_the_mount_answers() -> Result<()> {
    let (served, point) = stage()?;
    let mut command = fusebridge(["mnt", "--daemon"])?;
    let output = command::succeed(command.arg(backend(served.path())).arg(point.path()), LIMIT)?;
    check::equal("it says where", &PathBuf::from(output.trim()).as_path(), &point.path())?;
    check::equal("content", &fs::read_to_string(point.path().join("file"))?.as_str(), &"content")?;
    command::succeed(&mut fusebridge([OsStr::new("umount"), point.path().as_os_str()])?, LIMIT)?;
    check::equal("mounted", &host::mounted(point.path())?, &None)?;

    let mut command = fusebridge(["mnt", "--daemon"])?;
    one_clear_line(command.arg("host:/does/not/exist").arg(point.path()), "/does/not/exist")?;
    // What the server's process says.
    one_clear_line(fusebridge(["mnt", "--daemon", "mem:size=bogus"])?.arg(point.path()), "not a size")
}

#[test]
fn a_daemon_of_which_nobody_can_be_told_does_not_stay() -> Result<()> {
    let (served, point) = stage()?;
    let mut command = fusebridge(["mnt", "--daemon"])?;
    command.arg(backend(served.path())).arg(point.path());
    let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
    let status = command.stdout(full).stderr(Stdio::null()).status()?;
    check::holds("it fails", !status.success())?;
    check::equal("mounted", &host::mounted(point.path())?, &None)
}

#[test]
fn a_daemon_keeps_nothing_of_its_caller() -> Result<()> {
    let (served, point) = stage()?;
    let script = r#"
        exec 9>lock; flock 9
        "$1" mnt --daemon --server separate . "$2" >/dev/null
        exec 9>&-
        flock --nonblock lock echo free
        findmnt --noheadings --output FSTYPE,SOURCE "$2"
        for process in /proc/[0-9]*; do
            words=$(tr '\0' ' ' 2>/dev/null <$process/cmdline) || continue
            case $words in
                fusebridge*"$2"* | fusebridge*"$PWD"*)
                    echo "$(readlink $process/cwd) $(cat $process/comm) ${words%% *}" ;;
            esac
        done | sort
        "$1" umount "$2"
    "#;
    let mut shell = Command::new("bash");
    shell.args(["-euc", script, "bash"]).arg(bins::fusebridge()?).arg(point.path()).current_dir(served.path());
    let said = command::succeed(&mut shell, LIMIT)?;
    let mut lines = said.lines();
    check::equal(&said, &lines.next(), &Some("free"))?;
    let shown = format!("fuse.fusebridge host:{}", served.path().display());
    check::equal(
        "mount table",
        &lines.next().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")),
        &Some(shown),
    )?;
    let processes = lines.collect::<Vec<_>>();
    check::equal("directory, name and title", &processes, &vec!["/ fusebridge fusebridge", "/ gofer fusebridge"])
}

#[test]
fn unknown_statistics_are_zeros() -> Result<()> {
    let mount = Mount::start(&mut fusebridge(["mnt", "fault:mem:?error=EOPNOTSUPP@statfs"])?)?;
    let said = command::shell(mount.path(), "df --output=size,used . && df -i . >/dev/null", LIMIT)?;
    check::equal(
        "figures",
        &said.lines().last().unwrap_or_default().split_whitespace().collect::<Vec<_>>(),
        &vec!["0", "0"],
    )?;
    mount.unmount()
}

#[test]
fn read_only_is_read_only() -> Result<()> {
    use rustix::io::Errno;
    let (served, point) = stage()?;
    let mount = Mount::start(fusebridge(["mnt", "--read-only"])?.arg(backend(served.path())).arg(point.path()))?;
    let file = point.path().join("file");
    check::equal("content", &fs::read_to_string(&file)?.as_str(), &"content")?;
    check::fails("writing", fs::write(&file, "no"), &[Errno::ROFS])?;
    check::fails("making", fs::create_dir(point.path().join("no")), &[Errno::ROFS])?;
    check::fails("removing", fs::remove_file(&file), &[Errno::ROFS])?;
    check::fails("changing", fs::set_permissions(&file, fs::Permissions::from_mode(0o777)), &[Errno::ROFS])?;
    mount.unmount()
}

/// Programs that look at the table know that they need not try, wherever the server runs that refuses.
#[test]
fn the_table_says_what_is_read_only() -> Result<()> {
    let served = scratch::memory()?;
    let serve = format!("exec:{} serve --fd 3", bins::gofer()?.display());
    let path = served.path().display();
    for (words, expected) in [
        (vec![format!("{serve} --read-only {path}")], "ro"),
        (vec![format!("{serve} {path}")], "rw"),
        (vec!["readonly:mem:".into()], "ro"),
        (vec!["--server=in-process".into(), "stats:mem:ro".into()], "ro"),
        (vec!["--server=in-process".into(), "mem:".into()], "rw"),
    ] {
        let mount = Mount::start(fusebridge(["mnt"])?.args(&words))?;
        let options = "findmnt --noheadings --output VFS-OPTIONS --mountpoint .";
        let said = command::shell(mount.path(), options, LIMIT)?;
        check::equal(&words.join(" "), &said.trim().split(',').next().unwrap_or_default(), &expected)?;
        mount.unmount()?;
    }
    Ok(())
}

#[test]
fn a_gofer_behind_a_socket() -> Result<()> {
    let (served, point) = stage()?;
    let socket = served.path().join("socket");
    let mut gofer = Command::new(bins::gofer()?).args(["serve", "--socket"]).arg(&socket).arg(served.path()).spawn()?;
    let story = || -> Result<()> {
        wait::until("the socket", LIMIT, || UnixStream::connect(&socket).is_ok())?;
        // One connection after the other.
        for content in ["one", "two"] {
            let mount = Mount::start(&mut mnt(format!("unix:{}", socket.display()), point.path())?)?;
            fs::write(point.path().join("file"), content)?;
            check::equal("below", &fs::read_to_string(served.path().join("file"))?.as_str(), &content)?;
            mount.unmount()?;
        }
        process::signal(gofer.id(), Signal::TERM);
        Ok(())
    };
    let done = story();
    if done.is_err() {
        process::kill(gofer.id());
    }
    let status = command::exit_status(&mut gofer, LIMIT)?;
    done?;
    check::holds("the gofer ends well", status.success())
}

#[test]
fn a_gofer_as_a_command() -> Result<()> {
    let (served, point) = stage()?;
    let gofer = bins::gofer()?;
    let command = format!("exec:{} serve --fd 3 {}", gofer.display(), served.path().display());
    let mount = Mount::start(&mut mnt(command, point.path())?)?;
    fs::write(point.path().join("made"), "here")?;
    check::equal("below", &fs::read_to_string(served.path().join("made"))?.as_str(), &"here")?;
    let server = process::child_running(mount.pid(), "serve")?;
    mount.unmount()?;
    wait::until("the end of the gofer", LIMIT, || !server.is_some_and(process::alive))
}

#[test]
fn a_read_only_gofer_refuses() -> Result<()> {
    let (served, point) = stage()?;
    let gofer = bins::gofer()?;
    let command = format!("exec:{} serve --read-only --fd 3 {}", gofer.display(), served.path().display());
    let mount = Mount::start(&mut mnt(command, point.path())?)?;
    check::fails("writing", fs::write(point.path().join("file"), "no"), &[rustix::io::Errno::ROFS])?;
    check::equal("content", &fs::read_to_string(point.path().join("file"))?.as_str(), &"content")?;
    mount.unmount()
}

#[test]
fn runscs_gofer_for_a_single_directory_is_ours() -> Result<()> {
    let (served, point) = stage()?;
    let (gofer, path) = (bins::gofer()?.display().to_string(), served.path().display().to_string());
    let line = |flags: &str| {
        format!(
            "exec:bash -c 'exec -a /proc/self/exe {gofer} --root=/run/x dynamic-gofer --path={path} --fd=3 {flags}'"
        )
    };
    let mount = Mount::start(&mut mnt(line("--readonly"), point.path())?)?;
    check::fails("writing", fs::write(point.path().join("file"), "no"), &[rustix::io::Errno::ROFS])?;
    check::equal("content", &fs::read_to_string(point.path().join("file"))?.as_str(), &"content")?;
    mount.unmount()?;
    let outcome = command::run(&mut mnt(line("--overlay=memory"), point.path())?, LIMIT)?;
    check::holds(&outcome.describe(), outcome.stderr.contains("dynamic-gofer: --overlay=memory is not supported"))
}

#[test]
fn files_in_memory_are_mounted_if_nothing_is_said() -> Result<()> {
    let mount = Mount::start(Command::new(bins::fusebridge()?).arg("mnt"))?;
    std::fs::write(mount.path().join("file"), "content")?;
    check::equal("content", &std::fs::read_to_string(mount.path().join("file"))?.as_str(), &"content")?;
    let point = mount.path().to_path_buf();
    mount.unmount()?;
    check::holds("the temporary mountpoint is gone", !point.exists())
}

#[test]
fn statistics_are_printed_at_a_signal_and_at_the_end() -> Result<()> {
    let (served, _point) = stage()?;
    let mount = Mount::start(Command::new(bins::fusebridge()?).args(["mnt", "--stats"]).arg(backend(served.path())))?;
    std::fs::write(mount.path().join("new"), "content")?;
    let counted = |text: &str, times: usize| text.matches("Calls to ").count() >= times && text.contains("create");
    let pid = mount.pid().to_string();
    command::succeed(Command::new("kill").args(["-USR1", &pid]), LIMIT)?;
    wait::until("the table", LIMIT, || counted(&mount.warnings(), 1))?;
    let warnings = mount.unmount_and_hear()?;
    check::holds("the table comes at the end, too", counted(&warnings, 2))
}

#[test]
fn how_requests_come_is_chosen_and_told() -> Result<()> {
    if let Some(why) = ring::missing() {
        skip!("{why}");
    }
    let (served, point) = stage()?;
    let told = |options: &[&str]| -> Result<String> {
        let mut command = mnt(backend(served.path()), point.path())?;
        let mount = Mount::start(command.args(["--log", "info"]).args(options))?;
        check::equal("read", &fs::read_to_string(point.path().join("file"))?.as_str(), &"content")?;
        mount.unmount_and_hear()
    };
    let off = Switch::off()?;
    let mut command = mnt(backend(served.path()), point.path())?;
    one_clear_line(command.args(["--transport", "ring"]), "echo Y > /sys/module/fuse/parameters/enable_uring")?;
    let auto = told(&[])?;
    check::holds(&auto, auto.contains("requests come over /dev/fuse: FUSE over io_uring is off"))?;
    drop(off);
    let _on = Switch::on()?;
    let auto = told(&[])?;
    if host::can_pass_through() {
        check::holds(&auto, auto.contains("requests come over io_uring"))?;
    }
    let own = told(&["--io", "rpc", "--server", "in-process"])?;
    check::holds(&own, own.contains("requests come over io_uring"))?;
    let others = told(&["--io", "rpc", "--server", "separate"])?;
    check::holds(&others, others.contains("requests come over /dev/fuse, since file data comes from another process"))?;
    let device = told(&["--transport", "device"])?;
    check::holds(&device, !device.contains("io_uring"))
}
