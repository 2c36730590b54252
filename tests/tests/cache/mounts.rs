//! What users of a mount have of a cache.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::mount::Mount;
use e2e::volumes::VolumeServer;
use e2e::{bins, check, command, host, process, scratch, skip};

const LIMIT: Duration = Duration::from_secs(20);

/// A mount of `backend` with a cache in `cache`.
fn cached(flags: &[&str], backend: &Path, cache: &Path, options: &str) -> Result<Mount> {
    let backend = format!("cache:{}?dir={}&free=0{options}", backend.display(), cache.display());
    Mount::start(Command::new(bins::fusebridge()?).arg("mnt").args(flags).arg(backend))
}

#[test]
fn what_others_change_is_seen_when_it_is_opened() -> Result<()> {
    let (files, cache) = (scratch::memory()?, scratch::disk()?);
    let mount = cached(&[], files.path(), cache.path(), "")?;
    let (below, above) = (files.path().join("file"), mount.path().join("file"));
    fs::write(&below, "first")?;
    for round in 0..30_u8 {
        let content = vec![round; 10_000];
        match round % 3 {
            0 => File::options().write(true).open(&below)?.write_all_at(&content, 0)?,
            1 => {
                fs::write(files.path().join("new"), &content)?;
                fs::rename(files.path().join("new"), &below)?;
            }
            _ => fs::write(&below, &content)?,
        }
        for _ in 0..2 {
            check::holds(&format!("round {round}"), fs::read(&above)? == content)?;
        }
    }
    fs::remove_file(&below)?;
    check::fails("a file that is gone", fs::read(&above).map(drop), &[rustix::io::Errno::NOENT])?;
    // And the other way round, at once.
    fs::write(&above, "from above")?;
    check::equal("below", &fs::read_to_string(&below)?.as_str(), &"from above")?;
    mount.unmount()
}

#[test]
fn a_read_only_file_in_the_cache_needs_no_server() -> Result<()> {
    if !host::can_pass_through() {
        skip!("this kernel has no FUSE passthrough");
    }
    let (files, cache) = (scratch::memory()?, scratch::disk()?);
    let content: Vec<u8> = (0..=250).cycle().take(3_000_000).collect();
    fs::write(files.path().join("file"), &content)?;
    let flags = ["--server", "separate", "--read-only", "--access", "exclusive"];
    let mount = cached(&flags, files.path(), cache.path(), "&access=exclusive")?;
    let path = mount.path().join("file");
    check::holds("through the server", fs::read(&path)? == content)?;
    // The kernel has its own copy of what it was sent; not of what it will read by itself.
    let mut open = File::open(&path)?;
    let server = *process::family(mount.pid())?.get(1).context("no server")?;
    process::kill(server);
    let mut all = Vec::new();
    open.read_to_end(&mut all)?;
    check::holds("without it", all == content)?;
    drop(open);
    mount.umount_command()
}

#[test]
fn a_full_disk_is_no_error() -> Result<()> {
    if !host::is_root() {
        skip!("mounting a small tmpfs needs root");
    }
    let (files, cache) = (scratch::memory()?, scratch::Tmpfs::new("size=1m,nr_inodes=100")?);
    let mount = cached(&[], files.path(), cache.path(), "&access=exclusive")?;
    for round in 0..2 {
        for number in 0..60_u8 {
            let (path, content) = (mount.path().join(number.to_string()), vec![number; 50_000]);
            if round == 0 {
                fs::write(&path, &content)?;
            }
            check::holds(&format!("file {number}"), fs::read(&path)? == content)?;
            check::holds("below", fs::read(files.path().join(number.to_string()))? == content)?;
        }
        // Somebody else takes what is left.
        fs::write(cache.path().join("ballast"), vec![1; 1 << 20]).unwrap_or_default();
    }
    mount.unmount()
}

#[test]
fn a_directory_has_one_process() -> Result<()> {
    let (files, cache) = (scratch::memory()?, scratch::disk()?);
    let mount = cached(&[], files.path(), cache.path(), "")?;
    let backend = format!("cache:mem:?dir={}", cache.path().display());
    let second = command::run(Command::new(bins::fusebridge()?).args(["run", &backend, "--", "true"]), LIMIT)?;
    let server = mount.pid();
    let wanted = format!("is in use by process {server}; give each process a cache directory of its own");
    check::holds(&second.describe(), second.stderr.contains(&wanted) && second.stderr.lines().count() == 1)?;
    let cli = |words: &[&str]| {
        let mut command = Command::new(bins::volumes()?);
        command::run(command.arg("cache").args(words).arg(cache.path()), LIMIT)
    };
    let status = cli(&["status"])?;
    check::holds(&status.describe(), status.stdout.starts_with(&format!("in use by process {server}\n")))?;
    let drop = cli(&["drop"])?;
    let wanted = format!("is in use by process {server}; unmount it, or stop that process, first\n");
    check::holds(&drop.describe(), drop.stderr.ends_with(&wanted) && drop.stderr.lines().count() == 1)?;
    fs::write(files.path().join("file"), "content")?;
    let warm = command::succeed(Command::new(bins::volumes()?).args(["cache", "warm"]).arg(mount.path()), LIMIT)?;
    check::equal("warmed", &warm.trim(), &"7 B in 1 file read")?;
    let missing = mount.path().join("missing");
    let mut warm = Command::new(bins::volumes()?);
    let warm = command::run(warm.args(["cache", "warm"]).args([files.path(), &missing]), LIMIT)?;
    let told = warm.stderr.lines().map(|line| line.contains("is not on a mount of a cache"));
    check::holds(&warm.describe(), told.eq([true, false]) && warm.stdout == "7 B in 1 file read\n")?;
    check::holds("it fails", !warm.status.success())?;
    mount.unmount()?;
    let status = cli(&["status"])?;
    check::holds(&status.describe(), status.stdout.starts_with("not in use\n") && status.stdout.contains(" 1 file  "))?;
    cli(&["drop"])?.success()?;
    check::equal("left", &cli(&["status"])?.stdout.as_str(), &"not in use\n")
}

#[test]
fn what_was_not_uploaded_is_told_of_and_can_be() -> Result<()> {
    let (files, cache) = (scratch::memory()?, scratch::disk()?);
    let options = "&access=exclusive&write=back";
    // No upload ends before the kill.
    let slow = PathBuf::from(format!("fault:{}?latency=2s@sync", files.path().display()));
    let mount = cached(&["--access", "exclusive"], &slow, cache.path(), options)?;
    fs::write(mount.path().join("file"), "content")?;
    process::kill(*process::family(mount.pid())?.get(1).context("no server")?);
    mount.umount_command()?;
    let volume = fs::read_dir(cache.path().join("volumes"))?.next().context("no volume")??.path();
    let name = fs::read(volume.join("backend"))?;
    let cli = |words: &[&str]| {
        let mut command = Command::new(bins::volumes()?);
        command.arg("cache").arg(words[0]).arg(cache.path()).args(&words[1..]);
        command::run(&mut command, LIMIT)
    };
    let status = cli(&["status"])?;
    check::holds(&status.describe(), status.stdout.contains(" 1 file  to be uploaded, the oldest change for "))?;
    let dropped = cli(&["drop"])?;
    let wanted = "does not have changes of 1 file that are in the cache; upload them with gofer-volumes cache flush, or \
                  lose them with --lose-changes\n";
    check::holds(&dropped.describe(), dropped.stderr.ends_with(wanted) && dropped.stderr.lines().count() == 1)?;
    fs::write(volume.join("backend"), "")?;
    let nameless = cli(&["flush"])?;
    let wanted = "the cache has changes of a backend whose name is damaged; mount that as before to upload them";
    check::holds(&nameless.describe(), nameless.stderr.contains(wanted) && !nameless.status.success())?;
    fs::write(volume.join("backend"), name)?;
    let flushed = cli(&["flush"])?.success()?;
    check::holds(&flushed, flushed.ends_with(" uploaded\n"))?;
    check::equal("below", &fs::read_to_string(files.path().join("file"))?.as_str(), &"content")?;
    let status = cli(&["status", "--json"])?;
    check::holds(&status.describe(), status.stdout.contains("\"dirty_files\": 0"))?;
    cli(&["drop"])?.success().map(drop)
}

#[test]
fn what_fails_again_and_again_is_told_of_once() -> Result<()> {
    let (files, cache) = (scratch::memory()?, scratch::disk()?);
    let failing = PathBuf::from(format!("fault:{}?error=EIO@sync", files.path().display()));
    let log = cache.path().join("log");
    let flags = ["--access", "exclusive", "--log-file", log.to_str().context("a path of ours")?];
    // Without access=, the cache has the mount's.
    let mount = cached(&flags, &failing, &cache.path().join("cache"), "&write=back")?;
    let file = File::create(mount.path().join("file"))?;
    for _ in 0..20 {
        // The error may have been told here, if somebody else has tried first.
        let written = file.write_all_at(b"content", 0);
        check::holds("a sync fails", file.sync_all().is_err() || written.is_err())?;
    }
    let text = fs::read_to_string(&log)?;
    check::equal(&format!("lines in {text}"), &text.lines().count(), &1)?;
    let status = Command::new(bins::volumes()?).args(["cache", "status"]).arg(cache.path().join("cache")).output()?;
    let status = String::from_utf8(status.stdout)?;
    check::holds(&status, status.contains(" 1 file  to be uploaded, "))?;
    drop(file);
    mount.unmount()
}

#[test]
fn a_mount_and_its_cache_that_contradict_each_other_are_told_of() -> Result<()> {
    let files = scratch::memory()?;
    for (mount, cache, lines) in [("exclusive", "shared", 1), ("shared", "exclusive", 1), ("exclusive", "exclusive", 0)]
    {
        for place in ["in-process", "separate"] {
            let directory = scratch::disk()?;
            let options = format!("?dir={}&access={cache}", directory.path().display());
            let mut run = Command::new(bins::fusebridge()?);
            run.args(["run", "--access", mount, "--server", place]);
            run.arg(format!("cache:{}{options}", files.path().display())).args(["--", "true"]);
            let outcome = command::run(&mut run, LIMIT)?;
            let wanted = format!("the mount is {mount}, its cache access={cache}: ");
            let told = outcome.stderr.lines().filter(|line| line.contains(&wanted)).count();
            check::equal(&outcome.describe(), &(told, outcome.status.success()), &(lines, true))?;
            check::equal(&outcome.describe(), &outcome.stderr.lines().count(), &lines)?;
        }
    }
    Ok(())
}

#[test]
fn a_damaged_cache_is_told_of_by_all_commands() -> Result<()> {
    let (files, cache) = (scratch::memory()?, scratch::disk()?);
    cached(&[], files.path(), cache.path(), "")?.unmount()?;
    fs::write(cache.path().join("format"), "nonsense\n")?;
    for words in [&["status"][..], &["flush"], &["drop", "--lose-changes"]] {
        let mut command = Command::new(bins::volumes()?);
        let outcome = command::run(command.arg("cache").args(words).arg(cache.path()), LIMIT)?;
        let is_told = outcome.stderr.contains("/format does not say \"gofer cache 1\"");
        check::holds(&outcome.describe(), is_told && outcome.stderr.lines().count() == 1 && !outcome.status.success())?;
    }
    check::holds("nothing is removed", cache.path().join("volumes").exists())
}

#[test]
fn caches_have_metrics() -> Result<()> {
    let (files, cache) = (scratch::memory()?, scratch::disk()?);
    let socket = cache.path().join("metrics");
    fs::write(files.path().join("file"), vec![7; 100_000])?;
    let directory = cache.path().join("cache");
    let volume = format!(
        "data = 'cache:{}?dir={}&access=exclusive&size=1g&free=0'",
        files.path().display(),
        directory.display()
    );
    let server = VolumeServer::with(&format!("metrics = 'unix:{}'", socket.display()), &volume)?;
    let mut command = Command::new(bins::fusebridge()?);
    let mount = Mount::start(command.args(["mnt", "--access", "shared", "--io", "rpc"]).arg(server.backend("data")))?;
    for _ in 0..3 {
        check::equal("bytes", &fs::read(mount.path().join("file"))?.len(), &100_000)?;
    }
    let mut stream = UnixStream::connect(&socket)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let value = |name: &str, labels: &str| -> Result<f64> {
        let start = format!("{name}{{cache=\"{}\"{labels}}} ", directory.display());
        let line = text.lines().find_map(|line| line.strip_prefix(&start));
        Ok(line.with_context(|| format!("no {start:?} in {text}"))?.parse()?)
    };
    check::holds("hits", value("gofer_cache_hits_total", ",tier=\"data\"")? >= 2.0)?;
    check::holds("misses", value("gofer_cache_misses_total", ",tier=\"data\"")? >= 1.0)?;
    check::holds("metadata", value("gofer_cache_hits_total", ",tier=\"metadata\"")? >= 1.0)?;
    check::holds("fetched", value("gofer_cache_fetched_bytes_total", "")? >= 100_000.0)?;
    check::holds("bytes", value("gofer_cache_bytes", "")? >= 100_000.0)?;
    check::equal("limit", &value("gofer_cache_limit_bytes", "")?, &f64::from(1 << 30))?;
    mount.unmount()?;
    server.stop()
}
