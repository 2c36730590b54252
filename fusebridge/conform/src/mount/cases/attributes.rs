//! Attributes of files, and of the file system.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{FallocateFlags, copy_file_range, fallocate, statvfs};

use super::mapping::Mapping;
use crate::mount::check::{Expect, Verdict, equal, holds, skip};
use crate::mount::scene::Scene;

cases! { "attributes":
    size = "a file's size is the number of bytes written";
    size_of_symlinks = "a symbolic link's size is its target's length";
    blocks = "written data takes up blocks";
    blocks_change = "st_blocks is right after every kind of change";
    inode_numbers = "inode numbers are unique and stable";
    one_device = "all files are on one device";
    by_handle = "fstat and stat agree";
    statfs = "statfs returns plausible figures";
    statfs_of_files = "statfs gives the same file system for every file";
    fresh = "attributes are right after each of a series of changes";
    kinds = "every file has the type it was created with";
}

fn size(scene: &Scene) -> Verdict {
    for length in [0, 1, 4095, 4096, 100_000] {
        let name = format!("{length}");
        scene.write(&name, &vec![b'x'; length])?;
        equal(format_args!("stat({name}).st_size"), scene.stat(&name)?.len(), length as u64)?;
    }
    Ok(())
}

fn size_of_symlinks(scene: &Scene) -> Verdict {
    std::os::unix::fs::symlink("twelve-bytes", scene.at("s")).offered("symlink(twelve-bytes, s)")?;
    equal("lstat(s).st_size", scene.lstat("s")?.len(), 12)
}

fn blocks(scene: &Scene) -> Verdict {
    let file = scene.file("a", &vec![b'x'; 1 << 20])?;
    file.sync_all().of("fsync(a)")?;
    let blocks = scene.stat("a")?.blocks();
    holds("stat(a).st_blocks of 1 MiB", "more than 0", blocks > 0, blocks)
}

fn blocks_change(scene: &Scene) -> Verdict {
    const PART: usize = 256 << 10;
    let file = scene.file("a", &vec![b'x'; PART])?;
    let other = scene.open_rw("a")?;
    let taken = || -> Verdict<u64> {
        // Space may be given only when data goes to the disk.
        file.sync_all().of("fsync(a)")?;
        scene.stat("a").map(|stat| stat.blocks())
    };
    let mut before = taken()?;
    if before == 0 {
        return skip("files take no space");
    }
    other.set_len(4 * PART as u64).of("ftruncate(a)")?;
    let hole = taken()?;
    if hole > before {
        return skip("holes take space");
    }
    let mut map = Mapping::shared(&file, 4 * PART)?;
    (PART..2 * PART).step_by(512).for_each(|index| map.set(index, b'm'));
    map.flush()?;
    let mut more = |what: &str| {
        let actual = taken()?;
        let outcome = holds(
            format_args!("stat(a).st_blocks after {what}"),
            &format!("more than {before}"),
            actual > before,
            actual,
        );
        before = actual;
        outcome
    };
    more("stores in a mapping of a hole")?;
    other.write_all_at(&vec![b'y'; PART], 2 * PART as u64).of("pwrite(a)")?;
    more("pwrite(a) in a hole by another descriptor")?;
    fallocate(&other, FallocateFlags::empty(), 3 * PART as u64, PART as u64).offered("fallocate(a)")?;
    more("fallocate(a) in a hole")?;
    let from = scene.file("b", &vec![b'b'; PART])?;
    let copied = copy_file_range(&from, Some(&mut 0), &other, Some(&mut (4 * PART as u64)), PART);
    copied.offered("copy_file_range(b, a)")?;
    more("copy_file_range(b, a) past the end")?;
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    fallocate(&other, punch, 0, PART as u64).offered("fallocate(a, FALLOC_FL_PUNCH_HOLE)")?;
    let actual = taken()?;
    holds("stat(a).st_blocks after FALLOC_FL_PUNCH_HOLE", &format!("less than {before}"), actual < before, actual)?;
    nix::unistd::truncate(&scene.at("a"), 0).of("truncate(a, 0)")?;
    let actual = taken()?;
    holds("stat(a).st_blocks after truncate(a, 0)", "less than 16", actual < 16, actual)
}

fn inode_numbers(scene: &Scene) -> Verdict {
    let mut seen = BTreeSet::new();
    for number in 0..50 {
        let name = format!("{number}");
        scene.write(&name, b"")?;
        let ino = scene.stat(&name)?.ino();
        holds(format_args!("stat({name}).st_ino"), "a number of its own, not 0", ino != 0 && seen.insert(ino), ino)?;
    }
    let again: BTreeSet<u64> =
        (0..50).map(|number| scene.stat(&format!("{number}")).map(|stat| stat.ino())).collect::<Verdict<_>>()?;
    equal("st_ino of all files, asked again", again, seen)
}

fn one_device(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    scene.write("d/a", b"")?;
    let device = scene.stat("")?.dev();
    equal("stat(d).st_dev", scene.stat("d")?.dev(), device)?;
    equal("stat(d/a).st_dev", scene.stat("d/a")?.dev(), device)
}

fn by_handle(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"12345")?;
    scene.chmod("a", 0o751)?;
    let (by_name, by_handle) = (scene.stat("a")?, file.metadata().of("fstat(a)")?);
    let shown = |stat: &fs::Metadata| {
        (stat.ino(), stat.mode(), stat.nlink(), stat.uid(), stat.gid(), stat.len(), stat.mtime(), stat.mtime_nsec())
    };
    equal("fstat(a), beside stat(a)", shown(&by_handle), shown(&by_name))
}

fn statfs(scene: &Scene) -> Verdict {
    let stat = statvfs(&scene.directory).of("statvfs(.)")?;
    let size = stat.f_frsize;
    holds("statvfs(.).f_frsize", "a power of two from 512 on", size.is_power_of_two() && size >= 512, size)?;
    holds(
        "statvfs(.).f_bfree",
        "not more than f_blocks",
        stat.f_bfree <= stat.f_blocks,
        (stat.f_bfree, stat.f_blocks),
    )?;
    holds(
        "statvfs(.).f_bavail",
        "not more than f_bfree",
        stat.f_bavail <= stat.f_bfree,
        (stat.f_bavail, stat.f_bfree),
    )?;
    holds("statvfs(.).f_ffree", "not more than f_files", stat.f_ffree <= stat.f_files, (stat.f_ffree, stat.f_files))?;
    holds("statvfs(.).f_blocks", "not 0", stat.f_blocks > 0, stat.f_blocks)?;
    equal("statvfs(.).f_namemax", stat.f_namemax, 255)
}

fn statfs_of_files(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"x")?;
    let root = statvfs(&scene.directory).of("statvfs(.)")?;
    let by_path = statvfs(scene.at("a")).of("statvfs(a)")?;
    let by_handle = rustix::fs::fstatvfs(&file).of("fstatvfs(a)")?;
    equal("statvfs(a): blocks and size", (by_path.f_blocks, by_path.f_frsize), (root.f_blocks, root.f_frsize))?;
    equal("fstatvfs(a): blocks and size", (by_handle.f_blocks, by_handle.f_frsize), (root.f_blocks, root.f_frsize))
}

fn fresh(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"")?;
    for round in 1..=20_u64 {
        file.write_all_at(b"x", round * 10 - 1).of("pwrite(a)")?;
        equal("stat(a).st_size after pwrite(a)", scene.stat("a")?.len(), round * 10)?;
        let mode = 0o600 + u32::try_from(round % 8).unwrap_or(0);
        scene.chmod("a", mode)?;
        equal("stat(a).st_mode after chmod(a)", scene.stat("a")?.mode() & 0o7777, mode)?;
    }
    Ok(())
}

fn kinds(scene: &Scene) -> Verdict {
    scene.write("a", b"")?;
    scene.dir("d")?;
    std::os::unix::fs::symlink("a", scene.at("s")).offered("symlink(a, s)")?;
    equal("stat(a) is a regular file", scene.lstat("a")?.is_file(), true)?;
    equal("stat(d) is a directory", scene.lstat("d")?.is_dir(), true)?;
    equal("lstat(s) is a symbolic link", scene.lstat("s")?.is_symlink(), true)
}
