//! `fallocate` in its modes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use rustix::fs::{FallocateFlags, fallocate};

use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes, skip};
use crate::mount::scene::Scene;

cases! { "allocate":
    grows = "fallocate extends a file with zeros";
    keeps = "fallocate keeps existing data";
    keep_size = "FALLOC_FL_KEEP_SIZE keeps the size";
    punch_hole = "FALLOC_FL_PUNCH_HOLE zeroes the range and keeps the size";
    zero_range = "FALLOC_FL_ZERO_RANGE zeroes the range, and extends the file if the range goes past the end";
    collapse_range = "FALLOC_FL_COLLAPSE_RANGE removes a range";
    unknown_modes = "unknown fallocate modes are refused";
    reading_only = "fallocate through a read-only descriptor fails";
}

fn call(file: &File, mode: FallocateFlags, offset: u64, length: u64) -> Verdict {
    fallocate(file, mode, offset, length).offered(format_args!("fallocate(a, {mode:?}, {offset}, {length})"))
}

fn size(file: &File) -> Verdict<u64> {
    Ok(file.metadata().of("fstat(a)")?.len())
}

fn grows(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"0123")?;
    call(&file, FallocateFlags::empty(), 0, 10_000)?;
    equal("fstat(a).st_size after fallocate(a, 0, 10000)", size(&file)?, 10_000)?;
    let mut expected = vec![0; 10_000];
    expected[..4].copy_from_slice(b"0123");
    same_bytes("read(a)", &scene.read("a")?, &expected)
}

fn keeps(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'x'; 10_000])?;
    call(&file, FallocateFlags::empty(), 2000, 3000)?;
    equal("fstat(a).st_size after fallocate() inside", size(&file)?, 10_000)?;
    same_bytes("read(a)", &scene.read("a")?, &[b'x'; 10_000])
}

fn keep_size(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"0123")?;
    call(&file, FallocateFlags::KEEP_SIZE, 0, 10_000)?;
    equal("fstat(a).st_size after FALLOC_FL_KEEP_SIZE", size(&file)?, 4)?;
    same_bytes("read(a)", &scene.read("a")?, b"0123")
}

fn punch_hole(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'x'; 20_000])?;
    let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    call(&file, mode, 3000, 9000)?;
    equal("fstat(a).st_size after FALLOC_FL_PUNCH_HOLE", size(&file)?, 20_000)?;
    let mut expected = vec![b'x'; 20_000];
    expected[3000..12_000].fill(0);
    same_bytes("read(a)", &scene.read("a")?, &expected)?;
    call(&file, mode, 19_000, 5000)?;
    equal("fstat(a).st_size after a hole across the end", size(&file)?, 20_000)
}

fn zero_range(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'x'; 10_000])?;
    call(&file, FallocateFlags::ZERO_RANGE, 8000, 4000)?;
    equal("fstat(a).st_size after FALLOC_FL_ZERO_RANGE", size(&file)?, 12_000)?;
    let mut expected = vec![b'x'; 12_000];
    expected[8000..].fill(0);
    same_bytes("read(a)", &scene.read("a")?, &expected)
}

fn collapse_range(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"")?;
    for part in 0..4_u8 {
        file.write_all_at(&[b'0' + part; 4096], u64::from(part) * 4096).of("pwrite(a)")?;
    }
    match fallocate(&file, FallocateFlags::COLLAPSE_RANGE, 4096, 4096) {
        // What is taken out must be whole blocks.
        Err(rustix::io::Errno::INVAL) => return skip("FALLOC_FL_COLLAPSE_RANGE of 4096 bytes: larger blocks"),
        outcome => outcome.offered("fallocate(a, FALLOC_FL_COLLAPSE_RANGE, 4096, 4096)")?,
    }
    let expected: Vec<u8> = [b'0', b'2', b'3'].iter().flat_map(|byte| [*byte; 4096]).collect();
    same_bytes("read(a) after FALLOC_FL_COLLAPSE_RANGE", &scene.read("a")?, &expected)
}

fn unknown_modes(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'x'; 5000])?;
    let hole = fallocate(&file, FallocateFlags::PUNCH_HOLE, 0, 100);
    fails("fallocate(a, FALLOC_FL_PUNCH_HOLE without KEEP_SIZE)", hole, &[Errno::EOPNOTSUPP, Errno::EINVAL])?;
    let unknown = fallocate(&file, FallocateFlags::from_bits_retain(0x4000_0000), 0, 100);
    fails("fallocate(a, 0x40000000)", unknown, &[Errno::EOPNOTSUPP, Errno::EINVAL])?;
    fails("fallocate(a, 0 bytes)", fallocate(&file, FallocateFlags::empty(), 0, 0), &[Errno::EINVAL])?;
    same_bytes("read(a)", &scene.read("a")?, &[b'x'; 5000])
}

fn reading_only(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    let file = scene.open("a")?;
    fails("fallocate(a), open for reading", fallocate(&file, FallocateFlags::empty(), 0, 10), &[Errno::EBADF])
}
