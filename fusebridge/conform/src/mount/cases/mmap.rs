//! Memory mappings and system calls see the same file.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

use super::mapping::Mapping;
use crate::mount::check::{Expect, Verdict, equal, same_bytes};
use crate::mount::scene::Scene;

cases! { "mmap":
    reads = "a mapping shows the file's content, and zeros past the end of its last page";
    written_through_the_map = "stores to a shared mapping are visible to read";
    written_by_calls = "writes are visible in an existing mapping";
    two_maps = "two shared mappings see each other's stores";
    private = "stores to a private mapping stay private";
    flushed = "data flushed by msync is there after reopening";
    outlives = "a mapping outlives its descriptor and its file's name";
    grown = "a mapping made after the file has grown covers the new part";
    executed = "a program on the file system can be executed";
}

const PAGE: usize = 4096;

fn reads(scene: &Scene) -> Verdict {
    let content: Vec<u8> = (0..PAGE + 100).map(|index| u8::try_from(index % 251).unwrap_or(0)).collect();
    let file = scene.file("a", &content)?;
    let map = Mapping::shared(&file, 2 * PAGE)?;
    let actual: Vec<u8> = (0..content.len()).map(|index| map.get(index)).collect();
    same_bytes("the mapping of a", &actual, &content)?;
    equal("the mapping of a past its end", (content.len()..2 * PAGE).all(|index| map.get(index) == 0), true)
}

fn written_through_the_map(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'.'; 3 * PAGE])?;
    let mut map = Mapping::shared(&file, 3 * PAGE)?;
    map.set(5000, b'm');
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5000).of("pread(a, 1 byte, 5000)")?;
    same_bytes("pread(a) of what the mapping has stored", &byte, b"m")?;
    equal("read(a) by another descriptor", scene.read("a")?.get(5000).copied(), Some(b'm'))
}

fn written_by_calls(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'.'; 2 * PAGE])?;
    let map = Mapping::shared(&file, 2 * PAGE)?;
    equal("the mapping before", map.get(5001), b'.')?;
    file.write_all_at(b"w", 5001).of("pwrite(a, 5001)")?;
    equal("the mapping after pwrite(a, 5001)", map.get(5001), b'w')?;
    scene.open_rw("a")?.write_all_at(b"v", 1).of("pwrite(a, 1)")?;
    equal("the mapping after pwrite(a, 1) by another descriptor", map.get(1), b'v')
}

fn two_maps(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'.'; PAGE])?;
    let mut one = Mapping::shared(&file, PAGE)?;
    let two = Mapping::shared(&scene.open_rw("a")?, PAGE)?;
    one.set(7, b'x');
    equal("the other mapping", two.get(7), b'x')
}

fn private(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'.'; PAGE])?;
    let mut map = Mapping::private(&file, PAGE)?;
    map.set(7, b'x');
    equal("the private mapping", map.get(7), b'x')?;
    equal("read(a)", scene.read("a")?.get(7).copied(), Some(b'.'))
}

fn flushed(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'.'; PAGE])?;
    let mut map = Mapping::shared(&file, PAGE)?;
    map.set(9, b'f');
    map.flush()?;
    drop((map, file));
    equal("read(a) after msync(MS_SYNC)", scene.read("a")?.get(9).copied(), Some(b'f'))
}

fn outlives(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'.'; 2 * PAGE])?;
    let mut map = Mapping::shared(&file, 2 * PAGE)?;
    map.set(5000, b'm');
    drop(file);
    scene.unlink("a")?;
    map.set(1, b'z');
    equal("the mapping after close(a) and unlink(a)", (map.get(1), map.get(5000), map.get(2)), (b'z', b'm', b'.'))
}

fn grown(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'.'; PAGE])?;
    let first = Mapping::shared(&file, PAGE)?;
    equal("the first mapping", first.get(PAGE - 1), b'.')?;
    file.write_all_at(&[b'+'; PAGE], PAGE as u64).of("pwrite(a, 4096)")?;
    let second = Mapping::shared(&file, 2 * PAGE)?;
    equal("the mapping of the new part", (second.get(PAGE - 1), second.get(2 * PAGE - 1)), (b'.', b'+'))
}

fn executed(scene: &Scene) -> Verdict {
    fs::copy("/bin/true", scene.at("program")).of("copy(/bin/true, program)")?;
    scene.chmod("program", 0o755)?;
    // A file that is open for writing cannot be run.
    drop(OpenOptions::new().read(true).open(scene.at("program")).of("open(program)")?);
    let status = std::process::Command::new(scene.at("program")).status().of("execve(program)")?;
    equal("exit status of program", status.code(), Some(0))
}
