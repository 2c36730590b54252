//! How many messages an operation costs, as `gofer/docs/architecture.md` says it.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::{bins, check, command, scratch};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// Files in the directory that is mounted, and in the repository that is cloned.
const FILES: usize = 60;

/// What is not of one operation: made ahead, or in batches whenever there is time.
const APART: &[&str] = &["Mount", "Channel", "Close"];

/// A directory with so many files.
fn directory(files: usize) -> Result<TempDir> {
    let directory = scratch::memory()?;
    for number in 0..files {
        fs::write(directory.path().join(format!("file{number}")), "content")?;
    }
    Ok(directory)
}

/// The names of the messages that it takes to do `work` in a new mount of `backend`; `$1` is `repository`.
fn sent(access: Access, backend: &OsStr, repository: &Path, work: &str) -> Result<Vec<String>> {
    let place = scratch::memory()?;
    let trace = place.path().join("trace");
    let mut command = mount::command(Io::Rpc, access)?;
    let mount = Mount::start(command.arg("--trace").arg(&trace).arg(backend))?;
    let mut shell = Command::new("sh");
    shell.args(["-euc", work, "sh"]).arg(repository).current_dir(mount.path());
    command::succeed(&mut shell, LIMIT)?;
    mount.unmount()?;
    let shown = command::succeed(Command::new(bins::fusebridge()?).args(["trace", "show"]).arg(&trace), LIMIT)?;
    let name =
        |line: &str| line.split_whitespace().find(|word| word.starts_with(char::is_uppercase)).map(str::to_owned);
    Ok(shown.lines().filter_map(name).filter(|name| !APART.contains(&name.as_str())).collect())
}

/// How many messages it takes to do `work` in a new mount of a directory with files.
fn messages(access: Access, repository: &Path, work: &str) -> Result<usize> {
    let directory = directory(FILES)?;
    Ok(sent(access, &mount::backend(directory.path()), repository, work)?.len())
}

/// A repository with a commit.
fn repository(place: &Path) -> Result<()> {
    let git = "git init -q; i=0; while [ $i -lt 60 ]; do echo $i >file$i; i=$((i+1)); done; git add .; \
               git -c user.name=n -c user.email=e -c gc.auto=0 commit -qm c";
    command::succeed(Command::new("sh").args(["-euc", git]).current_dir(place), LIMIT).map(drop)
}

/// A row's operation, and its numbers for shared and exclusive mounts.
fn row(line: &str) -> Option<(&str, [usize; 2])> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let (_, work) = (cells.next()?, cells.next()?.strip_prefix('`')?.strip_suffix('`')?);
    Some((work, [cells.next()?.parse().ok()?, cells.next()?.parse().ok()?]))
}

#[test]
fn operations_cost_as_many_messages_as_the_table_says() -> Result<()> {
    let place = scratch::memory()?;
    repository(place.path())?;
    let text = fs::read_to_string(bins::workspace().join("gofer/docs/architecture.md"))?;
    let (_, section) = text.split_once("## How many messages").context("no such section")?;
    let rows: Vec<_> = section.lines().filter_map(row).collect();
    check::equal("rows", &rows.len(), &5)?;
    for (index, access) in [Access::Shared, Access::Exclusive].into_iter().enumerate() {
        let idle = messages(access, place.path(), "true")?;
        for (work, numbers) in &rows {
            let counted = messages(access, place.path(), work)?.saturating_sub(idle);
            let told = numbers[index];
            // Some are made by threads and processes beside each other, or by versions of programs.
            let few = told / 5 + 1;
            check::holds(&format!("{access:?}: {work}: {counted}, {told} are told"), counted.abs_diff(told) <= few)?;
        }
    }
    Ok(())
}

#[test]
fn names_are_listed_without_attributes_where_these_take_long() -> Result<()> {
    const MANY: usize = 1200;
    let (directory, place) = (directory(MANY)?, scratch::memory()?);
    let looked_up = |backend: String| -> Result<usize> {
        let sent = sent(Access::Exclusive, backend.as_ref(), place.path(), "test $(ls | wc -l) = 1200")?;
        Ok(sent.iter().filter(|name| name.starts_with("Walk")).count())
    };
    let quick = looked_up(format!("host:{}", directory.path().display()))?;
    check::holds(&format!("all of {quick}"), quick >= MANY)?;
    // One request of the kernel has a few hundred files.
    let slow = looked_up(format!("fault:host:{}?latency=2ms@walk", directory.path().display()))?;
    check::holds(&format!("the first of {slow}"), slow < MANY / 2)
}
