//! The command `fusebridge conform`: what it compares, writes and says, and that it always takes its mount down.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ::conform::Outcome;
use anyhow::{Context, Result};
use e2e::conform::{self, Run, nothing_mounted};
use e2e::{bins, check, command, host, process, scratch, skip, wait};
use rustix::process::Signal;

const LIMIT: Duration = Duration::from_secs(60);

/// Some tests of the suite that needs nothing, on a file system that loses extended attributes.
const FAULTY: [&str; 5] = ["--suite", "mount", "--filter", "xattr,links", "fault:mem:?defect=lost-xattr"];

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path of Unicode")
}

#[test]
fn a_baseline_makes_only_what_is_new_an_error() -> Result<()> {
    let aside = scratch::memory()?;
    let (bad, good) = (aside.path().join("bad.json"), aside.path().join("good.json"));
    let faulty = conform::run(FAULTY)?;
    faulty.ended_with(1)?;
    fs::write(&bad, serde_json::to_string(faulty.report()?)?)?;
    let run = conform::run(["--suite", "mount", "--filter", "xattr,links", "fault:mem:"])?;
    run.ended_with(0)?;
    fs::write(&good, serde_json::to_string(run.report()?)?)?;

    let again = conform::run(FAULTY.into_iter().chain(["--baseline", path(&bad)?]))?;
    again.ended_with(0)?;
    check::holds("still failing", again.outcome.stdout.contains("\nstill failing: "))?;
    let worse = conform::run(FAULTY.into_iter().chain(["--baseline", path(&good)?]))?;
    worse.ended_with(1)?;
    check::holds("newly failing", worse.outcome.stdout.contains("\nnewly failing: "))?;
    let better =
        conform::run(["--suite", "mount", "--filter", "xattr,links", "--baseline", path(&bad)?, "fault:mem:"])?;
    better.ended_with(0)?;
    check::holds("newly passing", better.outcome.stdout.contains("\nnewly passing: "))
}

#[test]
fn expected_failures_have_reasons_and_their_passing_is_reported() -> Result<()> {
    let aside = scratch::memory()?;
    let list = aside.path().join("list");
    let lines: Vec<String> = conform::run(FAULTY)?.failed()?;
    check::holds("something fails", lines.len() > 3)?;
    fs::write(&list, lines.iter().map(|test| format!("{test} attributes are lost\n")).collect::<String>())?;
    let run = conform::run(FAULTY.into_iter().chain(["--expect", path(&list)?]))?;
    run.ended_with(0)?;
    check::holds("told", run.outcome.stdout.contains(&format!("failing as expected: {}", lines.len())))?;
    fs::write(&list, "mount/links::moved@*/shared  links cannot be moved\n")?;
    let run = conform::run(["--suite", "mount", "--filter", "links", "--expect", path(&list)?, "mem:"])?;
    run.ended_with(1)?;
    let told = "mount/links::moved (auto/shared): links cannot be moved";
    check::holds(&run.outcome.describe(), run.outcome.stdout.contains(told))?;
    fs::write(&list, "mount/links::moved\n")?;
    let run = conform::run(["--suite", "mount", "--expect", path(&list)?, "mem:"])?;
    run.ended_with(2)?;
    check::holds(&run.outcome.describe(), run.outcome.stderr.contains("list:1: the reason is missing"))
}

#[test]
fn reports_have_the_failures_and_the_messages() -> Result<()> {
    let aside = scratch::memory()?;
    let file = |name: &str| aside.path().join(name);
    let (junit, tap, html) = (file("r.xml"), file("r.tap"), file("r.html"));
    let more = ["--junit", path(&junit)?, "--tap", path(&tap)?, "--html", path(&html)?];
    let run = conform::run(FAULTY.into_iter().chain(more))?;
    run.ended_with(1)?;
    let failed = run.failed()?.len();
    check::holds("JUnit", fs::read_to_string(&junit)?.contains(&format!("failures=\"{failed}\"")))?;
    let tap = fs::read_to_string(&tap)?;
    check::equal("TAP", &tap.lines().filter(|line| line.starts_with("not ok")).count(), &failed)?;
    let page = fs::read_to_string(&html)?;
    check::holds("the page", page.contains(&format!("Failures: {failed}")) && !page.contains("http"))?;
    let (cases, _) = run.suite("mount")?;
    let case = cases.iter().find(|case| case.name == "xattr::kept").context("the test")?;
    let sent = case.messages.iter().any(|line| line.contains("FSetXattr") && line.contains("user.one"));
    check::holds("what was sent meanwhile", sent && page.contains("FSetXattr"))?;
    let passed = cases.iter().filter(|case| case.failure().is_none());
    check::equal("messages of the others", &passed.map(|case| case.messages.len()).sum::<usize>(), &0)
}

#[test]
fn two_backends_are_compared() -> Result<()> {
    let directory = scratch::open_to_all()?;
    let mut other = std::ffi::OsString::from("native:");
    other.push(directory.path());
    let mut command = conform::command(FAULTY)?;
    let worse = command::run(command.arg("--against").arg(&other), LIMIT)?;
    let mut command = conform::command(["--suite", "mount", "--filter", "links", "mem:"])?;
    let same = command::run(command.arg("--against").arg(&other), LIMIT)?;
    check::equal("exit status", &worse.status.code(), &Some(1))?;
    check::holds(&worse.describe(), worse.stdout.contains("\nmount/xattr::kept (auto/shared)\n"))?;
    check::equal("exit status", &same.status.code(), &Some(0))?;
    check::holds(&same.describe(), same.stdout.contains("do not differ"))?;
    check::equal("files left behind", &fs::read_dir(directory.path())?.count(), &0)
}

#[test]
fn a_test_that_hangs_has_failed() -> Result<()> {
    let backend = "fault:mem:?latency=100s@symlink";
    let filter = ["--suite", "mount", "--filter", "symlinks::targets,links::moved", "--timeout", "8", "--jobs", "1"];
    let mounts = scratch::disk()?;
    let mut command = conform::command(filter.into_iter().chain([backend]))?;
    command.env("TMPDIR", mounts.path());
    let start = Instant::now();
    let run = conform::finish(command)?;
    run.ended_with(1)?;
    let (cases, _) = run.suite("mount")?;
    let actual = |name: &str| {
        let case = cases.iter().find(|case| case.name == name)?;
        Some(case.failure().map_or("passed", |failure| failure.actual.as_str()))
    };
    check::equal("the one that hangs", &actual("symlinks::targets"), &Some("timed out"))?;
    check::equal("the other one", &actual("links::moved"), &Some("passed"))?;
    check::holds("it is not waited for", start.elapsed() < LIMIT)?;
    nothing_mounted(mounts.path())
}

#[test]
fn what_takes_too_long_in_pjdfstest_is_named_and_the_rest_goes_on() -> Result<()> {
    if !host::is_root() {
        skip!("pjdfstest needs root");
    }
    let filter = "rmdir::enoent,mkdir::enoent,symlink::eexist";
    let arguments = ["--suite", "pjdfstest", "--filter", filter, "--timeout", "8"];
    let all = conform::run(arguments.into_iter().chain(["mem:mode=755"]))?;
    all.ended_with(0)?;
    let slow = conform::run(arguments.into_iter().chain(["fault:mem:?latency=12s@symlink"]))?;
    slow.ended_with(1)?;
    let (slow, expected) = (slow.suite("pjdfstest")?.0, all.suite("pjdfstest")?.0);
    check::equal("tests", &slow.len(), &expected.len())?;
    let failed = slow.iter().filter(|case| case.failure().is_some()).count();
    check::holds("some fail, others do not", failed > 0 && failed < slow.len())
}

#[test]
fn a_test_that_dies_has_failed() -> Result<()> {
    // A page that cannot be read has no other way to say so.
    let run = conform::run(["--suite", "mount", "--filter", "mmap", "fault:mem:?error=EIO@read"])?;
    run.ended_with(1)?;
    let (cases, counts) = run.suite("mount")?;
    let died = |case: &&::conform::CaseResult| matches!(&case.outcome, Outcome::Failed(failure) if failure.actual.contains("SIGBUS"));
    check::holds(&run.outcome.describe(), cases.iter().any(|case| died(&case)))?;
    check::holds("others are run after it", counts.passed + counts.failed == cases.len() && cases.len() > 5)
}

/// Starts a run in which tests take long, with its mount in `mounts`, and waits until one of them is at work.
fn under_way(mounts: &Path) -> Result<Child> {
    let backend = "fault:mem:?latency=300ms@symlink";
    let mut command = conform::command(["--suite", "mount", "--filter", "symlinks", "--jobs", "1", backend])?;
    let child = command.env("TMPDIR", mounts).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let at_work = || {
        let mount = host::mounts().ok()?.into_iter().map(|(point, _)| point).find(|point| point.starts_with(mounts))?;
        let place = fs::read_dir(mount).ok()?.flatten().next()?;
        fs::read_dir(place.path().join("mount")).ok()?.next().map(drop)
    };
    wait::until_some("a test at work", LIMIT, at_work)?;
    Ok(child)
}

#[test]
fn an_interrupted_run_leaves_nothing() -> Result<()> {
    let mounts = scratch::disk()?;
    let mut child = under_way(mounts.path())?;
    process::signal(child.id(), Signal::INT);
    let status = command::exit_status(&mut child, LIMIT)?;
    check::equal("exit status", &status.code(), &Some(130))?;
    nothing_mounted(mounts.path())
}

#[test]
fn the_end_of_the_server_is_a_failure() -> Result<()> {
    let mounts = scratch::disk()?;
    let mut child = under_way(mounts.path())?;
    let is_server = |pid: &&u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains("gofer\0serve")
    };
    let family = process::family(child.id())?;
    process::kill(*family.iter().find(is_server).context("a server")?);
    let status = command::exit_status(&mut child, LIMIT)?;
    check::equal("exit status", &status.code(), &Some(1))?;
    nothing_mounted(mounts.path())
}

#[test]
fn a_missing_program_is_named_with_the_way_to_get_it() -> Result<()> {
    let empty = scratch::memory()?;
    let mut command = conform::command(["--suite", "fsx", "mem:"])?;
    let outcome = command::run(command.env("XDG_CACHE_HOME", empty.path()), LIMIT)?;
    check::equal("exit status", &outcome.status.code(), &Some(2))?;
    check::equal(&outcome.describe(), &outcome.stderr.lines().count(), &1)?;
    for word in ["fsx 0.3.2 is not installed", "--install", "cargo install --locked --version 0.3.2"] {
        check::holds(&format!("{word}: {}", outcome.stderr), outcome.stderr.contains(word))?;
    }
    Ok(())
}

#[test]
fn what_cannot_be_run_is_told_in_one_line() -> Result<()> {
    let aside = scratch::memory()?;
    let closed = aside.path().join("closed");
    fs::create_dir(&closed)?;
    fs::set_permissions(&closed, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    let bad = aside.path().join("bad.json");
    fs::write(&bad, "{}")?;
    let (closed, bad) = (path(&closed)?.to_owned(), path(&bad)?.to_owned());
    for (arguments, word) in [
        (vec!["--suite", "mount", "nosuch:"], "nosuch"),
        (vec!["--suite", "mount", "native:/does/not/exist"], "/does/not/exist"),
        (vec!["--suite", "mount", "--io", "direct", "mem:"], "--io direct"),
        (vec!["--suite", "mount", "--baseline", &bad, "mem:"], "--json"),
        (vec!["--suite", "mount", "--classic", "/dev", "mem:"], "classic"),
        (vec!["--suite", "pjdfstest", &closed], "chmod 755"),
    ] {
        let outcome = command::run(&mut conform::command(&arguments)?, LIMIT)?;
        check::equal(&outcome.describe(), &outcome.status.code(), &Some(2))?;
        check::equal(&outcome.describe(), &outcome.stderr.lines().count(), &1)?;
        check::holds(&outcome.describe(), outcome.stderr.contains(word) && outcome.stdout.is_empty())?;
    }
    Ok(())
}

#[test]
fn tests_can_be_listed_chosen_and_repeated() -> Result<()> {
    let list = command::succeed(&mut conform::command(["--list"])?, LIMIT)?;
    check::holds("more than 200", list.lines().count() > 200)?;
    check::holds(
        "each says what it is about",
        list.lines().all(|line| line.starts_with("mount/") && line.contains(": ")),
    )?;
    let run: Run =
        conform::run(["--suite", "mount", "--filter", "times::far_away,names::longest", "--repeat", "3", "mem:"])?;
    run.ended_with(0)?;
    check::holds("each counts once", run.outcome.stderr.contains("mount auto/shared: 2 tests, 0 failed"))?;
    check::equal("tests", &run.suite("mount")?.0.len(), &2)
}

/// The classic suite is a directory of scripts beside a program; here one script of our own.
#[test]
fn the_classic_suite_is_run_from_its_directory() -> Result<()> {
    if !host::is_root() {
        skip!("pjdfstest needs root");
    }
    let suite = scratch::disk()?;
    fs::create_dir_all(suite.path().join("tests/mkdir"))?;
    fs::write(suite.path().join("pjdfstest"), "")?;
    let script = "desc=\"mkdir makes directories\"\necho 1..3\nmkdir a && echo ok 1\n\
                  if mkdir a; then echo ok 2; else echo \"not ok 2 - tried 'mkdir a', expected 0, got EEXIST\"; fi\n\
                  echo 'ok 3 # skip not here'\n";
    fs::write(suite.path().join("tests/mkdir/00.t"), script)?;
    let run = conform::run(["--suite", "mount", "--filter", "mkdir", "--classic", path(suite.path())?, "mem:"])?;
    run.ended_with(1)?;
    let (cases, counts) = run.suite("classic")?;
    check::equal("counts", &(counts.passed, counts.failed, counts.skipped), &(1, 1, 1))?;
    let failure = cases.iter().find_map(|case| case.failure()).context("a failure")?;
    check::equal("actual", &failure.actual.as_str(), &"EEXIST")?;
    check::equal("about", &cases[0].about.as_str(), &"mkdir makes directories")?;
    Ok(())
}

#[test]
fn reports_say_what_was_tested_and_can_go_to_stdout() -> Result<()> {
    let mut conform = Command::new(bins::fusebridge()?);
    conform.args(["conform", "--suite", "mount", "--filter", "links::", "--json", "-", "mem:"]);
    let outcome = command::run(&mut conform, LIMIT)?;
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.describe())?;
    check::holds(&outcome.describe(), outcome.stderr.contains("passed"))?;
    let field = |name: &str| report[name].as_str().unwrap_or_default().to_owned();
    check::holds("command", field("command").ends_with("conform --suite mount --filter links:: --json - mem:"))?;
    check::holds("date", field("date").starts_with("20") && field("date").ends_with('Z'))?;
    check::holds("version", !field("version").is_empty())?;
    let outcome = command::run(conform.args(["--tap", "-"]), LIMIT)?;
    check::holds(&outcome.describe(), outcome.stderr.contains("only one report"))
}
