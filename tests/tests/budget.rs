//! Fewer descriptors than files: a large tree is walked under small limits, and nothing stays behind.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::{check, command, host, process, scratch, skip, wait};
use tempfile::TempDir;

const FILES: u32 = 100_000;
const PER_DIRECTORY: u32 = 500;
const LIMIT: Duration = Duration::from_secs(180);
/// Before caches are dropped again, which are those of the whole machine.
const PAUSE: Duration = Duration::from_millis(100);

/// A tree of small and empty files.
fn tree() -> Result<TempDir> {
    let root = scratch::memory()?;
    for number in 0..FILES {
        let directory = root.path().join(format!("directory-{}", number / PER_DIRECTORY));
        if number % PER_DIRECTORY == 0 {
            fs::create_dir(&directory)?;
        }
        let file = File::create(directory.join(format!("file-{number}")))?;
        // Half of them have a size.
        if number % 2 == 0 {
            file.set_len(1)?;
        }
    }
    Ok(root)
}

fn walk(directory: &Path) -> Result<()> {
    let mut find = Command::new("find");
    // "-size" asks for the attributes of every file.
    find.arg(directory).args(["-type", "f", "-size", "-1", "-printf", "."]);
    let dots = command::succeed(&mut find, LIMIT)?;
    check::equal("empty files", &dots.len(), &(FILES as usize / 2))
}

/// Descriptors and memory of the bridge and its server.
fn use_of(mount: &Mount) -> Result<(usize, u64)> {
    let mut sum = (0, 0);
    for pid in process::family(mount.pid())? {
        sum.0 += process::descriptors(pid)?;
        sum.1 += process::memory_kib(pid)?;
    }
    Ok(sum)
}

/// Walks the tree with at most `limit` descriptors for each process.
fn walk_with(limit: u32) -> Result<()> {
    let tree = tree()?;
    let mut command = mount::command(Io::Auto, Access::Exclusive)?;
    command.arg(mount::backend(tree.path()));
    let mount = Mount::start(&mut process::with_descriptor_limit(&command, limit))?;
    walk(mount.path()).with_context(|| mount.warnings())?;
    for pid in process::family(mount.pid())? {
        check::holds("the limit is kept", process::descriptors(pid)? <= limit as usize)?;
    }
    // Everything still works: old names, new files, many open at once.
    let some = mount.path().join("directory-0/file-0");
    check::equal("size", &fs::metadata(&some)?.len(), &1)?;
    let open: Vec<File> = (0..200)
        .map(|number| File::open(mount.path().join(format!("directory-7/file-{}", 3500 + number))))
        .collect::<Result<_, _>>()?;
    fs::write(mount.path().join("directory-1/new"), "new")?;
    check::equal("below", &fs::read_to_string(tree.path().join("directory-1/new"))?.as_str(), &"new")?;
    fs::remove_file(mount.path().join("directory-1/new"))?;
    drop(open);
    walk(mount.path())?;
    mount.unmount()
}

#[test]
fn a_hundred_thousand_files_under_twenty_thousand_descriptors() -> Result<()> {
    walk_with(20_000)
}

#[test]
fn a_hundred_thousand_files_under_a_thousand_descriptors() -> Result<()> {
    walk_with(1000)
}

#[test]
fn nothing_leaks_when_the_kernel_forgets() -> Result<()> {
    if !host::is_root() {
        skip!("dropping the kernel's caches needs root");
    }
    let tree = tree()?;
    let mut command = mount::command(Io::Auto, Access::Exclusive)?;
    // Else a thread that is not needed before the last round takes memory of its own then, and its channel does.
    command.env("MALLOC_ARENA_MAX", "2").args(["--threads", "2"]).arg(mount::backend(tree.path()));
    let mount = Mount::start(&mut command)?;
    let idle = use_of(&mount)?;
    let mut after = Vec::new();
    for _ in 0..3 {
        walk(mount.path())?;
        let full = use_of(&mount)?;
        // The forgets arrive after the caches are dropped, and closing is batched. What the kernel was still using
        // when it was asked stays, so it is asked again.
        let few = idle.0 + 30;
        let given_back = || use_of(&mount).is_ok_and(|now| now.0 <= few);
        wait::until("descriptors are given back", LIMIT, || {
            host::drop_caches().is_ok() && wait::until("this time", PAUSE, given_back).is_ok()
        })
        .with_context(|| format!("idle {idle:?}, full {full:?}, now {:?}", use_of(&mount)))?;
        after.push(use_of(&mount)?);
    }
    // Allocators keep some memory for the next time, and a call that took long may have brought a thread and a channel
    // along. What leaks is more each time.
    let adds = |rounds: &[(usize, u64)]| rounds[1].1 > rounds[0].1 + rounds[0].1 / 10 + 2048;
    if after.windows(2).all(adds) {
        bail!("descriptors and KiB: idle {idle:?}, after each walk {after:?}");
    }
    mount.unmount()
}
