//! Flags of `open`.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, symlink};

use nix::errno::Errno;
use rustix::fs::{Mode, OFlags};

use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes};
use crate::mount::scene::Scene;

cases! { "open":
    exclusive = "O_EXCL refuses an existing name, even a dangling symbolic link";
    existing = "O_CREAT opens an existing file unchanged";
    no_follow = "O_NOFOLLOW refuses symbolic links";
    directory = "O_DIRECTORY refuses everything but directories";
    directories_are_read = "directories cannot be opened for writing";
    without_a_name = "O_TMPFILE creates an unnamed file, or is refused with EOPNOTSUPP";
    path_only = "an O_PATH descriptor gives attributes but no data";
    created_through_symlinks = "O_CREAT creates the target of a dangling symbolic link";
}

fn open(scene: &Scene, name: &str, flags: OFlags) -> rustix::io::Result<std::os::fd::OwnedFd> {
    rustix::fs::open(scene.at(name), flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o644))
}

fn exclusive(scene: &Scene) -> Verdict {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    scene.write("a", b"content")?;
    fails("open(a, O_CREAT|O_EXCL) of a file", open(scene, "a", flags), &[Errno::EEXIST])?;
    let emptying = open(scene, "a", flags | OFlags::TRUNC);
    fails("open(a, O_CREAT|O_EXCL|O_TRUNC) of a file", emptying, &[Errno::EEXIST])?;
    same_bytes("read(a)", &scene.read("a")?, b"content")?;
    symlink("none", scene.at("s")).offered("symlink(none, s)")?;
    fails("open(s, O_CREAT|O_EXCL) of a dangling link", open(scene, "s", flags), &[Errno::EEXIST])?;
    equal("readdir(.)", scene.names("")?, ["a", "s"])
}

fn existing(scene: &Scene) -> Verdict {
    use std::os::unix::fs::MetadataExt;
    scene.write("a", b"content")?;
    let before = scene.stat("a")?;
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o777).open(scene.at("a"));
    let stat = file.of("open(a, O_CREAT)")?.metadata().of("fstat(a)")?;
    equal("fstat(a): inode number and mode", (stat.ino(), stat.mode()), (before.ino(), before.mode()))?;
    same_bytes("read(a)", &scene.read("a")?, b"content")
}

fn no_follow(scene: &Scene) -> Verdict {
    scene.write("a", b"content")?;
    symlink("a", scene.at("s")).offered("symlink(a, s)")?;
    fails("open(s, O_NOFOLLOW)", open(scene, "s", OFlags::RDONLY | OFlags::NOFOLLOW), &[Errno::ELOOP])?;
    open(scene, "a", OFlags::RDONLY | OFlags::NOFOLLOW).of("open(a, O_NOFOLLOW)").map(drop)
}

fn directory(scene: &Scene) -> Verdict {
    scene.write("a", b"")?;
    scene.dir("d")?;
    fails("open(a, O_DIRECTORY)", open(scene, "a", OFlags::RDONLY | OFlags::DIRECTORY), &[Errno::ENOTDIR])?;
    open(scene, "d", OFlags::RDONLY | OFlags::DIRECTORY).of("open(d, O_DIRECTORY)").map(drop)
}

fn directories_are_read(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    for (word, flags) in [("O_WRONLY", OFlags::WRONLY), ("O_RDWR", OFlags::RDWR)] {
        fails(format_args!("open(d, {word})"), open(scene, "d", flags), &[Errno::EISDIR])?;
    }
    let creating = open(scene, "d", OFlags::RDONLY | OFlags::CREATE);
    fails("open(d, O_RDONLY|O_CREAT)", creating, &[Errno::EISDIR])
}

fn without_a_name(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    match open(scene, "d", OFlags::RDWR | OFlags::TMPFILE) {
        Ok(file) => {
            rustix::io::write(&file, b"x").of("write() to a file without a name")?;
            equal("fstat().st_nlink", rustix::fs::fstat(&file).of("fstat()")?.st_nlink, 0)?;
        }
        refused => fails("open(d, O_TMPFILE)", refused, &[Errno::EOPNOTSUPP])?,
    }
    equal("readdir(d)", scene.names("d")?, Vec::<String>::new())
}

fn path_only(scene: &Scene) -> Verdict {
    scene.write("a", b"content")?;
    let handle = open(scene, "a", OFlags::PATH).of("open(a, O_PATH)")?;
    equal("fstat(a).st_size", rustix::fs::fstat(&handle).of("fstat(a)")?.st_size, 7)?;
    fails("read(a) by O_PATH", rustix::io::read(&handle, &mut [0; 4][..]), &[Errno::EBADF])
}

fn created_through_symlinks(scene: &Scene) -> Verdict {
    symlink("target", scene.at("s")).offered("symlink(target, s)")?;
    drop(open(scene, "s", OFlags::WRONLY | OFlags::CREATE).of("open(s, O_CREAT)")?);
    equal("readdir(.)", scene.names("")?, ["s", "target"])?;
    equal("lstat(s) is a symbolic link", scene.lstat("s")?.is_symlink(), true)
}
