//! Reading and writing.

use std::fs::{File, OpenOptions};
use std::io::{IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{ReadWriteFlags, pwritev2};

use super::mapping::Mapping;
use crate::mount::check::{Expect, Verdict, equal, holds, same_bytes};
use crate::mount::scene::Scene;

cases! { "data":
    behind_the_end = "reading at or past the end returns nothing";
    partly = "a read across the end is short";
    large = "three megabytes written at once can be read back in pieces of any size";
    odd_offsets = "writes at odd offsets with odd lengths are contiguous";
    overwritten = "overwriting changes only the range written";
    vectors = "writev and readv keep the order";
    at_once = "data written through one descriptor is visible through another at once";
    anew = "written data is there after reopening";
    append_mode = "O_APPEND writes at the end whatever the file position";
    append_taken_off = "after O_APPEND is cleared, writes go to the file position";
    append_put_on = "after O_APPEND is set, writes go to the end";
    append_once = "RWF_APPEND appends for a single write";
    append_not_once = "RWF_NOAPPEND overrides O_APPEND for a single write";
    copy_file_range = "copy_file_range copies within and between files";
    synced = "fsync, fdatasync, O_SYNC and fsync of directories succeed";
    zero_bytes = "zero-byte reads and writes change nothing";
    by_chance = "random reads and writes match an in-memory copy";
}

fn pattern(length: usize, start: usize) -> Vec<u8> {
    // 251 is prime: no power of two hides a shifted block.
    (start..start + length).map(|index| u8::try_from(index % 251).unwrap_or(0)).collect()
}

fn behind_the_end(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"0123456789")?;
    let mut bytes = [0; 10];
    for offset in [10, 11, 4096, 1 << 40] {
        let count = file.read_at(&mut bytes, offset).of(format_args!("pread(a, 10, {offset})"))?;
        equal(format_args!("bytes that pread(a, 10, {offset}) gives, a having 10"), count, 0)?;
    }
    Ok(())
}

fn partly(scene: &Scene) -> Verdict {
    let file = scene.file("a", &pattern(10_000, 0))?;
    let mut bytes = vec![0; 8192];
    let count = file.read_at(&mut bytes, 5000).of("pread(a, 8192, 5000)")?;
    same_bytes("pread(a, 8192, 5000), a having 10000", &bytes[..count], &pattern(5000, 5000))
}

fn large(scene: &Scene) -> Verdict {
    let content = pattern(3 << 20, 0);
    scene.write("a", &content)?;
    same_bytes("read(a)", &scene.read("a")?, &content)?;
    let mut file = scene.open("a")?;
    let mut actual = Vec::new();
    for size in [1, 511, 4096, 65_537, 1 << 20].into_iter().cycle() {
        let mut part = vec![0; size];
        let count = file.read(&mut part).of(format_args!("read(a, {size})"))?;
        if count == 0 {
            break;
        }
        actual.extend_from_slice(&part[..count]);
    }
    same_bytes("read(a) in pieces", &actual, &content)
}

fn odd_offsets(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"")?;
    let content = pattern(30_000, 0);
    // From the end to the start.
    let mut end = content.len();
    for length in [1, 4095, 4097, 3, 8191].into_iter().cycle() {
        let start = end.saturating_sub(length);
        file.write_all_at(&content[start..end], start as u64).of(format_args!("pwrite(a, {start})"))?;
        end = start;
        if end == 0 {
            break;
        }
    }
    same_bytes("read(a)", &scene.read("a")?, &content)
}

fn overwritten(scene: &Scene) -> Verdict {
    let mut content = pattern(20_000, 0);
    let file = scene.file("a", &content)?;
    file.write_all_at(&[b'#'; 5000], 6000).of("pwrite(a, 5000, 6000)")?;
    content[6000..11_000].fill(b'#');
    same_bytes("read(a)", &scene.read("a")?, &content)?;
    equal("stat(a).st_size", scene.stat("a")?.len(), 20_000)
}

fn vectors(scene: &Scene) -> Verdict {
    let mut file = scene.file("a", b"")?;
    let parts = [IoSlice::new(b"one "), IoSlice::new(b""), IoSlice::new(b"two "), IoSlice::new(b"three")];
    equal("writev(a, 13 bytes)", file.write_vectored(&parts).of("writev(a)")?, 13)?;
    file.seek(SeekFrom::Start(0)).of("lseek(a, 0)")?;
    let (mut first, mut second) = ([0; 6], [0; 20]);
    let count = file.read_vectored(&mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)]).of("readv(a)")?;
    equal("readv(a, 26 bytes)", count, 13)?;
    same_bytes("readv(a)", &[&first[..], &second[..7]].concat(), b"one two three")
}

fn at_once(scene: &Scene) -> Verdict {
    let writer = scene.file("a", b"....")?;
    let reader = scene.open("a")?;
    for round in 0..20_u8 {
        writer.write_all_at(&[b'a' + round; 4], 0).of("pwrite(a)")?;
        let mut bytes = [0; 4];
        reader.read_exact_at(&mut bytes, 0).of("pread(a)")?;
        same_bytes("pread(a) by another descriptor", &bytes, &[b'a' + round; 4])?;
    }
    Ok(())
}

fn anew(scene: &Scene) -> Verdict {
    scene.write("a", &pattern(5000, 0))?;
    same_bytes("read(a)", &scene.read("a")?, &pattern(5000, 0))?;
    equal("stat(a).st_size", scene.stat("a")?.len(), 5000)?;
    std::fs::write(scene.at("a"), b"short").of("write(a)")?;
    same_bytes("read(a) after it was written again", &scene.read("a")?, b"short")
}

fn append_mode(scene: &Scene) -> Verdict {
    scene.write("a", b"start")?;
    let mut file = OpenOptions::new().read(true).append(true).open(scene.at("a")).of("open(a, O_APPEND)")?;
    file.seek(SeekFrom::Start(0)).of("lseek(a, 0)")?;
    file.write_all(b"-one").of("write(a)")?;
    scene.open_rw("a")?.write_all_at(b"-two", 9).of("pwrite(a, 9)")?;
    file.write_all(b"-three").of("write(a)")?;
    same_bytes("read(a)", &scene.read("a")?, b"start-one-two-three")
}

/// The file "a" with ten digits, open with `flags`.
fn digits(scene: &Scene, flags: OFlags) -> Verdict<std::os::fd::OwnedFd> {
    scene.write("a", b"0123456789")?;
    rustix::fs::open(scene.at("a"), flags | OFlags::CLOEXEC, Mode::empty()).of(format_args!("open(a, {flags:?})"))
}

fn append_taken_off(scene: &Scene) -> Verdict {
    let file = digits(scene, OFlags::RDWR | OFlags::APPEND)?;
    rustix::io::write(&file, b"end").of("write(a)")?;
    let flags = fcntl_getfl(&file).of("fcntl(F_GETFL)")?;
    fcntl_setfl(&file, flags - OFlags::APPEND).of("fcntl(F_SETFL, without O_APPEND)")?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).of("lseek(a, 0)")?;
    rustix::io::write(&file, b"HEAD").of("write(a)")?;
    rustix::io::pwrite(&file, b"X", 7).of("pwrite(a, 7)")?;
    same_bytes("read(a)", &scene.read("a")?, b"HEAD456X89end")?;
    let mut actual = [0; 4];
    rustix::io::pread(&file, &mut actual, 6).of("pread(a, 6)")?;
    same_bytes("pread(a, 4 bytes, 6) by the same descriptor", &actual, b"6X89")?;
    let mut map = Mapping::shared(&File::from(file), 13)?;
    map.set(1, b'M');
    same_bytes("read(a) after a store in a mapping", &scene.read("a")?, b"HMAD456X89end")
}

fn append_put_on(scene: &Scene) -> Verdict {
    let file = digits(scene, OFlags::RDWR)?;
    rustix::io::write(&file, b"HEAD").of("write(a)")?;
    let flags = fcntl_getfl(&file).of("fcntl(F_GETFL)")?;
    fcntl_setfl(&file, flags | OFlags::APPEND).of("fcntl(F_SETFL, with O_APPEND)")?;
    rustix::io::write(&file, b"end").of("write(a)")?;
    equal("the position", rustix::fs::tell(&file).of("lseek(a)")?, 13)?;
    same_bytes("read(a)", &scene.read("a")?, b"HEAD456789end")
}

fn append_once(scene: &Scene) -> Verdict {
    let file = digits(scene, OFlags::WRONLY)?;
    pwritev2(&file, &[IoSlice::new(b"end")], 0, ReadWriteFlags::APPEND).offered("pwritev2(a, RWF_APPEND)")?;
    rustix::io::pwrite(&file, b"HEAD", 0).of("pwrite(a, 0)")?;
    same_bytes("read(a)", &scene.read("a")?, b"HEAD456789end")
}

fn append_not_once(scene: &Scene) -> Verdict {
    let no_append = ReadWriteFlags::from_bits_retain(0x20);
    let file = digits(scene, OFlags::WRONLY | OFlags::APPEND)?;
    rustix::io::write(&file, b"end").of("write(a)")?;
    pwritev2(&file, &[IoSlice::new(b"HEAD")], 0, no_append).offered("pwritev2(a, 0, RWF_NOAPPEND)")?;
    rustix::io::write(&file, b"s").of("write(a)")?;
    same_bytes("read(a)", &scene.read("a")?, b"HEAD456789ends")
}

fn copy_file_range(scene: &Scene) -> Verdict {
    let content = pattern(50_000, 0);
    let from = scene.file("a", &content)?;
    let to = scene.file("b", b"")?;
    let copy = |from: &std::fs::File, mut offset: u64, to: &std::fs::File, mut at: u64, length: usize| -> Verdict {
        let mut left = length;
        while left > 0 {
            let count = rustix::fs::copy_file_range(from, Some(&mut offset), to, Some(&mut at), left)
                .offered(format_args!("copy_file_range({left} bytes)"))?;
            holds("copy_file_range() before the end", "some bytes", count > 0, count)?;
            left -= count;
        }
        Ok(())
    };
    copy(&from, 1000, &to, 0, 40_000)?;
    same_bytes("read(b), copied from a", &scene.read("b")?, &content[1000..41_000])?;
    copy(&to, 0, &to, 40_000, 10_000)?;
    same_bytes("read(b), copied within", &scene.read("b")?[40_000..], &content[1000..11_000])?;
    let past = rustix::fs::copy_file_range(&from, Some(&mut 50_000), &to, Some(&mut 0), 10);
    equal("copy_file_range(a, 50000) at the end", past.of("copy_file_range()")?, 0)
}

fn synced(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"x")?;
    file.sync_all().of("fsync(a)")?;
    file.sync_data().of("fdatasync(a)")?;
    scene.open("a")?.sync_all().of("fsync(a), open for reading")?;
    scene.dir("d")?;
    scene.open("d")?.sync_all().of("fsync(d) of a directory")?;
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::SYNC | rustix::fs::OFlags::CLOEXEC;
    let synchronous = rustix::fs::open(scene.at("a"), flags, rustix::fs::Mode::empty()).of("open(a, O_SYNC)")?;
    rustix::io::write(&synchronous, b"y").of("write(a, O_SYNC)")?;
    same_bytes("read(a)", &scene.read("a")?, b"y")
}

fn zero_bytes(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"abc")?;
    equal("pwrite(a, 0 bytes, 100)", file.write_at(b"", 100).of("pwrite(a, 0 bytes)")?, 0)?;
    equal("pread(a, 0 bytes, 0)", file.read_at(&mut [], 0).of("pread(a, 0 bytes)")?, 0)?;
    equal("stat(a).st_size", scene.stat("a")?.len(), 3)
}

fn by_chance(scene: &Scene) -> Verdict {
    const SIZE: u64 = 200_000;
    let file = scene.file("a", b"")?;
    let mut copy: Vec<u8> = Vec::new();
    // Another one for each seed, and never 0.
    let mut state = scene.seed.wrapping_mul(2) | 1;
    // Marsaglia's xorshift.
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below).unwrap_or(0)
    };
    for step in 0..150 {
        let (offset, length) = (random(SIZE), random(20_000) + 1);
        match random(4) {
            0 | 1 => {
                let content = pattern(length, step * 7);
                file.write_all_at(&content, offset as u64).of(format_args!("pwrite(a, {length}, {offset})"))?;
                copy.resize(copy.len().max(offset + length), 0);
                copy[offset..offset + length].copy_from_slice(&content);
            }
            2 => {
                file.set_len(offset as u64).of(format_args!("ftruncate(a, {offset})"))?;
                copy.resize(offset, 0);
            }
            _ => {
                let mut bytes = vec![0; length];
                let count = file.read_at(&mut bytes, offset as u64).of(format_args!("pread(a, {length}, {offset})"))?;
                let expected = copy.get(offset..copy.len().min(offset + length)).unwrap_or_default();
                let what = format!("pread(a, {length}, {offset}), step {step} with seed {}", scene.seed);
                same_bytes(what, &bytes[..count], expected)?;
            }
        }
    }
    same_bytes(format_args!("read(a) with seed {}", scene.seed), &scene.read("a")?, &copy)
}
