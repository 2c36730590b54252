//! Through a cache, nothing fails that does not fail without it.

use std::ffi::OsString;

use ::conform::Outcome;
use anyhow::Result;
use e2e::modes::Access;
use e2e::{check, conform, host, scratch, skip};

fn conforms(backend: &str, access: Access, options: &str) -> Result<()> {
    if !host::is_root() {
        skip!("most of the suite needs root");
    }
    let cache = scratch::memory()?;
    // Little enough for blocks to go.
    let argument =
        format!("cache:{backend}?dir={}&access={}&size=16m&free=0{options}", cache.path().display(), access.word());
    let mut arguments: Vec<OsString> =
        ["--suite", "mount,fsx", "--access", access.word(), "--expect"].map(Into::into).into();
    arguments.extend([conform::expectations("host").into(), argument.into()]);
    let run = conform::run(arguments)?;
    // How soon it is unmounted depends on who else looks at mounts meanwhile, as the containers beside this do.
    let (cases, counts) = run.suite("mount")?;
    check::holds("the suite mount is whole", cases.len() > 200)?;
    check::equal("failed", &counts.failed, &0)?;
    let skipped = cases.iter().filter(|case| matches!(case.outcome, Outcome::Skipped { .. }));
    check::holds("few are skipped", skipped.count() <= 6)?;
    check::equal("passed", &run.suite("fsx")?.1.passed, &2)
}

#[test]
fn before_a_host_directory() -> Result<()> {
    let files = scratch::open_to_all()?;
    conforms(&files.path().display().to_string(), Access::Exclusive, "")?;
    check::equal("files left behind", &files.path().read_dir()?.count(), &0)
}

#[test]
fn before_files_in_memory() -> Result<()> {
    conforms("mem:mode=1777", Access::Shared, "")
}

#[test]
fn before_a_host_directory_that_is_written_back() -> Result<()> {
    let files = scratch::open_to_all()?;
    conforms(&files.path().display().to_string(), Access::Exclusive, "&write=back")?;
    check::equal("files left behind", &files.path().read_dir()?.count(), &0)
}
