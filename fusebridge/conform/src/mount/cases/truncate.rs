//! Sizes that are set.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;

use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes};
use crate::mount::scene::Scene;

cases! { "truncate":
    shorter = "a smaller size cuts the end off";
    longer = "a larger size adds zeros";
    by_path = "a file can be truncated by path";
    by_opening = "O_TRUNC empties a file";
    seen_by_others = "other open descriptors see the new size at once";
    not_of_directories = "directories cannot be truncated";
    not_without_writing = "a read-only descriptor cannot truncate";
    appended_after = "an append after a truncation goes to the new end";
    again_and_again = "after many truncations the last size holds";
}

fn shorter(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"0123456789")?;
    file.set_len(4).of("ftruncate(a, 4)")?;
    equal("stat(a).st_size after ftruncate(a, 4)", scene.stat("a")?.len(), 4)?;
    same_bytes("read(a)", &scene.read("a")?, b"0123")
}

fn longer(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"0123")?;
    file.set_len(8).of("ftruncate(a, 8)")?;
    equal("stat(a).st_size after ftruncate(a, 8)", scene.stat("a")?.len(), 8)?;
    same_bytes("read(a)", &scene.read("a")?, b"0123\0\0\0\0")
}

fn by_path(scene: &Scene) -> Verdict {
    scene.write("a", b"0123456789")?;
    by_path_to(scene, 3)?;
    same_bytes("read(a) after truncate(a, 3)", &scene.read("a")?, b"012")?;
    by_path_to(scene, 0)?;
    equal("stat(a).st_size after truncate(a, 0)", scene.stat("a")?.len(), 0)
}

fn by_path_to(scene: &Scene, size: i64) -> Verdict {
    nix::unistd::truncate(&scene.at("a"), size).of(format_args!("truncate(a, {size})"))
}

fn by_opening(scene: &Scene) -> Verdict {
    scene.write("a", b"0123456789")?;
    let file = OpenOptions::new().write(true).truncate(true).open(scene.at("a")).of("open(a, O_TRUNC)")?;
    equal("fstat(a).st_size after open(a, O_TRUNC)", file.metadata().of("fstat(a)")?.len(), 0)?;
    drop(file);
    same_bytes("read(a)", &scene.read("a")?, b"")
}

fn seen_by_others(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"0123456789")?;
    let other = scene.open("a")?;
    let mut bytes = [0; 10];
    equal("pread(a) before", other.read_at(&mut bytes, 0).of("pread(a)")?, 10)?;
    file.set_len(4).of("ftruncate(a, 4)")?;
    equal("fstat(a).st_size by another descriptor", other.metadata().of("fstat(a)")?.len(), 4)?;
    equal("bytes that pread(a, 10, 0) gives", other.read_at(&mut bytes, 0).of("pread(a)")?, 4)?;
    equal("bytes that pread(a, 10, 5) gives", other.read_at(&mut bytes, 5).of("pread(a)")?, 0)
}

fn not_of_directories(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    fails("truncate(d, 0) of a directory", nix::unistd::truncate(&scene.at("d"), 0), &[Errno::EISDIR])?;
    fails("open(d, O_WRONLY)", OpenOptions::new().write(true).open(scene.at("d")), &[Errno::EISDIR])
}

fn not_without_writing(scene: &Scene) -> Verdict {
    scene.write("a", b"0123456789")?;
    fails("ftruncate(a, 0), open for reading", scene.open("a")?.set_len(0), &[Errno::EINVAL, Errno::EBADF])?;
    equal("stat(a).st_size", scene.stat("a")?.len(), 10)
}

fn appended_after(scene: &Scene) -> Verdict {
    scene.write("a", b"0123456789")?;
    let mut file = OpenOptions::new().append(true).open(scene.at("a")).of("open(a, O_APPEND)")?;
    scene.open_rw("a")?.set_len(2).of("ftruncate(a, 2)")?;
    std::io::Write::write_all(&mut file, b"end").of("write(a, O_APPEND)")?;
    same_bytes("read(a)", &fs::read(scene.at("a")).of("read(a)")?, b"01end")
}

fn again_and_again(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"x")?;
    for size in [5000, 1, 100_000, 4096, 4097, 0, 3] {
        file.set_len(size).of(format_args!("ftruncate(a, {size})"))?;
        equal("fstat(a).st_size", file.metadata().of("fstat(a)")?.len(), size)?;
    }
    same_bytes("read(a)", &scene.read("a")?, &[0; 3])
}
