//! Files with holes.

use std::os::unix::fs::{FileExt, MetadataExt};

use nix::errno::Errno;
use rustix::fs::SeekFrom;

use super::mapping::Mapping;
use crate::mount::check::{Expect, Verdict, equal, fails, holds, same_bytes, skip};
use crate::mount::scene::Scene;

cases! { "sparse":
    holes_are_zeros = "unwritten ranges read as zeros";
    extended = "extending a file adds zeros, even where there was data before";
    beyond_4_gib = "files may exceed 4 GiB, and data may cross that boundary";
    blocks = "a hole takes no space";
    seek_data = "SEEK_DATA and SEEK_HOLE never report data as a hole";
    seek_hole = "SEEK_DATA and SEEK_HOLE find the holes";
    mapped = "stores through a mapping into a hole become data";
    filled = "writing into a hole leaves its surroundings";
}

fn read(file: &std::fs::File, length: usize, offset: u64) -> Verdict<Vec<u8>> {
    let mut bytes = vec![0xee; length];
    file.read_exact_at(&mut bytes, offset).of(format_args!("pread(a, {length}, {offset})"))?;
    Ok(bytes)
}

fn holes_are_zeros(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"begin")?;
    file.write_all_at(b"end", 100_000).of("pwrite(a, 100000)")?;
    equal("fstat(a).st_size", file.metadata().of("fstat(a)")?.len(), 100_003)?;
    same_bytes("the hole", &read(&file, 99_995, 5)?, &[0; 99_995])?;
    same_bytes("the data after it", &read(&file, 3, 100_000)?, b"end")?;
    let anew = scene.read("a")?;
    same_bytes("the hole, opened anew", &anew[5..100_000], &[0; 99_995])
}

fn extended(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'x'; 10_000])?;
    file.set_len(5000).of("ftruncate(a, 5000)")?;
    file.set_len(20_000).of("ftruncate(a, 20000)")?;
    same_bytes("what is left", &read(&file, 5000, 0)?, &[b'x'; 5000])?;
    same_bytes("what is new", &read(&file, 15_000, 5000)?, &[0; 15_000])
}

fn beyond_4_gib(scene: &Scene) -> Verdict {
    const FAR: u64 = 5 << 30;
    const BORDER: u64 = (4 << 30) - 5;
    let file = scene.file("a", b"begin")?;
    file.write_all_at(b"0123456789", BORDER).of(format_args!("pwrite(a, {BORDER})"))?;
    file.write_all_at(b"end", FAR).of(format_args!("pwrite(a, {FAR})"))?;
    equal("stat(a).st_size", scene.stat("a")?.len(), FAR + 3)?;
    same_bytes("across the border", &read(&file, 10, BORDER)?, b"0123456789")?;
    same_bytes("at the end", &read(&file, 3, FAR)?, b"end")?;
    same_bytes("at the start", &read(&file, 8, 0)?, b"begin\0\0\0")?;
    same_bytes("in between", &read(&file, 100, 1 << 30)?, &[0; 100])?;
    file.set_len(FAR).of(format_args!("ftruncate(a, {FAR})"))?;
    equal("stat(a).st_size after ftruncate()", scene.stat("a")?.len(), FAR)
}

fn blocks(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"")?;
    file.set_len(1 << 30).of("ftruncate(a, 1 GiB)")?;
    let blocks = scene.stat("a")?.blocks();
    holds("stat(a).st_blocks of a hole of 1 GiB", "few", blocks < 1024, blocks)
}

fn seek_data(scene: &Scene) -> Verdict {
    const END: u64 = 3 << 20;
    let file = scene.file("a", &[b'x'; 5000])?;
    file.write_all_at(b"data", 2 << 20).of("pwrite(a, 2 MiB)")?;
    file.set_len(END).of("ftruncate(a, 3 MiB)")?;
    file.sync_all().of("fsync(a)")?;
    let seek = |from| rustix::fs::seek(&file, from);
    equal("lseek(a, 0, SEEK_DATA)", seek(SeekFrom::Data(0)).offered("lseek(SEEK_DATA)")?, 0)?;
    let hole = seek(SeekFrom::Hole(0)).of("lseek(a, 0, SEEK_HOLE)")?;
    holds("lseek(a, 0, SEEK_HOLE) after 5000 bytes", "5000 to 3 MiB", (5000..=END).contains(&hole), hole)?;
    let data = seek(SeekFrom::Data(1 << 20)).of("lseek(a, 1 MiB, SEEK_DATA)")?;
    holds("lseek(a, 1 MiB, SEEK_DATA)", "1 MiB to 2 MiB", (1 << 20..=2 << 20).contains(&data), data)?;
    let end = seek(SeekFrom::Hole((2 << 20) + 1)).of("lseek(a, 2 MiB, SEEK_HOLE)")?;
    holds("lseek(a, 2 MiB, SEEK_HOLE)", "not before the data's end", ((2 << 20) + 4..=END).contains(&end), end)?;
    fails("lseek(a, 3 MiB, SEEK_DATA) at the end", seek(SeekFrom::Data(END)), &[Errno::ENXIO])
}

fn seek_hole(scene: &Scene) -> Verdict {
    const END: u64 = 3 << 20;
    let file = scene.file("a", b"begin")?;
    file.write_all_at(b"data", 2 << 20).of("pwrite(a, 2 MiB)")?;
    file.set_len(END).of("ftruncate(a, 3 MiB)")?;
    file.sync_all().of("fsync(a)")?;
    drop(file);
    let file = scene.open("a")?;
    let seek = |from| rustix::fs::seek(&file, from);
    let hole = seek(SeekFrom::Hole(0)).offered("lseek(SEEK_HOLE)")?;
    if hole == END {
        return skip("SEEK_HOLE knows only the hole past the end");
    }
    // A hole begins where the file system says, but not before the data's end, nor far behind it.
    const NEAR: u64 = 1 << 20;
    holds("lseek(a, 0, SEEK_HOLE) after 5 bytes", "5 to 1 MiB", (5..=NEAR).contains(&hole), hole)?;
    let data = seek(SeekFrom::Data(hole)).of("lseek(a, the hole, SEEK_DATA)")?;
    holds("lseek(a, the hole, SEEK_DATA)", "1 MiB to 2 MiB", (NEAR..=2 << 20).contains(&data), data)?;
    let end = seek(SeekFrom::Hole(2 << 20)).of("lseek(a, 2 MiB, SEEK_HOLE)")?;
    holds("lseek(a, 2 MiB, SEEK_HOLE)", "within the hole behind", ((2 << 20) + 4..END).contains(&end), end)?;
    fails("lseek(a, 3 MiB - 1, SEEK_DATA) in the last hole", seek(SeekFrom::Data(END - 1)), &[Errno::ENXIO])
}

fn mapped(scene: &Scene) -> Verdict {
    const AT: usize = 512 << 10;
    let file = scene.file("a", b"")?;
    file.set_len(1 << 20).of("ftruncate(a, 1 MiB)")?;
    let mut map = Mapping::shared(&file, 1 << 20)?;
    map.set(AT, b'm');
    let at = AT as u64;
    for (file, name) in [(&file, "that was mapped"), (&scene.open("a")?, "opened anew")] {
        let data = rustix::fs::seek(file, SeekFrom::Data(0)).offered("lseek(SEEK_DATA)")?;
        holds(format_args!("lseek(a, 0, SEEK_DATA), {name}"), "not after what was stored", data <= at, data)?;
        let hole = rustix::fs::seek(file, SeekFrom::Hole(at)).of("lseek(a, 512 KiB, SEEK_HOLE)")?;
        holds(format_args!("lseek(a, 512 KiB, SEEK_HOLE), {name}"), "after what was stored", hole > at, hole)?;
    }
    Ok(())
}

fn filled(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"")?;
    file.set_len(50_000).of("ftruncate(a, 50000)")?;
    file.write_all_at(b"middle", 25_000).of("pwrite(a, 25000)")?;
    let mut expected = vec![0; 50_000];
    expected[25_000..25_006].copy_from_slice(b"middle");
    same_bytes("read(a)", &scene.read("a")?, &expected)
}
