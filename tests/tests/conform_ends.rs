//! How `fusebridge conform` ends: whatever comes between, in order, with nothing left mounted and with the right
//! status.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use ::conform::Report;
use anyhow::{Context, Result};
use e2e::conform::{self, nothing_mounted};
use e2e::{bins, check, command, host, process, scratch, skip, user, wait};
use rustix::process::Signal;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(120);

/// `fusebridge conform` with its mounts in a directory of its own, which the tests of other users can enter.
fn apart(arguments: &[&str]) -> Result<(Command, TempDir)> {
    let mounts = scratch::disk()?;
    fs::set_permissions(mounts.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut command = conform::command(arguments)?;
    command.env("TMPDIR", mounts.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok((command, mounts))
}

fn ends(child: &mut Child, status: i32, mounts: &Path) -> Result<()> {
    check::equal("exit status", &command::exit_status(child, LIMIT)?.code(), &Some(status))?;
    nothing_mounted(mounts)?;
    check::equal("files left behind", &fs::read_dir(mounts)?.count(), &0)
}

fn stderr(child: &mut Child) -> Result<BufReader<ChildStderr>> {
    Ok(BufReader::new(child.stderr.take().context("a pipe")?))
}

#[test]
fn nobody_has_to_read_what_is_told_on_the_way() -> Result<()> {
    for (backend, status) in [("mem:", 0), ("fault:mem:?defect=wrong-nlink", 1)] {
        let arguments = ["--suite", "mount", "--filter", "links", "--io", "auto,rpc", "--log", "debug", backend];
        let (mut command, mounts) = apart(&arguments)?;
        let mut child = command.spawn()?;
        drop(stderr(&mut child)?);
        ends(&mut child, status, mounts.path())?;
    }
    Ok(())
}

#[test]
fn what_is_logged_into_a_file_is_text() -> Result<()> {
    let arguments = ["--suite", "mount", "--filter", "links::one_inode", "--log", "debug", "mem:"];
    let outcome = command::run(&mut conform::command(arguments)?, LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(0))?;
    check::holds(&outcome.describe(), outcome.stderr.contains("DEBUG") && !outcome.stderr.contains('\x1b'))
}

#[test]
fn an_interruption_between_two_modes_is_one() -> Result<()> {
    let arguments = ["--suite", "mount", "--filter", "links", "--io", "auto,rpc", "--access", "shared,exclusive"];
    let (mut command, mounts) = apart(&arguments)?;
    let mut child = command.spawn()?;
    let mut said = stderr(&mut child)?;
    // The suite of the first mode is over, its mount goes down.
    let line = said.by_ref().lines().map_while(Result::ok).find(|line| line.contains(", 0 failed"));
    check::holds("a suite has run", line.is_some())?;
    process::signal(child.id(), Signal::INT);
    let mut rest = String::new();
    said.read_to_string(&mut rest)?;
    check::holds(&rest, rest.contains("interrupted") && !rest.contains("exclusive"))?;
    ends(&mut child, 130, mounts.path())
}

/// Starts a run that writes its results, and waits until it is under way, as `is_begun` says of its process.
fn under_way(arguments: &[&str], is_begun: impl Fn(u32) -> bool) -> Result<(Child, TempDir, TempDir)> {
    let aside = scratch::memory()?;
    let (mut command, mounts) = apart(arguments)?;
    let child = command.arg("--json").arg(aside.path().join("report")).stderr(Stdio::null()).spawn()?;
    wait::until("the tests", LIMIT, || is_begun(child.id()))?;
    Ok((child, mounts, aside))
}

/// What failed and how, without the tests of the mount itself, and the tests of these that failed.
fn failures(aside: &TempDir) -> Result<(Vec<String>, Vec<String>)> {
    let report: Report = serde_json::from_str(&fs::read_to_string(aside.path().join("report"))?)?;
    let (mount, others): (Vec<_>, Vec<_>) = report.failures().partition(|(key, _)| key.suite == "lifecycle");
    let actual = others.iter().filter_map(|(_, case)| Some(case.failure()?.actual.clone())).collect();
    Ok((actual, mount.into_iter().map(|(key, _)| key.case).collect()))
}

#[test]
fn a_mount_that_somebody_else_takes_down_is_a_failure() -> Result<()> {
    let backend = "fault:mem:?latency=100ms@symlink";
    let arguments = ["--suite", "mount", "--filter", "symlinks", "--jobs", "1", backend];
    let (mut child, mounts, aside) = under_way(&arguments, |pid| {
        process::child_running(pid, "conform-worker").is_ok_and(|worker| worker.is_some())
    })?;
    let points: Vec<_> = host::mounts()?.into_iter().filter(|(point, _)| point.starts_with(mounts.path())).collect();
    let (point, _) = points.first().context("a mount")?;
    command::succeed(Command::new(bins::fusebridge()?).arg("umount").arg(point), LIMIT)?;
    ends(&mut child, 1, mounts.path())?;
    let (actual, mount) = failures(&aside)?;
    check::equal("the mount", &mount, &vec!["lifecycle::unmounts".to_owned()])?;
    check::equal("the tests", &actual, &vec!["the file system was unmounted".to_owned()])
}

#[test]
fn the_end_of_the_server_is_named_in_pjdfstest() -> Result<()> {
    if !host::is_root() {
        skip!("pjdfstest needs root");
    }
    let (mut child, mounts, aside) =
        under_way(&["--suite", "pjdfstest", "--server", "separate", "mem:mode=755"], |pid| {
            process::child_running(pid, "pjdfstest-0").is_ok_and(|suite| suite.is_some())
        })?;
    process::kill(process::child_running(child.id(), "gofer\0serve")?.context("a server")?);
    ends(&mut child, 1, mounts.path())?;
    let (actual, mount) = failures(&aside)?;
    check::equal("the mount", &mount, &vec!["lifecycle::server_lives".to_owned()])?;
    check::equal("the tests", &actual, &vec!["the server is gone".to_owned()])
}

#[test]
fn what_cannot_be_done_is_known_before_anything_is_run() -> Result<()> {
    for (arguments, word) in [
        (["--suite", "mount", "--json", "/does/not/exist"], "/does/not/exist"),
        (["--suite", "mount", "--html", "/"], "cannot write /"),
        (["--suite", "classic", "--seed", "1"], "--classic DIR"),
    ] {
        let outcome = command::run(&mut conform::command(arguments)?, LIMIT)?;
        check::equal(&outcome.describe(), &outcome.status.code(), &Some(2))?;
        check::equal(&outcome.describe(), &outcome.stderr.lines().count(), &1)?;
        check::holds(&outcome.describe(), outcome.stderr.contains(word) && outcome.stdout.is_empty())?;
    }
    for limit in ["0", "1e19", "-1"] {
        let outcome = command::run(&mut conform::command(["--timeout", limit])?, LIMIT)?;
        check::equal(&outcome.describe(), &outcome.status.code(), &Some(2))?;
        check::holds(&outcome.describe(), !outcome.stderr.contains("panicked"))?;
    }
    Ok(())
}

#[test]
fn a_filter_that_fits_no_test_is_an_error_and_spoils_no_report() -> Result<()> {
    let aside = scratch::memory()?;
    let (old, new) = (aside.path().join("old"), aside.path().join("new"));
    fs::write(&old, "what it had")?;
    let mut command = conform::command(["--suite", "mount", "--filter", "nosuchtest", "--junit"])?;
    let outcome = command::run(command.arg(&old).arg("--tap").arg(&new).arg("mem:"), LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(2))?;
    check::holds(&outcome.describe(), outcome.stderr.contains("--list"))?;
    check::equal("the old file", &fs::read_to_string(&old)?.as_str(), &"what it had")?;
    check::holds("no new file", !new.exists())
}

#[test]
fn all_modes_are_those_that_the_user_can_have() -> Result<()> {
    if !host::is_root() {
        skip!("becoming another user needs root");
    }
    let programs = user::programs()?;
    let mut command = Command::new(programs.path().join("fusebridge"));
    command.args(["conform", "--suite", "mount", "--filter", "links::one_inode", "--all-modes", "mem:"]);
    let outcome = command::run(user::as_user(&command).current_dir("/"), LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(0))?;
    check::holds(&outcome.describe(), outcome.stdout.contains("rpc/exclusive"))
}
