//! A tree of source files, in an archive.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use e2e::{command, scratch};
use tempfile::TempDir;

/// For each program that is run.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The name of the archive.
pub(crate) const ARCHIVE: &str = "tree.tar";

/// Makes the archive in a new directory. The sizes of the files are as in a source tree: most of them small, few large.
pub(crate) fn make(directories: u32, files_in_each: u32) -> Result<TempDir> {
    let scratch = scratch::memory()?;
    for directory in 0..directories {
        let path = scratch.path().join(format!("tree/directory-{directory}"));
        fs::create_dir_all(&path)?;
        for file in 0..files_in_each {
            fs::write(path.join(format!("file-{file}.txt")), content(directory * files_in_each + file))?;
        }
    }
    tar(scratch.path(), &["cf", ARCHIVE, "tree"])?;
    fs::remove_dir_all(scratch.path().join("tree"))?;
    Ok(scratch)
}

/// 200 bytes to 52 kB, 7 kB on average.
fn content(number: u32) -> String {
    let lines = 10 << (number % 9);
    format!("line of {number}, of some\n").chars().cycle().take(lines * 20).collect()
}

/// Runs tar in `directory`.
pub(crate) fn tar(directory: &Path, arguments: &[&str]) -> Result<()> {
    command::succeed(Command::new("tar").args(arguments).current_dir(directory), LIMIT).map(drop)
}
