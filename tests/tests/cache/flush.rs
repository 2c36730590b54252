//! `gofer-volumes cache flush`, when a process was killed that had changes to upload.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::command::{self, Outcome};
use e2e::mount::Mount;
use e2e::{bins, check, process, scratch};

const LIMIT: Duration = Duration::from_secs(60);

fn cli(words: &[&str], cache: &Path) -> Result<Outcome> {
    command::run(Command::new(bins::volumes()?).arg("cache").args(words).arg(cache), LIMIT)
}

/// Writes `content` to `name` of `files`, by a process with its cache in `cache` that is killed before it has uploaded that.
fn killed(files: &Path, cache: &Path, name: &str, content: &str) -> Result<()> {
    let cache = format!("dir={}&free=0&access=exclusive&write=back", cache.display());
    // What the cache calls the backend must be what it is called later.
    let backend = format!("cache:{}?{cache}", files.display());
    let mut command = Command::new(bins::fusebridge()?);
    command.args(["mnt", "--server", "separate", "--access", "exclusive"]).arg(backend);
    let mount = Mount::start(&mut command)?;
    let server = *process::family(mount.pid())?.get(1).context("no server")?;
    fs::write(mount.path().join(name), content)?;
    process::kill(server);
    mount.umount_command()
}

/// The same, which may have uploaded it all the same if the machine is slow.
fn surely_killed(files: &Path, cache: &Path, name: &str, content: &str) -> Result<()> {
    for _ in 0..20 {
        killed(files, cache, name, content)?;
        if cli(&["status"], cache)?.stdout.contains("to be uploaded") {
            return Ok(());
        }
    }
    anyhow::bail!("it is always uploaded at once")
}

#[test]
fn a_backend_that_is_not_mounted_gets_nothing() -> Result<()> {
    let (scene, cache) = (scratch::memory()?, scratch::disk()?);
    let (files, away) = (scene.path().join("files"), scene.path().join("away"));
    fs::create_dir(&files)?;
    surely_killed(&files, cache.path(), "doc", "acknowledged")?;
    fs::rename(&files, &away)?;
    fs::create_dir(&files)?;
    let flushed = cli(&["flush"], cache.path())?;
    let said = flushed.stderr.contains("another directory than the one that the changes in the cache are for");
    check::holds(&flushed.describe(), !flushed.status.success() && said && flushed.stdout.starts_with("0 B "))?;
    check::equal("what the wrong one got", &files.read_dir()?.count(), &0)?;
    fs::remove_dir(&files)?;
    fs::rename(&away, &files)?;
    cli(&["flush"], cache.path())?.success()?;
    check::equal("below", &fs::read_to_string(files.join("doc"))?.as_str(), &"acknowledged")
}

#[test]
fn what_was_replaced_is_kept_until_somebody_decides() -> Result<()> {
    let (files, cache) = (scratch::memory()?, scratch::disk()?);
    surely_killed(files.path(), cache.path(), "doc", "acknowledged")?;
    let doc = files.path().join("doc");
    fs::write(files.path().join("other"), "other")?;
    fs::rename(files.path().join("other"), &doc)?;
    for words in [&["flush"], &["flush"], &["drop"]] {
        let ended = cli(words, cache.path())?;
        check::holds(&ended.describe(), !ended.status.success() && ended.stderr.contains("--by-path"))?;
    }
    check::equal("below", &fs::read_to_string(&doc)?.as_str(), &"other")?;
    cli(&["flush", "--by-path"], cache.path())?.success()?;
    check::equal("below", &fs::read_to_string(&doc)?.as_str(), &"acknowledged")?;
    cli(&["drop"], cache.path())?.success().map(drop)
}

#[test]
fn one_backend_does_not_keep_others_from_theirs() -> Result<()> {
    let (scene, cache) = (scratch::memory()?, scratch::disk()?);
    let all: Vec<PathBuf> = ["a", "b", "c"].iter().map(|name| scene.path().join(name)).collect();
    for files in &all {
        fs::create_dir(files)?;
        surely_killed(files, cache.path(), "doc", "acknowledged")?;
    }
    fs::rename(&all[1], scene.path().join("away"))?;
    let flushed = cli(&["flush"], cache.path())?;
    check::holds(&flushed.describe(), !flushed.status.success() && flushed.stderr.contains("/b lacks changes"))?;
    for files in [&all[0], &all[2]] {
        check::equal("below", &fs::read_to_string(files.join("doc"))?.as_str(), &"acknowledged")?;
    }
    Ok(())
}
