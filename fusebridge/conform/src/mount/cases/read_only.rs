//! File systems that refuse to be changed. These tests work in the root, on what is there.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{DirEntryExt, MetadataExt, PermissionsExt, chown, symlink};

use nix::errno::Errno;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};

use crate::mount::check::{Expect, Verdict, equal, fails, skip};
use crate::mount::scene::Scene;

cases! { "read_only", read_only = true:
    nothing_is_made = "no file of any type can be created";
    root_stays = "mode, owner, times and extended attributes of the root cannot be changed";
    files_stay = "a file can be read, but not written, truncated, renamed, linked or removed";
    read = "listed files can be looked up, with the same inode numbers";
}

const NAME: &str = "conform-read-only";

fn nothing_is_made(scene: &Scene) -> Verdict {
    let at = scene.at(NAME);
    fails("open(O_CREAT)", OpenOptions::new().write(true).create_new(true).open(&at), &[Errno::EROFS])?;
    fails("mkdir()", fs::create_dir(&at), &[Errno::EROFS])?;
    fails("symlink()", symlink("target", &at), &[Errno::EROFS])?;
    fails("mknod(S_IFIFO)", mknodat(CWD, &at, FileType::Fifo, Mode::RUSR, 0), &[Errno::EROFS])
}

fn root_stays(scene: &Scene) -> Verdict {
    let root = &scene.directory;
    let before = scene.stat("")?;
    fails("chmod(.)", fs::set_permissions(root, fs::Permissions::from_mode(0o700)), &[Errno::EROFS])?;
    fails("chown(.)", chown(root, Some(before.uid()), Some(before.gid())), &[Errno::EROFS])?;
    let handle = fs::File::open(root).of("open(.)")?;
    fails("futimens(.)", handle.set_modified(std::time::UNIX_EPOCH), &[Errno::EROFS])?;
    fails(
        "setxattr(.)",
        setxattr(root, "user.conform", b"x", XattrFlags::empty()),
        &[Errno::EROFS, Errno::EOPNOTSUPP],
    )?;
    let after = scene.stat("")?;
    equal("stat(.).st_mode and .st_mtime", (after.mode(), after.mtime()), (before.mode(), before.mtime()))
}

/// The first regular file in the root.
fn file(scene: &Scene) -> Verdict<String> {
    for entry in fs::read_dir(&scene.directory).of("readdir(.)")? {
        let entry = entry.of("readdir(.)")?;
        if let (true, Ok(name)) = (entry.file_type().is_ok_and(|kind| kind.is_file()), entry.file_name().into_string())
        {
            return Ok(name);
        }
    }
    skip("there is no file in the root")
}

fn files_stay(scene: &Scene) -> Verdict {
    let name = file(scene)?;
    let (path, other) = (scene.at(&name), scene.at(NAME));
    let before = scene.stat(&name)?;
    equal("bytes that read() gives", scene.read(&name)?.len() as u64, before.len())?;
    fails("open(O_WRONLY)", OpenOptions::new().write(true).open(&path), &[Errno::EROFS])?;
    fails("truncate()", nix::unistd::truncate(&path, 0), &[Errno::EROFS])?;
    fails("rename()", fs::rename(&path, &other), &[Errno::EROFS])?;
    fails("link()", fs::hard_link(&path, &other), &[Errno::EROFS])?;
    fails("unlink()", fs::remove_file(&path), &[Errno::EROFS])?;
    equal("stat().st_size", scene.stat(&name)?.len(), before.len())
}

fn read(scene: &Scene) -> Verdict {
    for entry in fs::read_dir(&scene.directory).of("readdir(.)")? {
        let entry = entry.of("readdir(.)")?;
        let stat = entry.metadata().of(format_args!("lstat({})", entry.file_name().display()))?;
        // Something else may be mounted on a directory.
        if stat.dev() == scene.stat("")?.dev() {
            equal(format_args!("d_ino of {}", entry.file_name().display()), entry.ino(), stat.ino())?;
        }
    }
    Ok(())
}
