//! `gofer doctor` and `fusebridge doctor`: what they say about this machine, and that they leave nothing behind.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::command::{self, Outcome};
use e2e::{bins, check, host, process, scratch, skip, user, wait};
use rustix::process::Signal;
use tempfile::TempDir;

/// Longer than all steps of one examination may take together.
const LIMIT: Duration = Duration::from_secs(300);

/// The runsc to examine: what `RUNSC` names, or the installed one, which ordinary users can run, too.
fn runsc() -> Option<PathBuf> {
    if let Some(path) = env::var_os("RUNSC").filter(|path| !path.is_empty() && path != "both") {
        return Some(path.into());
    }
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join("runsc")).find(|path| path.is_file())
}

/// `gofer doctor` with a place for temporary files that is its own.
fn doctor(gofer: &Path, scratch: &TempDir) -> Command {
    let mut command = Command::new("env");
    // Ordinary users get it in this way too.
    command.arg(format!("TMPDIR={}", scratch.path().display())).arg(gofer).args(["doctor", "--time-limit", "20"]);
    command.current_dir("/");
    command
}

/// The lines with `level`.
fn lines<'a>(outcome: &'a Outcome, level: &str) -> Vec<&'a str> {
    outcome.stdout.lines().filter(|line| line.split_whitespace().next() == Some(level)).collect()
}

/// Fails if files, mounts or processes are left of an examination.
fn nothing_is_left(scratch: &TempDir) -> Result<()> {
    let path = scratch.path();
    check::equal("files", &fs::read_dir(path)?.count(), &0)?;
    let mounts: Vec<_> = host::mounts()?.into_iter().filter(|(point, _)| point.starts_with(path)).collect();
    check::holds(&format!("no mounts are left in {mounts:?}"), mounts.is_empty())?;
    let word = path.to_string_lossy();
    let uses = |number: &u32| {
        let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&*word)
    };
    // What was killed may still be on its way out.
    wait::until("the end of all processes", LIMIT, || {
        let mut numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
        !numbers
            .any(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()).is_some_and(|pid| uses(&pid)))
    })
}

#[test]
fn what_cannot_be_written_is_told() -> Result<()> {
    let said = tempfile::tempfile()?;
    let full = fs::OpenOptions::new().write(true).open("/dev/full")?;
    let mut doctor = Command::new(bins::fusebridge()?);
    let mut child = doctor.arg("doctor").stdout(full).stderr(said.try_clone()?).spawn()?;
    let status = command::exit_status(&mut child, LIMIT)?;
    check::holds(command::text(&said)?.as_str(), !status.success())?;
    check::holds("it says why", command::text(&said)?.contains("cannot write to stdout: No space left"))
}

#[test]
fn containers_can_run_here() -> Result<()> {
    let Some(runsc) = runsc() else { skip!("there is no runsc; run `cargo xtask setup`") };
    if !host::is_root() {
        skip!("root's containers need root");
    }
    let scratch = scratch::disk()?;
    let outcome = command::run(doctor(&bins::gofer()?, &scratch).arg("--runsc").arg(&runsc), LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(0))?;
    check::holds(&outcome.describe(), lines(&outcome, "missing").is_empty())?;
    check::equal("warnings", &outcome.stderr.as_str(), &"")?;
    let known: usize = ["ok", "note", "warning"].map(|level| lines(&outcome, level).len()).iter().sum();
    check::equal("each line has a level", &known, &outcome.stdout.lines().count())?;
    let ok = lines(&outcome, "ok");
    for subject in ["open_tree ", "mount_setattr ", "user namespaces ", "runsc ", "trial ", "containers "] {
        let is_there =
            ok.iter().any(|line| line.strip_prefix("ok").is_some_and(|l| l.trim_start().starts_with(subject)));
        check::holds(&format!("{subject}is ok in\n{}", outcome.stdout), is_there)?;
    }
    // Debian's take the network of Docker for that of the machine on recent kernels.
    let network = outcome.stdout.lines().find(|line| line.contains("trial network "));
    let network = network.with_context(|| format!("nothing about the network in\n{}", outcome.stdout))?;
    check::holds(network, network.starts_with("ok ") || network.contains("--network="))?;
    let found = ok.iter().any(|line| line.contains(&*runsc.to_string_lossy()) && line.contains("runsc version"));
    check::holds(&format!("it says which runsc in\n{}", outcome.stdout), found)?;
    nothing_is_left(&scratch)
}

#[test]
fn an_ordinary_user_can_be_told_too() -> Result<()> {
    let Some(runsc) = runsc() else { skip!("there is no runsc; run `cargo xtask setup`") };
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let (programs, scratch) = (user::programs()?, scratch::disk()?);
    user::give(scratch.path())?;
    let mut command = doctor(&programs.path().join("gofer"), &scratch);
    let outcome = command::run(&mut user::as_user(command.arg("--runsc").arg(&runsc)), LIMIT)?;
    nothing_is_left(&scratch)?;
    if lines(&outcome, "missing").iter().any(|line| line.contains("user namespaces")) {
        check::equal("status", &outcome.status.code(), &Some(1))?;
        skip!("ordinary users may not create user namespaces here");
    }
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(0))?;
    check::holds("it says what it has not tried", outcome.stdout.contains("needs root"))?;
    check::holds("containers run", lines(&outcome, "ok").iter().any(|line| line.contains("a container ran")))
}

#[test]
fn a_runsc_that_cannot_be_loaded_is_missing() -> Result<()> {
    let scratch = scratch::disk()?;
    let gofer = bins::gofer()?;
    for (runsc, word) in [
        ("/does/not/exist", "/does/not/exist"),
        ("/bin/sh", "dynamically linked"),
        ("/etc/passwd", "Permission denied"),
        ("/", "ermission denied"),
    ] {
        let outcome = command::run(doctor(&gofer, &scratch).args(["--runsc", runsc]), LIMIT)?;
        let described = format!("{runsc}: {}", outcome.describe());
        check::equal(&described, &outcome.status.code(), &Some(1))?;
        let missing: Vec<&str> =
            lines(&outcome, "missing").into_iter().filter(|line| line.contains(" runsc ")).collect();
        check::equal(&described, &missing.len(), &1)?;
        check::holds(&described, missing[0].contains(word) && missing[0].contains(runsc))?;
        check::equal(&described, &outcome.stderr.as_str(), &"")?;
    }
    let mut gofer_itself = doctor(&gofer, &scratch);
    let outcome = command::run(gofer_itself.arg("--runsc").arg(&gofer), LIMIT)?;
    let missing = lines(&outcome, "missing");
    check::holds(&outcome.describe(), missing.iter().any(|line| line.contains("is this program")))?;
    nothing_is_left(&scratch)
}

#[test]
fn stopping_it_leaves_nothing_behind() -> Result<()> {
    let Some(runsc) = runsc() else { skip!("there is no runsc; run `cargo xtask setup`") };
    if !host::is_root() {
        skip!("root's containers need root");
    }
    for signal in [Signal::TERM, Signal::INT] {
        let scratch = scratch::disk()?;
        let mut child = Command::new(bins::gofer()?)
            .args(["doctor", "--runsc"])
            .arg(&runsc)
            .env("TMPDIR", scratch.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let runs = || fs::read_dir(scratch.path()).ok()?.flatten().find(|entry| has_started(&entry.path()));
        let started = wait::until_some("a container on trial", LIMIT, runs).map(drop);
        process::signal(child.id(), signal);
        let status = command::exit_status(&mut child, LIMIT);
        if status.is_err() {
            process::kill(child.id());
        }
        started?;
        check::equal("status", &status.context("it does not stop")?.code(), &Some(1))?;
        nothing_is_left(&scratch)?;
    }
    Ok(())
}

/// Whether runsc is at work in the directory of a trial.
fn has_started(trial: &Path) -> bool {
    fs::read_dir(trial.join("state")).is_ok_and(|mut entries| entries.next().is_some())
}

#[test]
fn programs_are_told_in_json() -> Result<()> {
    let scratch = scratch::disk()?;
    let mut doctor = doctor(&bins::gofer()?, &scratch);
    let outcome = command::run(doctor.args(["--json", "--runsc", "/does/not/exist"]), LIMIT)?;
    let findings = outcome.stdout.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
    let missing = findings.iter().find(|finding| finding["level"] == "missing").with_context(|| outcome.describe())?;
    check::equal("what is missing", &missing["subject"].as_str(), &Some("runsc"))
}

/// `fusebridge doctor` with a place for temporary files that is its own, called by `how`.
fn of_mounts(how: &[&str], scratch: &TempDir) -> Result<Command> {
    let mut command = Command::new("env");
    command.arg(format!("TMPDIR={}", scratch.path().display())).args(how).arg(bins::fusebridge()?).arg("doctor");
    Ok(command)
}

#[test]
fn file_systems_can_be_mounted_here() -> Result<()> {
    let scratch = scratch::disk()?;
    let outcome = command::run(&mut of_mounts(&[], &scratch)?, LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(0))?;
    let is_ok = |subject: &str| {
        lines(&outcome, "ok").iter().any(|line| line.trim_start_matches("ok").trim_start().starts_with(subject))
    };
    check::holds(&outcome.describe(), ["/dev/fuse ", "open files ", "mount "].into_iter().all(is_ok))?;
    if host::is_root() && host::can_pass_through() {
        check::holds(&outcome.describe(), is_ok("passthrough "))?;
    }
    check::equal("all that is said", &outcome.stderr.as_str(), &"")?;
    nothing_is_left(&scratch)?;
    let outcome = command::run(of_mounts(&[], &scratch)?.arg("--json"), LIMIT)?;
    let findings = outcome.stdout.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
    check::holds(&outcome.describe(), findings.iter().any(|it| it["subject"] == "mount" && it["level"] == "ok"))
}

#[test]
fn a_machine_without_fuse_is_told_so() -> Result<()> {
    if !host::is_root() {
        skip!("taking /dev/fuse away needs root");
    }
    let scratch = scratch::disk()?;
    // A /dev with nothing but null in it.
    let enter = "mount -t tmpfs -o mode=755 dev /dev && mknod /dev/null c 1 3 && exec \"$@\"";
    let outcome = command::run(&mut of_mounts(&["unshare", "--mount", "sh", "-c", enter, "sh"], &scratch)?, LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(1))?;
    let missing = lines(&outcome, "missing");
    check::equal(&outcome.describe(), &missing.len(), &1)?;
    check::holds(missing[0], missing[0].contains("/dev/fuse") && missing[0].contains("modprobe fuse"))?;
    nothing_is_left(&scratch)
}
