//! What the documentation tells people to type works. (Its Rust code is tested by rustdoc.)

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use e2e::{bins, cargo, command, crypt, host, skip};

/// A program may have to be built first.
const LIMIT: Duration = Duration::from_secs(600);

/// The shell commands in a Markdown text.
fn shell_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while lines.by_ref().any(|line| line == "```sh") {
        blocks.push(lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n")).collect());
    }
    blocks
}

/// The search path with the programs that the documentation takes for installed.
fn search_path() -> Result<OsString> {
    let inherited = env::var_os("PATH").unwrap_or_default();
    let directories = [bins::directory()?.to_path_buf()];
    Ok(env::join_paths(directories.into_iter().chain(env::split_paths(&inherited)))?)
}

/// Runs the shell commands of a chapter, of which there must be so many at least.
fn chapter(path: &str, least: usize) -> Result<()> {
    let workspace = bins::workspace();
    let blocks = shell_blocks(&fs::read_to_string(workspace.join(path))?);
    if blocks.len() < least {
        bail!("only {} blocks of shell commands were found", blocks.len());
    }
    for mut block in blocks {
        // Where cargo builds if it is told to.
        if let Some(target) = env::var_os("CARGO_TARGET_DIR").filter(|target| !target.is_empty()) {
            block = block.replace("target/debug/", &format!("{}/debug/", target.display()));
        }
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", &block]).current_dir(&workspace);
        shell.env("PATH", search_path()?);
        cargo::forget_package(&mut shell);
        command::succeed(&mut shell, LIMIT).context(block)?;
    }
    Ok(())
}

#[test]
fn the_chapter_on_writing_file_systems() -> Result<()> {
    if !host::is_root() {
        skip!("the chapter runs pjdfstest, which needs root");
    }
    chapter("gofer/docs/extending.md", 3)
}

#[test]
fn the_chapter_on_encrypted_volumes() -> Result<()> {
    if !crypt::has_gocryptfs() {
        skip!("the chapter runs gocryptfs (cargo xtask setup installs it), which needs /dev/fuse and root");
    }
    chapter("gofer/docs/crypt.md", 2)
}

#[test]
fn the_chapter_on_caches() -> Result<()> {
    chapter("gofer/docs/cache.md", 1)
}

#[test]
fn the_chapter_on_conformance() -> Result<()> {
    if !host::is_root() {
        skip!("the chapter runs pjdfstest, which needs root");
    }
    chapter("fusebridge/docs/conformance.md", 3)
}

#[test]
fn the_number_of_tests_in_the_readme() -> Result<()> {
    let mut list = Command::new(bins::fusebridge()?);
    let tests = command::succeed(list.args(["conform", "--list"]), LIMIT)?.lines().count();
    let readme = fs::read_to_string(bins::workspace().join("README.md"))?;
    let claim = format!("none of {tests} tests of our own fails");
    if readme.contains(&claim) { Ok(()) } else { bail!("README.md does not say {claim:?}") }
}
