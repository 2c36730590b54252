//! Hard links: one file under several names.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use nix::errno::Errno;
use rustix::fs::{AtFlags, CWD};

use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes, skip};
use crate::mount::scene::Scene;

cases! { "links":
    one_inode = "all names of a file show one inode number and link count";
    one_content = "data written through one name is read through all names and open descriptors";
    one_set_of_attributes = "mode and size changed through one name show through all";
    first_name_goes = "the name a file was first found by can be removed";
    moved = "a link moved to another directory is still the same file";
    count_falls = "the link count drops with each name, to zero for an open file";
    change_time = "a new link updates the change time";
    not_to_directories = "links to directories and over existing names are refused";
    to_symlinks = "a hard link to a symbolic link refers to the link itself";
    many = "a hundred links are counted";
    directories = "a directory's link count is two plus its subdirectories";
}

fn one_inode(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    scene.dir("d")?;
    scene.link("a", "b")?;
    scene.link("b", "d/c")?;
    let first = scene.stat("a")?;
    for name in ["b", "d/c"] {
        let stat = scene.stat(name)?;
        equal(format_args!("stat({name}).st_ino, a link to a"), stat.ino(), first.ino())?;
        equal(format_args!("stat({name}).st_nlink with three names"), stat.nlink(), 3)?;
    }
    equal("stat(a).st_nlink with three names", first.nlink(), 3)
}

fn one_content(scene: &Scene) -> Verdict {
    scene.write("a", b"first")?;
    scene.link("a", "b")?;
    let held = scene.open("b")?;
    fs::write(scene.at("a"), b"second, and longer").of("write(a)")?;
    same_bytes("read(b), a link to a", &scene.read("b")?, b"second, and longer")?;
    let mut bytes = [0; 18];
    held.read_exact_at(&mut bytes, 0).of("pread(b, 18 bytes, 0) of an open file")?;
    same_bytes("pread(b) of an open file", &bytes, b"second, and longer")
}

fn one_set_of_attributes(scene: &Scene) -> Verdict {
    scene.write("a", b"12345")?;
    scene.link("a", "b")?;
    scene.stat("b")?;
    scene.chmod("a", 0o604)?;
    scene.open_rw("a")?.set_len(3).of("ftruncate(a, 3)")?;
    let stat = scene.stat("b")?;
    equal("stat(b).st_mode after chmod(a, 0604)", format!("{:#o}", stat.mode() & 0o7777), "0o604")?;
    equal("stat(b).st_size after ftruncate(a, 3)", stat.len(), 3)
}

fn first_name_goes(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    let ino = scene.stat("a")?.ino();
    scene.link("a", "b")?;
    scene.unlink("a")?;
    fails("stat(a) after unlink(a)", fs::metadata(scene.at("a")), &[Errno::ENOENT])?;
    fs::write(scene.at("b"), b"changed").of("write(b)")?;
    equal("stat(b).st_ino", scene.stat("b")?.ino(), ino)?;
    scene.link("b", "a")?;
    same_bytes("read(a), linked anew", &scene.read("a")?, b"changed")
}

fn moved(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    scene.link("a", "b")?;
    scene.dir("d")?;
    scene.rename("b", "d/b")?;
    fs::write(scene.at("d/b"), b"moved").of("write(d/b)")?;
    same_bytes("read(a) after rename(b, d/b), its link", &scene.read("a")?, b"moved")?;
    equal("stat(d/b).st_nlink", scene.stat("d/b")?.nlink(), 2)
}

fn count_falls(scene: &Scene) -> Verdict {
    let held = scene.file("a", b"x")?;
    scene.link("a", "b")?;
    let links = || Ok(held.metadata().of("fstat(a)")?.nlink());
    equal("fstat(a).st_nlink with two names", links()?, 2)?;
    scene.unlink("a")?;
    equal("fstat(a).st_nlink after unlink(a)", links()?, 1)?;
    equal("stat(b).st_nlink after unlink(a)", scene.stat("b")?.nlink(), 1)?;
    scene.unlink("b")?;
    equal("fstat(a).st_nlink after the last unlink", links()?, 0)
}

fn change_time(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    let changed = |name| scene.stat(name).map(|stat| (stat.ctime(), stat.ctime_nsec()));
    let before = changed("a")?;
    super::times::nap();
    scene.link("a", "b")?;
    super::times::later("stat(a).st_ctime after link(a, b)", changed("a")?, before)
}

fn not_to_directories(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    scene.write("b", b"x")?;
    scene.dir("d")?;
    let link = |from: &str, to: &str| fs::hard_link(scene.at(from), scene.at(to));
    fails("link(d, e), d being a directory", link("d", "e"), &[Errno::EPERM])?;
    fails("link(a, b), b being a file", link("a", "b"), &[Errno::EEXIST])?;
    fails("link(a, d), d being a directory", link("a", "d"), &[Errno::EEXIST])?;
    fails("link(none, e)", link("none", "e"), &[Errno::ENOENT])?;
    fails("link(a, a/e)", link("a", "a/e"), &[Errno::ENOTDIR])
}

fn to_symlinks(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    std::os::unix::fs::symlink("a", scene.at("s")).offered("symlink(a, s)")?;
    scene.link("s", "t")?;
    equal("lstat(t).st_ino after linkat(s, t)", scene.lstat("t")?.ino(), scene.lstat("s")?.ino())?;
    equal("lstat(t) is a symbolic link", scene.lstat("t")?.is_symlink(), true)?;
    equal("stat(a).st_nlink", scene.stat("a")?.nlink(), 1)?;
    rustix::fs::linkat(CWD, scene.at("s"), CWD, scene.at("u"), AtFlags::SYMLINK_FOLLOW)
        .of("linkat(s, u, AT_SYMLINK_FOLLOW)")?;
    equal("lstat(u).st_ino", scene.lstat("u")?.ino(), scene.stat("a")?.ino())
}

fn many(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    for number in 1..100 {
        scene.link("a", &format!("link-{number}"))?;
    }
    equal("stat(a).st_nlink with 100 names", scene.stat("a")?.nlink(), 100)?;
    for number in 1..50 {
        scene.unlink(&format!("link-{number}"))?;
    }
    equal("stat(link-99).st_nlink with 51 names", scene.stat("link-99")?.nlink(), 51)
}

fn directories(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    let links = || Ok(scene.stat("d")?.nlink());
    if links()? == 1 {
        return skip("the file system does not count the links of directories");
    }
    equal("stat(d).st_nlink of an empty directory", links()?, 2)?;
    scene.dir("d/a")?;
    scene.dir("d/b")?;
    scene.write("d/file", b"")?;
    equal("stat(d).st_nlink with two directories in it", links()?, 4)?;
    fs::remove_dir(scene.at("d/a")).of("rmdir(d/a)")?;
    scene.rename("d/b", "b")?;
    equal("stat(d).st_nlink after they are gone", links()?, 2)
}
