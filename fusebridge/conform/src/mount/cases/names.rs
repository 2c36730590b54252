//! Names of files.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use rustix::fs::{Mode, OFlags};

use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes};
use crate::mount::scene::Scene;

cases! { "names":
    any_bytes = "names may contain any byte but / and NUL";
    longest = "a name has at most 255 bytes";
    dots_and_spaces = "leading and trailing dots and spaces are significant";
    cases_differ = "names are case-sensitive";
    not_normalised = "names are not normalised";
    reserved = ". and .. cannot be created, and resolve as usual";
    deep = "a tree may be deeper than PATH_MAX";
    long_paths = "a path has at most 4095 bytes";
    trailing_slashes = "a trailing slash requires a directory";
}

fn listed(scene: &Scene) -> Verdict<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(&scene.directory).of("readdir(.)")? {
        names.push(entry.of("readdir(.)")?.file_name());
    }
    names.sort();
    Ok(names)
}

/// Makes a file of each name, with the name as its content, and looks for all of them.
fn make_and_find(scene: &Scene, names: &[&[u8]]) -> Verdict {
    for name in names {
        fs::write(scene.at(OsStr::from_bytes(name)), name).of(format_args!("creat({})", name.escape_ascii()))?;
    }
    for name in names {
        let operation = format!("read({})", name.escape_ascii());
        same_bytes(&operation, &fs::read(scene.at(OsStr::from_bytes(name))).of(&operation)?, name)?;
    }
    let mut expected: Vec<OsString> = names.iter().map(|name| OsString::from_vec(name.to_vec())).collect();
    expected.sort();
    equal("readdir(.)", listed(scene)?, expected)
}

fn any_bytes(scene: &Scene) -> Verdict {
    let all: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    make_and_find(scene, &[&all, b"\xff\xfe\x80", b"new\nline", b"\x01", b"-rf", b"*", b"\\"])
}

fn longest(scene: &Scene) -> Verdict {
    let (longest, longer) = ("n".repeat(255), "n".repeat(256));
    make_and_find(scene, &[longest.as_bytes()])?;
    fails("creat() of a name of 256 bytes", fs::write(scene.at(&longer), ""), &[Errno::ENAMETOOLONG])?;
    fails("stat() of a name of 256 bytes", fs::metadata(scene.at(&longer)), &[Errno::ENAMETOOLONG])?;
    fails("mkdir() of a name of 256 bytes", fs::create_dir(scene.at(&longer)), &[Errno::ENAMETOOLONG])?;
    let renamed = fs::rename(scene.at(&longest), scene.at(&longer));
    fails("rename() to a name of 256 bytes", renamed, &[Errno::ENAMETOOLONG])
}

fn dots_and_spaces(scene: &Scene) -> Verdict {
    make_and_find(scene, &[b"a", b"a.", b"a..", b"a ", b" a", b"...", b" ", b".a", b"a.txt", b"a.TXT "])
}

fn cases_differ(scene: &Scene) -> Verdict {
    make_and_find(scene, &[b"name", b"Name", b"NAME", "\u{fc}".as_bytes(), "\u{dc}".as_bytes()])
}

fn not_normalised(scene: &Scene) -> Verdict {
    make_and_find(scene, &["\u{e9}".as_bytes(), "e\u{301}".as_bytes(), "\u{212b}".as_bytes(), "\u{c5}".as_bytes()])
}

fn reserved(scene: &Scene) -> Verdict {
    use std::os::unix::fs::MetadataExt;
    scene.dir("d")?;
    fails("mkdir(d/.)", fs::create_dir(scene.at("d/.")), &[Errno::EEXIST])?;
    fails("mkdir(d/..)", fs::create_dir(scene.at("d/..")), &[Errno::EEXIST])?;
    fails("rmdir(d/.)", fs::remove_dir(scene.at("d/.")), &[Errno::EINVAL])?;
    fails("rmdir(d/..)", fs::remove_dir(scene.at("d/..")), &[Errno::ENOTEMPTY, Errno::EBUSY])?;
    equal("stat(d/.).st_ino", scene.stat("d/.")?.ino(), scene.stat("d")?.ino())?;
    equal("stat(d/..).st_ino", scene.stat("d/..")?.ino(), scene.stat("")?.ino())
}

fn deep(scene: &Scene) -> Verdict {
    // Ninety times sixty bytes are more than 4095.
    let name = "n".repeat(60);
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let mut here = rustix::fs::open(&scene.directory, flags, Mode::empty()).of("open(.)")?;
    let mut above = Vec::new();
    for depth in 0..90 {
        rustix::fs::mkdirat(&here, &name, Mode::RWXU).of(format_args!("mkdirat() {depth} levels deep"))?;
        let below = rustix::fs::openat(&here, &name, flags, Mode::empty()).of(format_args!("openat() at {depth}"))?;
        above.push(std::mem::replace(&mut here, below));
    }
    let create = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(&here, "leaf", create, Mode::RUSR).of("openat(leaf, O_CREAT) 90 levels deep")?;
    rustix::fs::unlinkat(&here, "leaf", rustix::fs::AtFlags::empty()).of("unlinkat(leaf) 90 levels deep")?;
    while let Some(parent) = above.pop() {
        rustix::fs::unlinkat(&parent, &name, rustix::fs::AtFlags::REMOVEDIR).of("unlinkat(AT_REMOVEDIR)")?;
    }
    Ok(())
}

fn long_paths(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    // "./" again and again changes nothing but the length.
    let longest = format!("{}a", "./".repeat(2047));
    equal("the path's length", longest.len(), 4095)?;
    fs::metadata(&longest).of("stat() of a path of 4095 bytes")?;
    fails("stat() of a path of 4096 bytes", fs::metadata(longest.replacen('/', "//", 1)), &[Errno::ENAMETOOLONG])
}

fn trailing_slashes(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    fails("stat(a/) of a file", fs::metadata(scene.at("a/")), &[Errno::ENOTDIR])?;
    fails("open(b/, O_CREAT)", fs::write(scene.at("b/"), ""), &[Errno::EISDIR])?;
    fs::create_dir(scene.at("d/")).of("mkdir(d/)")?;
    equal("readdir(.)", scene.names("")?, ["a", "d"])
}
