//! The same files by gocryptfs and by us: what one has made, the other reads, changes, and gives back.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};
use e2e::crypt::{Config, Volume, has_gocryptfs};
use e2e::modes::Access;
use e2e::{check, scratch, skip};
use rustix::fs::{FallocateFlags, fallocate};

use crate::tree::{self, Tree};

/// Does `work` in our mount.
fn in_ours<T>(volume: &Volume, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let mount = volume.mount(Access::Exclusive)?;
    let outcome = work(mount.path())?;
    mount.unmount()?;
    Ok(outcome)
}

fn goes_both_ways(options: &[&str]) -> Result<()> {
    if !has_gocryptfs() {
        skip!("there is no gocryptfs that could mount");
    }
    let volume = Volume::of_gocryptfs(options)?;
    // The same on a file system of the host's: what is expected.
    let expected = scratch::disk()?;
    let both =
        |work: &dyn Fn(&Path) -> Result<()>| ["of ours", "of theirs"].iter().try_for_each(|name| work(Path::new(name)));
    both(&|name| {
        std::fs::create_dir(expected.path().join(name))?;
        tree::make(&expected.path().join(name))
    })?;
    let make = |root: &Path, name: &str| {
        std::fs::create_dir(root.join(name))?;
        tree::make(&root.join(name))
    };
    volume.in_gocryptfs(|root| make(root, "of theirs")).context("gocryptfs makes files")?;
    in_ours(&volume, |root| {
        make(root, "of ours")?;
        Tree::of(root)?.is(&Tree::of(expected.path())?)
    })
    .context("we read what gocryptfs has made")?;
    volume
        .in_gocryptfs(|root| {
            Tree::of(root)?.is(&Tree::of(expected.path())?)?;
            both(&|name| tree::change(&root.join(name), 1))
        })
        .context("gocryptfs reads what we have made")?;
    both(&|name| tree::change(&expected.path().join(name), 1))?;
    in_ours(&volume, |root| {
        Tree::of(root)?.is(&Tree::of(expected.path())?)?;
        both(&|name| tree::change(&root.join(name), 2))?;
        both(&|name| tree::punch(&root.join(name)))
    })
    .context("we read what gocryptfs has changed")?;
    both(&|name| tree::change(&expected.path().join(name), 2))?;
    both(&|name| tree::punch(&expected.path().join(name)))?;
    volume
        .in_gocryptfs(|root| Tree::of(root)?.is(&Tree::of(expected.path())?))
        .context("gocryptfs reads what we have changed")?;
    volume.check()
}

#[test]
fn by_default() -> Result<()> {
    goes_both_ways(&[])
}

#[test]
fn with_xchacha() -> Result<()> {
    goes_both_ways(&["-xchacha", "-longnamemax", "62"])
}

#[test]
fn with_plain_names() -> Result<()> {
    goes_both_ways(&["-plaintextnames"])
}

#[test]
fn with_deterministic_names() -> Result<()> {
    goes_both_ways(&["-deterministic-names"])
}

/// Numbers that look random, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// What fsx does, but the file stays, and gocryptfs looks at it.
#[test]
fn a_file_with_a_long_history() -> Result<()> {
    const MOST: u64 = 300_000;
    let volume = Volume::new(Config::Default)?;
    let mut numbers = Numbers(14);
    let mut expected: Vec<u8> = Vec::new();
    in_ours(&volume, |root| {
        let file = File::options().read(true).write(true).create_new(true).open(root.join("file"))?;
        for step in 0..400_u64 {
            let (at, len) = (numbers.below(MOST), numbers.below(20_000) + 1);
            let (start, end) = (usize::try_from(at)?, usize::try_from(at + len)?);
            match numbers.below(6) {
                0 | 1 => {
                    let bytes = vec![u8::try_from(step % 255)? + 1; end - start];
                    file.write_all_at(&bytes, at)?;
                    expected.resize(expected.len().max(end), 0);
                    expected[start..end].copy_from_slice(&bytes);
                }
                2 => {
                    file.set_len(at)?;
                    expected.resize(start, 0);
                }
                3 => {
                    fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len)?;
                    let (start, end) = (start.min(expected.len()), end.min(expected.len()));
                    expected[start..end].fill(0);
                }
                4 => {
                    fallocate(&file, FallocateFlags::empty(), at, len)?;
                    expected.resize(expected.len().max(end), 0);
                }
                _ => {
                    let mut bytes = vec![0; end - start];
                    let count = file.read_at(&mut bytes, at)?;
                    let wanted = expected.get(start..end.min(expected.len())).unwrap_or_default();
                    check::holds(&format!("what is read in step {step}"), bytes[..count] == *wanted)?;
                }
            }
            check::equal(&format!("size after step {step}"), &file.metadata()?.len(), &(expected.len() as u64))?;
        }
        check::holds("all of it", std::fs::read(root.join("file"))? == expected)
    })?;
    if !has_gocryptfs() {
        skip!("there is no gocryptfs that could mount");
    }
    volume.in_gocryptfs(|root| check::holds("what gocryptfs reads", std::fs::read(root.join("file"))? == expected))?;
    volume.check()
}
