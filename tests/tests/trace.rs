//! What is said between a mount and its server is recorded, looked at, and said again.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::command::{self, Outcome};
use e2e::mount::{Mount, Point, backend};
use e2e::{bins, check, process, scratch, wait};
use rustix::process::Signal;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

/// Makes, changes, moves and removes, and meets errors on the way.
const SCRIPT: &str = "
    mkdir dir; echo hello > dir/file; cat dir/file; ln dir/file link; mv dir/file dir/moved; ls -l dir
    cat nothing 2> /dev/null || true; truncate -s 3 link; rmdir dir 2> /dev/null || true; rm link
    dd if=/dev/zero of=big bs=64k count=4 status=none; cat big > /dev/null; rm big";

fn fusebridge<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Result<Outcome> {
    command::run(Command::new(bins::fusebridge()?).args(words), LIMIT)
}

/// `fusebridge trace COMMAND TRACE OPTIONS`, which must succeed.
fn trace(command: &str, trace: &Path, options: &[&str]) -> Result<String> {
    let words = ["trace", command].map(OsStr::new).into_iter().chain([trace.as_os_str()]);
    fusebridge(words.chain(options.iter().map(OsStr::new)))?.success()
}

/// Records [`SCRIPT`] on a directory, in a file of another.
fn record(io: &str, options: &[&str]) -> Result<(TempDir, TempDir)> {
    let (served, traces) = (scratch::memory()?, scratch::disk()?);
    let mut command = Command::new(bins::fusebridge()?);
    command.args(["run", "--io", io, "--trace"]).arg(traces.path().join("trace")).args(options);
    command.arg(backend(served.path())).args(["--", "sh", "-ec", SCRIPT]);
    check::holds("it was read", command::succeed(&mut command, LIMIT)?.contains("hello"))?;
    Ok((served, traces))
}

/// The messages of a trace, without the lines in front.
fn messages(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

/// Scripts look at nothing else.
#[test]
fn a_damaged_trace_is_no_success() -> Result<()> {
    let (_served, traces) = record("rpc", &[])?;
    let file = traces.path().join("trace");
    let mut bytes = fs::read(&file)?;
    let middle = bytes.len() / 2;
    // More than a message.
    bytes[middle..middle + 1000].fill(0xff);
    fs::write(&file, &bytes)?;
    for (words, status) in [(&["show"][..], 1), (&["stats"], 1), (&["replay", "mem:"], 2)] {
        let words = [OsStr::new("trace"), OsStr::new(words[0]), file.as_os_str()]
            .into_iter()
            .chain(words[1..].iter().map(OsStr::new));
        let outcome = fusebridge(words)?;
        check::equal(&outcome.describe(), &outcome.status.code(), &Some(status))?;
        check::holds(&outcome.stderr, outcome.stderr.contains("the trace is damaged at byte "))?;
    }
    Ok(())
}

#[test]
fn a_session_is_shown_and_counted() -> Result<()> {
    let (served, traces) = record("rpc", &[])?;
    let file = traces.path().join("trace");
    let all = trace("show", &file, &[])?;
    for expected in [
        format!("# backend: host:{}", served.path().canonicalize()?.display()).as_str(),
        "# io: rpc",
        "Mount         → [1] directory",
        "MkdirAt       /[1]/dir 0755 ",
        "OpenCreateAt  /dir[",
        "6 bytes at 0 → 6 bytes",
        "LinkAt        /dir/file[",
        "nlink=2",
        "/nothing → does not exist",
        "UnlinkAt      /[1]/dir AT_REMOVEDIR → ENOTEMPTY (Directory not empty)",
    ] {
        check::holds(&format!("{expected:?} in\n{all}"), all.contains(expected))?;
    }

    let about = trace("show", &file, &["--path", "/dir/moved"])?;
    check::holds(&about, !messages(&about).is_empty() && messages(&about).iter().all(|line| line.contains("moved")))?;
    let walks = trace("show", &file, &["--message", "Walk,MkdirAt", "--limit", "3"])?;
    check::equal("three", &messages(&walks).len(), &3)?;
    check::holds(&walks, messages(&walks).iter().all(|line| line.contains("Walk ") || line.contains("MkdirAt ")))?;
    let refused = trace("show", &file, &["--errno", "ENOTEMPTY"])?;
    check::equal("one rmdir", &messages(&refused).len(), &1)?;
    check::equal("nothing is so slow", &messages(&trace("show", &file, &["--slower-than", "60s"])?).len(), &0)?;
    let (before, after) = (trace("show", &file, &["--until", "5ms"])?, trace("show", &file, &["--from", "5ms"])?);
    check::holds(
        "two parts and what was under way in between",
        (messages(&all).len()..=messages(&all).len() + 4).contains(&(messages(&before).len() + messages(&after).len())),
    )?;

    let stats = trace("stats", &file, &[])?;
    let counted = |name: &str| -> Result<u64> {
        let line = stats.lines().find(|line| line.starts_with(&format!("{name} "))).with_context(|| stats.clone())?;
        Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
    };
    check::equal("directories", &counted("MkdirAt")?, &1)?;
    check::equal("mounts", &counted("Mount")?, &1)?;
    check::holds(&stats, stats.contains("ENOTEMPTY 1") && stats.contains(&format!("{} messages", messages(&all).len())))
}

#[test]
fn a_session_is_said_again() -> Result<()> {
    for options in [&[][..], &["--trace-data"]] {
        let (_served, traces) = record("rpc", options)?;
        let file = traces.path().join("trace");
        let again = scratch::memory()?;
        let same = trace("replay", &file, &[&again.path().display().to_string()])?;
        check::holds(&same, same.contains(" 0 answers differ"))?;
        check::equal("what is left", &fs::read_dir(again.path())?.count(), &1)?;
        let moved = fs::read(again.path().join("dir/moved"))?;
        check::equal("the data, if it is known", &(moved == b"hel"), &!options.is_empty())?;
        check::equal("its length", &moved.len(), &3)?;

        let replay =
            |backend: &str| fusebridge([OsStr::new("trace"), "replay".as_ref(), file.as_os_str(), backend.as_ref()]);
        let outcome = replay("fault:mem:?error=EACCES@link&defect=wrong-size")?;
        check::equal(&outcome.describe(), &outcome.status.code(), &Some(1))?;
        for expected in [
            "LinkAt        /dir/file[",
            "was no error, is EACCES",
            "size was 6, is 7",
            "UnlinkAt      /[1]/link: was no error, is ENOENT",
        ] {
            check::holds(&format!("{expected:?} in\n{}", outcome.stdout), outcome.stdout.contains(expected))?;
        }
    }
    Ok(())
}

#[test]
fn a_replay_is_a_session_of_its_own() -> Result<()> {
    let (_served, traces) = record("rpc", &[])?;
    let (file, second) = (traces.path().join("trace"), traces.path().join("second"));
    trace("replay", &file, &["--trace", &second.display().to_string(), "mem:"])?;
    let (recorded, again) =
        (trace("stats", &file, &["--message", "MkdirAt"])?, trace("stats", &second, &["--message", "MkdirAt"])?);
    check::holds(&again, recorded.contains("1 messages") && again.contains("1 messages"))?;
    check::holds(&trace("show", &second, &["--limit", "1"])?, trace("show", &second, &[])?.contains("# replay-of: "))
}

#[test]
fn data_on_donated_descriptors_is_not_in_a_trace_and_that_is_said() -> Result<()> {
    let (_served, traces) = record("direct", &[])?;
    let file = traces.path().join("trace");
    let shown = trace("show", &file, &[])?;
    check::holds(&shown, shown.contains("donated: the open file") && !shown.contains("PWrite"))?;
    let again = scratch::memory()?;
    let words = ["trace", "replay"].map(OsStr::new).into_iter().chain([file.as_os_str(), again.path().as_os_str()]);
    let outcome = fusebridge(words)?;
    check::equal(&outcome.describe(), &outcome.status.code(), &Some(1))?;
    check::holds(&outcome.stdout, outcome.stdout.contains("size was 6, is 0") && outcome.stdout.contains("--io rpc"))
}

#[test]
fn a_trace_is_of_use_while_its_mount_runs_and_after_it_died() -> Result<()> {
    let (served, traces) = (scratch::memory()?, scratch::disk()?);
    let (file, point) = (traces.path().join("trace"), Point::new()?);
    let mut command = Command::new(bins::fusebridge()?);
    command.args(["mnt", "--trace"]).arg(&file).arg(backend(served.path())).arg(point.path());
    let mut mount = Mount::start(&mut command)?;
    fs::create_dir(mount.path().join("made"))?;
    // It is written after a second, so that a crash costs no more than that.
    wait::until("the message", LIMIT, || trace("show", &file, &[]).is_ok_and(|text| text.contains("/[1]/made")))?;
    process::signal(mount.pid(), Signal::KILL);
    mount.ended()?;
    let outcome = fusebridge([OsStr::new("trace"), "show".as_ref(), file.as_os_str()])?;
    check::holds(&outcome.describe(), outcome.status.success() && outcome.stdout.contains("/[1]/made"))?;
    check::holds(&outcome.describe(), outcome.stderr.lines().count() == 1 && outcome.stderr.contains("has died"))
}

#[test]
fn what_changes_while_it_is_listed_may_be_listed_or_not() -> Result<()> {
    let traces = scratch::disk()?;
    let file = traces.path().join("trace");
    let mut command = Command::new(bins::fusebridge()?);
    command.args(["conform", "--suite", "mount", "--filter", "listing", "--io", "rpc", "--jobs", "1", "--trace"]);
    command::succeed(command.arg(&file).arg("mem:"), LIMIT)?;
    let same = trace("replay", &file, &["mem:"])?;
    check::holds(&same, same.contains(" 0 answers differ"))
}

#[test]
fn a_mount_in_the_background_finishes_its_trace() -> Result<()> {
    let (served, traces, point) = (scratch::memory()?, scratch::disk()?, Point::new()?);
    // From here, and not from where the process that stays might be.
    let mut command = Command::new(bins::fusebridge()?);
    command.args(["mnt", "--daemon", "--trace", "trace"]).current_dir(traces.path());
    command::succeed(command.arg(backend(served.path())).arg(point.path()), LIMIT)?;
    fs::create_dir(point.path().join("made"))?;
    fusebridge([OsStr::new("umount"), point.path().as_os_str()])?.success()?;
    let file = traces.path().join("trace");
    wait::until("the end of the trace", LIMIT, || {
        let shown = fusebridge([OsStr::new("trace"), "show".as_ref(), file.as_os_str()]);
        shown.is_ok_and(|shown| shown.status.success() && shown.stderr.is_empty() && shown.stdout.contains("/[1]/made"))
    })
}

#[test]
fn what_cannot_be_is_said_in_one_line() -> Result<()> {
    let directory = scratch::disk()?;
    let text = directory.path().join("text");
    fs::write(&text, "no trace")?;
    let text = text.display().to_string();
    for (words, word, status) in [
        (vec!["run", "--trace", "/does/not/exist", "mem:", "--", "true"], "/does/not/exist", 1),
        (vec!["trace", "show", "/does/not/exist"], "/does/not/exist", 1),
        (vec!["trace", "show", &text], "is not a trace file", 1),
        (vec!["trace", "stats", &text], "is not a trace file", 1),
        (vec!["trace", "replay", &text, "mem:"], "is not a trace file", 2),
        (vec!["trace", "replay", &text, "nosuch:x"], "unknown backend", 2),
    ] {
        let outcome = fusebridge(&words)?;
        let described = format!("{words:?}: {}", outcome.describe());
        check::equal(&described, &outcome.status.code(), &Some(status))?;
        check::holds(&described, outcome.stderr.lines().count() == 1 && outcome.stderr.contains(word))?;
        check::equal(&described, &outcome.stdout.as_str(), &"")?;
    }
    Ok(())
}

#[test]
fn programs_get_json() -> Result<()> {
    let directory = scratch::memory()?;
    let trace = directory.path().join("t");
    let mut run = Command::new(bins::fusebridge()?);
    run.args(["run", "--io", "rpc", "--trace"]).arg(&trace);
    command::succeed(run.args(["mem:", "--", "sh", "-c", "echo x > file; mkdir d; touch d/f; rmdir d; true"]), LIMIT)?;
    let json = |word: &str| {
        let mut command = Command::new(bins::fusebridge()?);
        command::succeed(command.args(["trace", word, "--json"]).arg(&trace), LIMIT)
    };
    let shown = json("show")?;
    let lines: Vec<serde_json::Value> = shown.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let written = lines.iter().find(|line| line["message"] == "PWrite").context("no PWrite")?;
    check::equal("its reply", &written["reply"].as_str(), &Some("2 bytes"))?;
    check::holds("a time", written["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0))?;
    check::holds("an error", lines.iter().any(|line| line["errno"] == "ENOTEMPTY"))?;
    let stats: serde_json::Value = serde_json::from_str(&json("stats")?)?;
    let messages = stats["messages"].as_array().context("no messages")?;
    let written = messages.iter().find(|message| message["message"] == "PWrite").context("no PWrite")?;
    check::equal("bytes", &written["bytes"].as_u64(), &Some(2))
}
