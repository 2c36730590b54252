//! Symbolic links.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use nix::errno::Errno;

use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes};
use crate::mount::scene::Scene;

cases! { "symlinks":
    targets = "a target of any bytes is returned unchanged";
    long_targets = "a target of 4095 bytes is kept, or refused with ENAMETOOLONG";
    followed = "a relative link is resolved from the link's own directory";
    loops = "a cycle of links is ELOOP";
    removed = "removing a link keeps its target";
    renamed = "renaming a link renames the link";
    not_a_link = "readlink of anything else is EINVAL";
}

fn link(scene: &Scene, target: &[u8], name: &str) -> Verdict {
    symlink(OsStr::from_bytes(target), scene.at(name)).offered(format_args!("symlink({} bytes, {name})", target.len()))
}

fn target(scene: &Scene, name: &str) -> Verdict<Vec<u8>> {
    let target = fs::read_link(scene.at(name)).of(format_args!("readlink({name})"))?;
    Ok(target.into_os_string().as_encoded_bytes().to_vec())
}

fn targets(scene: &Scene) -> Verdict {
    for (number, bytes) in [&b"a"[..], b"../\xff//x", b"/", b" ", b"a/./b/../c/", b"new\nline"].into_iter().enumerate()
    {
        let name = format!("s{number}");
        link(scene, bytes, &name)?;
        same_bytes(format_args!("readlink({name})"), &target(scene, &name)?, bytes)?;
    }
    Ok(())
}

fn long_targets(scene: &Scene) -> Verdict {
    let long = [b't'; 4095];
    match symlink(OsStr::from_bytes(&long), scene.at("s")) {
        Err(error) if error.raw_os_error() == Some(libc::ENAMETOOLONG) => {}
        outcome => {
            outcome.offered("symlink(4095 bytes, s)")?;
            same_bytes("readlink(s)", &target(scene, "s")?, &long)?;
        }
    }
    link(scene, &long[..1000], "t")?;
    same_bytes("readlink(t)", &target(scene, "t")?, &long[..1000])
}

fn followed(scene: &Scene) -> Verdict {
    scene.write("a", b"content")?;
    scene.dir("d")?;
    link(scene, b"../a", "d/s")?;
    link(scene, b"d", "e")?;
    same_bytes("read(e/s), through two links", &scene.read("e/s")?, b"content")?;
    fs::write(scene.at("d/s"), b"changed").of("write(d/s)")?;
    same_bytes("read(a), the target", &scene.read("a")?, b"changed")?;
    equal("readdir(e), a link to a directory", scene.names("e")?, ["s"])
}

fn loops(scene: &Scene) -> Verdict {
    link(scene, b"b", "a")?;
    link(scene, b"a", "b")?;
    fails("stat(a), a link to b, which is one to a", fs::metadata(scene.at("a")), &[Errno::ELOOP])?;
    fails("open(a, O_CREAT)", fs::write(scene.at("a"), ""), &[Errno::ELOOP])
}

fn removed(scene: &Scene) -> Verdict {
    scene.write("a", b"content")?;
    link(scene, b"a", "s")?;
    scene.unlink("s")?;
    equal("readdir(.)", scene.names("")?, ["a"])?;
    scene.dir("d")?;
    link(scene, b"d", "t")?;
    fails("rmdir(t), a link to a directory", fs::remove_dir(scene.at("t")), &[Errno::ENOTDIR])?;
    scene.unlink("t")
}

fn renamed(scene: &Scene) -> Verdict {
    scene.write("a", b"content")?;
    link(scene, b"a", "s")?;
    scene.rename("s", "t")?;
    same_bytes("readlink(t) after rename(s, t)", &target(scene, "t")?, b"a")?;
    equal("readdir(.)", scene.names("")?, ["a", "t"])
}

fn not_a_link(scene: &Scene) -> Verdict {
    scene.write("a", b"")?;
    scene.dir("d")?;
    fails("readlink(a) of a file", fs::read_link(scene.at("a")), &[Errno::EINVAL])?;
    fails("readlink(d) of a directory", fs::read_link(scene.at("d")), &[Errno::EINVAL])
}
