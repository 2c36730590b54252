//! `fusebridge conform` on file systems that lack something, and in places that are not the usual ones: what a backend
//! does not have is not told as its fault, and what is nobody's fault not at all.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::{check, command, conform, host, scratch, skip};

const LIMIT: Duration = Duration::from_secs(60);

/// What stands before a directory.
fn of(word: &str, directory: &Path) -> OsString {
    let mut backend = OsString::from(word);
    backend.push(directory);
    backend
}

#[test]
fn the_way_to_the_mount_may_be_long() -> Result<()> {
    if !host::is_root() {
        skip!("pjdfstest needs root");
    }
    let scratch = scratch::disk()?;
    let long = scratch.path().join("x".repeat(80));
    fs::create_dir(&long)?;
    for directory in [scratch.path(), long.as_path()] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    }
    let mut command = conform::command(["--suite", "pjdfstest", "--filter", "::socket", "mem:mode=755"])?;
    command.env("TMPDIR", &long);
    let run = conform::finish(command)?;
    run.ended_with(0)?;
    check::holds("there are such tests", run.suite("pjdfstest")?.1.passed > 20)
}

#[test]
fn tests_of_two_file_systems_need_two() -> Result<()> {
    if !host::is_root() {
        skip!("pjdfstest needs root");
    }
    let exdev = ["--suite", "pjdfstest", "--filter", "exdev"];
    let directory = scratch::open_to_all()?;
    let one = conform::run(exdev.map(OsString::from).into_iter().chain([of("native:", directory.path())]))?;
    one.ended_with(0)?;
    let two = conform::run(exdev.into_iter().chain(["mem:mode=755"]))?;
    two.ended_with(0)?;
    let (one, two) = (one.suite("pjdfstest")?.1, two.suite("pjdfstest")?.1);
    check::equal("passed on one", &one.passed, &0)?;
    check::equal("skipped on one", &one.skipped, &two.passed)?;
    check::holds("there are such tests", two.passed > 0)
}

#[test]
fn tests_of_two_file_systems_leave_nothing_when_one_takes_too_long() -> Result<()> {
    if !host::is_root() {
        skip!("pjdfstest needs root");
    }
    let filter = ["--suite", "pjdfstest", "--filter", "symlink::eexist,exdev", "--timeout", "2"];
    for _ in 0..2 {
        let run = conform::run(filter.into_iter().chain(["fault:mem:mode=755?latency=4s@symlink"]))?;
        run.ended_with(1)?;
        check::holds("others", run.failed()?.iter().all(|test| !test.contains("exdev")))?;
    }
    Ok(())
}

#[test]
fn directories_may_be_relative() -> Result<()> {
    let directory = scratch::open_to_all()?;
    for name in ["tested", "suite/tests", "else"] {
        fs::create_dir_all(directory.path().join(name))?;
    }
    fs::write(directory.path().join("suite/pjdfstest"), "")?;
    fs::write(directory.path().join("suite/tests/links.t"), "echo 1..1\nmkdir a && echo ok 1\n")?;
    let mut command = conform::command(["--suite", "mount", "--filter", "links", "native:tested"])?;
    command.current_dir(directory.path());
    if host::is_root() {
        command.args(["--classic", "suite"]);
    }
    let run = conform::finish(command)?;
    run.ended_with(0)?;
    check::holds("tests of mount", run.suite("mount")?.1.passed > 5)?;
    if host::is_root() {
        check::equal("tests of classic", &run.suite("classic")?.1.passed, &1)?;
    }
    Ok(())
}

#[test]
fn what_a_backend_does_not_have_is_skipped() -> Result<()> {
    for (missing, filter) in [
        ("EOPNOTSUPP@symlink", "symlinks,to_symlinks,of_symlinks"),
        ("EPERM@link", "links::,inodes,owners,survive,directory,follow_the_file"),
        ("EOPNOTSUPP@allocate", "allocate,sparse"),
    ] {
        let backend = format!("fault:mem:?error={missing}");
        let run = conform::run(["--suite", "mount", "--filter", filter, &backend])?;
        run.ended_with(0)?;
        check::holds(missing, run.suite("mount")?.1.skipped > 3)?;
    }
    Ok(())
}

#[test]
fn modes_that_cannot_be_set_are_no_reason_to_test_nothing() -> Result<()> {
    let directory = scratch::open_to_all()?;
    let mut backend = of("fault:", directory.path());
    backend.push("?error=EPERM@setstat");
    let arguments = ["--suite", "mount", "--filter", "names,modes::all_bits"].map(OsString::from);
    let run = conform::run(arguments.into_iter().chain([backend]))?;
    run.ended_with(1)?;
    check::equal("failed", &run.failed()?, &vec!["mount/modes::all_bits".to_owned()])?;
    check::equal("files left behind", &fs::read_dir(directory.path())?.count(), &0)
}

#[test]
fn without_holes_there_is_still_fsx() -> Result<()> {
    let arguments = ["--suite", "fsx", "--fsx-operations", "400", "fault:mem:?error=EOPNOTSUPP@allocate"];
    let run = conform::run(arguments)?;
    run.ended_with(0)?;
    let (cases, counts) = run.suite("fsx")?;
    check::equal("passed", &counts.passed, &2)?;
    check::holds("it is told", cases.iter().all(|case| case.about.contains("without holes")))
}

#[test]
fn a_read_only_backend_has_all_modes() -> Result<()> {
    let directory = scratch::open_to_all()?;
    fs::write(directory.path().join("file"), "content")?;
    let arguments = ["--suite", "mount", "--io", "direct,rpc"].map(OsString::from);
    let run = conform::run(arguments.into_iter().chain([of("readonly:", directory.path())]))?;
    run.ended_with(0)?;
    check::equal("modes", &run.report()?.modes.len(), &2)
}

#[test]
fn each_of_two_backends_has_its_own_trace() -> Result<()> {
    let aside = scratch::memory()?;
    let trace = aside.path().join("trace");
    let mut command = conform::command(["--suite", "mount", "--filter", "links", "mem:", "--against", "fault:mem:"])?;
    let outcome = command::run(command.arg("--trace").arg(&trace), LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(0))?;
    for (path, backend) in [(trace.clone(), "mem:"), (trace.with_extension("against"), "fault:mem:")] {
        let mut show = std::process::Command::new(e2e::bins::fusebridge()?);
        let shown = command::succeed(show.args(["trace", "show", "--limit", "0"]).arg(&path), LIMIT)?;
        let line = shown.lines().find(|line| line.starts_with("# backend: ")).context("a backend")?;
        check::equal("backend", &line, &format!("# backend: {backend}").as_str())?;
    }
    Ok(())
}

#[test]
fn the_second_backend_need_not_mount_for_the_first_to_be_told() -> Result<()> {
    let mut command = conform::command(["--suite", "mount", "--filter", "links", "mem:"])?;
    let outcome = command::run(command.args(["--against", "exec:false"]), LIMIT)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(2))?;
    let is_told = outcome.stdout.lines().any(|line| line.starts_with("mount ") && line.contains(" auto/shared "));
    check::holds(&outcome.describe(), is_told)
}
