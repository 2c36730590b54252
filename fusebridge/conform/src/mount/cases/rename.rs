//! Renaming, with all its flags.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use rustix::fs::{CWD, RenameFlags};

use super::times::{later, nap};
use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes, skip};
use crate::mount::scene::Scene;

cases! { "rename":
    moves = "rename changes the name and nothing else";
    replaces = "rename replaces an existing target";
    no_replace = "RENAME_NOREPLACE keeps an existing target";
    exchanges = "RENAME_EXCHANGE swaps two files of any type";
    exchange_of_one = "RENAME_EXCHANGE requires both names";
    flags_exclude = "RENAME_NOREPLACE with RENAME_EXCHANGE is EINVAL";
    whiteout = "RENAME_WHITEOUT leaves a whiteout or is refused";
    whiteout_replaces = "RENAME_WHITEOUT replaces an existing target, except with RENAME_NOREPLACE";
    whiteout_over_directory = "RENAME_WHITEOUT of a directory replaces only an empty directory";
    into_itself = "a directory cannot be moved into itself";
    over_directories = "only an empty directory can be replaced, and only by a directory";
    two_names_of_one = "renaming one hard link over another of the same file does nothing";
    trees = "a moved tree is complete, and its .. is the new parent";
    across_directories = "a file moved between directories keeps its inode number";
    times = "rename updates the times of both directories";
    back_and_forth = "names can be swapped through a third, repeatedly";
}

fn with(scene: &Scene, from: &str, to: &str, flags: RenameFlags) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(CWD, scene.at(from), CWD, scene.at(to), flags)
}

fn moves(scene: &Scene) -> Verdict {
    scene.write("a", b"A")?;
    let ino = scene.stat("a")?.ino();
    scene.rename("a", "b")?;
    equal("readdir(.) after rename(a, b)", scene.names("")?, ["b"])?;
    fails("stat(a) after rename(a, b)", fs::metadata(scene.at("a")), &[Errno::ENOENT])?;
    equal("stat(b).st_ino", scene.stat("b")?.ino(), ino)?;
    same_bytes("read(b)", &scene.read("b")?, b"A")
}

fn replaces(scene: &Scene) -> Verdict {
    scene.write("a", b"A")?;
    scene.write("b", b"B")?;
    scene.stat("b")?;
    scene.rename("a", "b")?;
    same_bytes("read(b) after rename(a, b)", &scene.read("b")?, b"A")?;
    equal("readdir(.)", scene.names("")?, ["b"])
}

fn no_replace(scene: &Scene) -> Verdict {
    scene.write("a", b"A")?;
    scene.write("b", b"B")?;
    with(scene, "a", "c", RenameFlags::NOREPLACE).offered("renameat2(a, c, RENAME_NOREPLACE)")?;
    fails("renameat2(c, b, RENAME_NOREPLACE)", with(scene, "c", "b", RenameFlags::NOREPLACE), &[Errno::EEXIST])?;
    same_bytes("read(b)", &scene.read("b")?, b"B")?;
    same_bytes("read(c)", &scene.read("c")?, b"A")
}

fn exchanges(scene: &Scene) -> Verdict {
    scene.write("a", b"A")?;
    scene.dir("d")?;
    scene.write("d/inside", b"I")?;
    with(scene, "a", "d", RenameFlags::EXCHANGE).offered("renameat2(a, d, RENAME_EXCHANGE)")?;
    same_bytes("read(d), which was a", &scene.read("d")?, b"A")?;
    same_bytes("read(a/inside), which was d/inside", &scene.read("a/inside")?, b"I")?;
    equal("readdir(.)", scene.names("")?, ["a", "d"])
}

fn exchange_of_one(scene: &Scene) -> Verdict {
    scene.write("a", b"A")?;
    fails(
        "renameat2(a, b, RENAME_EXCHANGE) without b",
        with(scene, "a", "b", RenameFlags::EXCHANGE),
        &[Errno::ENOENT],
    )?;
    same_bytes("read(a)", &scene.read("a")?, b"A")
}

fn flags_exclude(scene: &Scene) -> Verdict {
    scene.write("a", b"A")?;
    scene.write("b", b"B")?;
    let both = RenameFlags::NOREPLACE | RenameFlags::EXCHANGE;
    fails("renameat2(a, b, RENAME_NOREPLACE|RENAME_EXCHANGE)", with(scene, "a", "b", both), &[Errno::EINVAL])
}

fn is_whiteout(scene: &Scene, name: &str) -> Verdict {
    let left = scene.lstat(name)?;
    let kind = (left.mode() & libc::S_IFMT, left.rdev());
    equal(format_args!("type and device of the whiteout {name}"), kind, (libc::S_IFCHR, 0))
}

fn whiteout(scene: &Scene) -> Verdict {
    scene.write("a", b"A")?;
    let renamed = with(scene, "a", "b", RenameFlags::WHITEOUT);
    if renamed.is_err() {
        fails("renameat2(a, b, RENAME_WHITEOUT)", renamed, &[Errno::EINVAL, Errno::EOPNOTSUPP, Errno::EPERM])?;
        equal("readdir(.) after the refusal", scene.names("")?, ["a"])?;
        return skip("RENAME_WHITEOUT is refused");
    }
    is_whiteout(scene, "a")?;
    same_bytes("read(b)", &scene.read("b")?, b"A")?;
    equal("readdir(.)", scene.names("")?, ["a", "b"])?;
    scene.unlink("a")?;
    scene.write("a", b"new")
}

fn whiteout_replaces(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    scene.write("d/a", b"A")?;
    scene.write("b", b"B")?;
    scene.stat("b")?;
    if let Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM) =
        with(scene, "d/a", "b", RenameFlags::WHITEOUT)
    {
        return skip("RENAME_WHITEOUT is refused");
    }
    is_whiteout(scene, "d/a")?;
    same_bytes("read(b)", &scene.read("b")?, b"A")?;
    scene.write("c", b"C")?;
    let flags = RenameFlags::WHITEOUT | RenameFlags::NOREPLACE;
    fails("renameat2(b, c, RENAME_WHITEOUT|RENAME_NOREPLACE)", with(scene, "b", "c", flags), &[Errno::EEXIST])?;
    with(scene, "b", "e", flags).of("renameat2(b, e, RENAME_WHITEOUT|RENAME_NOREPLACE)")?;
    is_whiteout(scene, "b")?;
    same_bytes("read(e)", &scene.read("e")?, b"A")?;
    with(scene, "d", "f", flags).of("renameat2(d, f, RENAME_WHITEOUT|RENAME_NOREPLACE)")?;
    is_whiteout(scene, "d")?;
    equal("readdir(f)", scene.names("f")?, ["a"])?;
    is_whiteout(scene, "f/a")
}

fn whiteout_over_directory(scene: &Scene) -> Verdict {
    for name in ["d", "empty", "full", "full/inside"] {
        scene.dir(name)?;
    }
    scene.write("d/a", b"A")?;
    match with(scene, "d", "full", RenameFlags::WHITEOUT) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM) => {
            return skip("RENAME_WHITEOUT is refused");
        }
        refused => fails("renameat2(d, full, RENAME_WHITEOUT)", refused, &[Errno::ENOTEMPTY, Errno::EEXIST])?,
    }
    equal("readdir(d) after the refusal", scene.names("d")?, ["a"])?;
    let both = RenameFlags::WHITEOUT | RenameFlags::NOREPLACE;
    fails("renameat2(d, empty, RENAME_WHITEOUT|RENAME_NOREPLACE)", with(scene, "d", "empty", both), &[Errno::EEXIST])?;
    with(scene, "d", "empty", RenameFlags::WHITEOUT).of("renameat2(d, empty, RENAME_WHITEOUT)")?;
    is_whiteout(scene, "d")?;
    equal("readdir(empty)", scene.names("empty")?, ["a"])?;
    same_bytes("read(empty/a)", &scene.read("empty/a")?, b"A")
}

fn into_itself(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    scene.dir("d/e")?;
    for to in ["d/x", "d/e/x"] {
        fails(format_args!("rename(d, {to})"), fs::rename(scene.at("d"), scene.at(to)), &[Errno::EINVAL])?;
    }
    let up = fs::rename(scene.at("d/e"), scene.at("d"));
    fails("rename(d/e, d)", up, &[Errno::ENOTEMPTY, Errno::EEXIST])
}

fn over_directories(scene: &Scene) -> Verdict {
    for name in ["empty", "full", "dir"] {
        scene.dir(name)?;
    }
    scene.write("full/a", b"")?;
    scene.write("file", b"F")?;
    let rename = |from: &str, to: &str| fs::rename(scene.at(from), scene.at(to));
    fails("rename(dir, full)", rename("dir", "full"), &[Errno::ENOTEMPTY, Errno::EEXIST])?;
    fails("rename(dir, file)", rename("dir", "file"), &[Errno::ENOTDIR])?;
    fails("rename(file, dir)", rename("file", "dir"), &[Errno::EISDIR])?;
    scene.rename("full", "empty")?;
    equal("readdir(empty) after rename(full, empty)", scene.names("empty")?, ["a"])
}

fn two_names_of_one(scene: &Scene) -> Verdict {
    scene.write("a", b"A")?;
    scene.link("a", "b")?;
    scene.rename("a", "b")?;
    equal("readdir(.) after rename(a, b) of two links", scene.names("")?, ["a", "b"])?;
    equal("stat(a).st_nlink", scene.stat("a")?.nlink(), 2)
}

fn trees(scene: &Scene) -> Verdict {
    for name in ["d", "d/e", "to"] {
        scene.dir(name)?;
    }
    scene.write("d/e/leaf", b"L")?;
    scene.rename("d", "to/d")?;
    same_bytes("read(to/d/e/leaf) after rename(d, to/d)", &scene.read("to/d/e/leaf")?, b"L")?;
    equal("stat(to/d/..).st_ino", scene.stat("to/d/..")?.ino(), scene.stat("to")?.ino())?;
    fails("stat(d/e)", fs::metadata(scene.at("d/e")), &[Errno::ENOENT])
}

fn across_directories(scene: &Scene) -> Verdict {
    scene.dir("x")?;
    scene.dir("y")?;
    scene.write("x/a", b"A")?;
    let ino = scene.stat("x/a")?.ino();
    scene.rename("x/a", "y/b")?;
    equal("stat(y/b).st_ino after rename(x/a, y/b)", scene.stat("y/b")?.ino(), ino)?;
    equal("readdir(x)", scene.names("x")?, Vec::<String>::new())?;
    equal("readdir(y)", scene.names("y")?, ["b"])
}

fn times(scene: &Scene) -> Verdict {
    scene.dir("x")?;
    scene.dir("y")?;
    scene.write("x/a", b"A")?;
    let changed = |name| scene.stat(name).map(|stat| (stat.mtime(), stat.mtime_nsec()));
    let before = (changed("x")?, changed("y")?);
    nap();
    scene.rename("x/a", "y/a")?;
    later("stat(x).st_mtime after rename(x/a, y/a)", changed("x")?, before.0)?;
    later("stat(y).st_mtime after rename(x/a, y/a)", changed("y")?, before.1)
}

fn back_and_forth(scene: &Scene) -> Verdict {
    scene.write("a", b"A")?;
    scene.write("b", b"B")?;
    for _ in 0..10 {
        scene.rename("a", "c")?;
        scene.rename("b", "a")?;
        scene.rename("c", "b")?;
    }
    same_bytes("read(a) after ten swaps", &scene.read("a")?, b"A")?;
    same_bytes("read(b) after ten swaps", &scene.read("b")?, b"B")
}
