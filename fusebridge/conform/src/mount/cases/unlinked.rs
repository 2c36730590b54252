//! Open files without a name.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::errno::Errno;
use rustix::fs::{AtFlags, CWD, Mode};

use crate::mount::check::{Expect, Verdict, equal, fails, holds, same_bytes};
use crate::mount::scene::Scene;

cases! { "unlinked":
    data = "an unlinked open file can be read and written";
    size = "an unlinked open file can be truncated, and reports its size";
    attributes = "mode and times of an unlinked open file can be set";
    no_other_name = "no hidden name remains while the file is open";
    name_anew = "a new file of the same name is a different file";
    replaced = "a file replaced by rename lives on while it is open";
    reopened = "an unlinked open file can be reopened through /proc";
    not_linked = "an unlinked file cannot be linked again";
    directory = "nothing can be created in a removed directory";
    moved_open = "an open file survives a move to another directory";
    attributes_by_name = "a removed file cannot be found";
}

fn data(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"before")?;
    scene.unlink("a")?;
    file.write_all_at(b" after", 6).of("pwrite(a) without a name")?;
    let mut bytes = vec![0; 12];
    file.read_exact_at(&mut bytes, 0).of("pread(a) without a name")?;
    same_bytes("pread(a) without a name", &bytes, b"before after")
}

fn size(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"0123456789")?;
    scene.unlink("a")?;
    file.set_len(3).of("ftruncate(a, 3) without a name")?;
    let stat = file.metadata().of("fstat(a)")?;
    equal("fstat(a).st_size after ftruncate(a, 3)", stat.len(), 3)?;
    equal("fstat(a).st_nlink without a name", stat.nlink(), 0)
}

fn attributes(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"x")?;
    scene.unlink("a")?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o604)).of("fchmod(a, 0604) without a name")?;
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(7)).of("futimens(a) without a name")?;
    let stat = file.metadata().of("fstat(a)")?;
    equal("fstat(a).st_mode after fchmod(a, 0604)", format!("{:#o}", stat.mode() & 0o7777), "0o604")?;
    equal("fstat(a).st_mtime after futimens(a, 7)", stat.mtime(), 7)
}

fn no_other_name(scene: &Scene) -> Verdict {
    let directory = scene.dir("d")?;
    let held = scene.file("d/a", b"x")?;
    scene.unlink("d/a")?;
    equal("readdir(d) after unlink(d/a)", scene.names("d")?, Vec::<String>::new())?;
    fs::remove_dir(directory).of("rmdir(d) while its removed file is open")?;
    drop(held);
    Ok(())
}

fn name_anew(scene: &Scene) -> Verdict {
    let old = scene.file("a", b"old")?;
    scene.unlink("a")?;
    scene.write("a", b"new one")?;
    let stat = old.metadata().of("fstat(a)")?;
    holds("stat(a).st_ino of a new file", "another number", scene.stat("a")?.ino() != stat.ino(), stat.ino())?;
    equal("fstat(a).st_size of the old file", stat.len(), 3)?;
    same_bytes("read(a)", &scene.read("a")?, b"new one")
}

fn replaced(scene: &Scene) -> Verdict {
    let old = scene.file("a", b"old")?;
    scene.write("b", b"new")?;
    scene.rename("b", "a")?;
    let mut bytes = [0; 3];
    old.read_exact_at(&mut bytes, 0).of("pread(a) of the replaced file")?;
    same_bytes("pread(a) of the replaced file", &bytes, b"old")?;
    equal("fstat(a).st_nlink of the replaced file", old.metadata().of("fstat(a)")?.nlink(), 0)?;
    same_bytes("read(a)", &scene.read("a")?, b"new")
}

fn reopened(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"content")?;
    scene.unlink("a")?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    same_bytes(
        "read(/proc/self/fd/N) of a file without a name",
        &fs::read(path).of("open(/proc/self/fd/N)")?,
        b"content",
    )
}

fn not_linked(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"content")?;
    scene.unlink("a")?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let linked = rustix::fs::linkat(CWD, path, CWD, scene.at("b"), AtFlags::SYMLINK_FOLLOW);
    fails("linkat(fd, b) of a file without a name", linked, &[Errno::ENOENT])
}

fn directory(scene: &Scene) -> Verdict {
    let path = scene.dir("d")?;
    let held = File::open(&path).of("open(d)")?;
    fs::remove_dir(&path).of("rmdir(d)")?;
    equal("fstat(d).st_nlink of a removed directory", held.metadata().of("fstat(d)")?.nlink(), 0)?;
    let inside = rustix::fs::mkdirat(held.as_fd(), "in", Mode::RWXU);
    fails("mkdirat(d, in) in a removed directory", inside, &[Errno::ENOENT])
}

fn moved_open(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"one")?;
    scene.dir("d")?;
    scene.rename("a", "d/b")?;
    file.write_all_at(b"two", 0).of("pwrite(a) after rename(a, d/b)")?;
    same_bytes("read(d/b)", &scene.read("d/b")?, b"two")
}

fn attributes_by_name(scene: &Scene) -> Verdict {
    let held = scene.file("a", b"x")?;
    scene.stat("a")?;
    scene.unlink("a")?;
    fails("stat(a) after unlink(a)", fs::metadata(scene.at("a")), &[Errno::ENOENT])?;
    fails("open(a) after unlink(a)", File::open(scene.at("a")), &[Errno::ENOENT])?;
    fails("unlink(a) again", fs::remove_file(scene.at("a")), &[Errno::ENOENT])?;
    drop(held);
    Ok(())
}
