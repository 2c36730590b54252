//! How many messages an operation costs, as `gofer/docs/architecture.md` says it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::{bins, check, command, scratch};

const LIMIT: Duration = Duration::from_secs(60);

/// Files in the directory that is mounted, and in the repository that is cloned.
const FILES: usize = 60;

/// What is not of one operation: made ahead, or in batches whenever there is time.
const APART: &[&str] = &["Mount", "Channel", "Close"];

/// How many messages it takes to do `work` in a new mount of a directory with files.
fn messages(access: Access, repository: &Path, work: &str) -> Result<usize> {
    let (directory, place) = (scratch::memory()?, scratch::memory()?);
    for number in 0..FILES {
        fs::write(directory.path().join(format!("file{number}")), "content")?;
    }
    let trace = place.path().join("trace");
    let mut command = mount::command(Io::Rpc, access)?;
    let mount = Mount::start(command.arg("--trace").arg(&trace).arg(mount::backend(directory.path())))?;
    let mut shell = Command::new("sh");
    shell.args(["-euc", work, "sh"]).arg(repository).current_dir(mount.path());
    command::succeed(&mut shell, LIMIT)?;
    mount.unmount()?;
    let shown = command::succeed(Command::new(bins::fusebridge()?).args(["trace", "show"]).arg(&trace), LIMIT)?;
    let name =
        |line: &str| line.split_whitespace().find(|word| word.starts_with(char::is_uppercase)).map(str::to_owned);
    Ok(shown.lines().filter_map(name).filter(|name| !APART.contains(&name.as_str())).count())
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
