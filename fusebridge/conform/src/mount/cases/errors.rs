//! Errors that programs go by.

use std::fs::{self, File, OpenOptions};

use nix::errno::Errno;

use crate::mount::check::{Verdict, equal, fails};
use crate::mount::scene::Scene;

cases! { "errors":
    missing = "a missing file is ENOENT";
    existing = "an existing name is EEXIST";
    through_files = "a path through a regular file is ENOTDIR";
    not_empty = "a non-empty directory cannot be removed";
    wrong_kind = "unlink refuses directories, and rmdir everything else";
    nothing_left_behind = "a failed call leaves nothing behind";
}

fn missing(scene: &Scene) -> Verdict {
    let none = scene.at("none");
    fails("open(none)", File::open(&none), &[Errno::ENOENT])?;
    fails("stat(none)", fs::metadata(&none), &[Errno::ENOENT])?;
    fails("unlink(none)", fs::remove_file(&none), &[Errno::ENOENT])?;
    fails("rmdir(none)", fs::remove_dir(&none), &[Errno::ENOENT])?;
    fails("rename(none, a)", fs::rename(&none, scene.at("a")), &[Errno::ENOENT])?;
    fails("mkdir(none/a)", fs::create_dir(scene.at("none/a")), &[Errno::ENOENT])?;
    fails("open(none/a, O_CREAT)", File::create(scene.at("none/a")), &[Errno::ENOENT])?;
    fails("readlink(none)", fs::read_link(&none), &[Errno::ENOENT])
}

fn existing(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    scene.dir("d")?;
    let create = |name: &str| OpenOptions::new().write(true).create_new(true).open(scene.at(name));
    for name in ["a", "d"] {
        fails(format_args!("mkdir({name})"), fs::create_dir(scene.at(name)), &[Errno::EEXIST])?;
        fails(format_args!("open({name}, O_CREAT|O_EXCL)"), create(name), &[Errno::EEXIST])?;
        let link = std::os::unix::fs::symlink("x", scene.at(name));
        fails(format_args!("symlink(x, {name})"), link, &[Errno::EEXIST])?;
    }
    equal("stat(a).st_size, which was not emptied", scene.stat("a")?.len(), 1)
}

fn through_files(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    fails("stat(a/b)", fs::metadata(scene.at("a/b")), &[Errno::ENOTDIR])?;
    fails("mkdir(a/b)", fs::create_dir(scene.at("a/b")), &[Errno::ENOTDIR])?;
    fails("readdir(a)", fs::read_dir(scene.at("a")), &[Errno::ENOTDIR])?;
    fails("rename(a, a/b)", fs::rename(scene.at("a"), scene.at("a/b")), &[Errno::ENOTDIR])
}

fn not_empty(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    scene.write("d/a", b"")?;
    fails("rmdir(d) with a file in it", fs::remove_dir(scene.at("d")), &[Errno::ENOTEMPTY, Errno::EEXIST])?;
    scene.unlink("d/a")?;
    scene.dir("d/e")?;
    fails("rmdir(d) with a directory in it", fs::remove_dir(scene.at("d")), &[Errno::ENOTEMPTY, Errno::EEXIST])
}

fn wrong_kind(scene: &Scene) -> Verdict {
    scene.write("a", b"")?;
    scene.dir("d")?;
    fails("rmdir(a) of a file", fs::remove_dir(scene.at("a")), &[Errno::ENOTDIR])?;
    fails("unlink(d) of a directory", fs::remove_file(scene.at("d")), &[Errno::EISDIR, Errno::EPERM])?;
    equal("readdir(.)", scene.names("")?, ["a", "d"])
}

fn nothing_left_behind(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    scene.dir("d")?;
    let _ = fs::rename(scene.at("d"), scene.at("a"));
    let _ = fs::hard_link(scene.at("d"), scene.at("l"));
    let _ = fs::create_dir(scene.at("none/e"));
    equal("readdir(.) after calls that fail", scene.names("")?, ["a", "d"])?;
    equal("stat(a).st_nlink", std::os::unix::fs::MetadataExt::nlink(&scene.stat("a")?), 1)
}
