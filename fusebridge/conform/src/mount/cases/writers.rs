//! Several at once.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::FallocateFlags;

use super::mapping::Mapping;
use crate::mount::check::{Expect, Verdict, equal, failed, holds, same_bytes};
use crate::mount::scene::Scene;

cases! { "writers":
    append = "concurrent appends are all there, each in one piece";
    disjoint = "concurrent writers to disjoint parts of a file do not interfere";
    one_creator = "of several concurrent creations of one name with O_EXCL, exactly one succeeds";
    one_directory_maker = "of several concurrent mkdir calls for one name, exactly one succeeds";
    one_remover = "of several concurrent removals of one name, exactly one succeeds";
    one_renamer = "of several concurrent renames of one file, exactly one succeeds";
    fill_a_directory = "files created concurrently in one directory are all there";
    always_one_of_two = "a file replaced by rename is never missing and never partial";
    never_back = "a reader that has seen new data never sees the old again";
    map_and_calls = "stores to a mapping and writes to the same pages are both kept";
    map_and_appends = "stores to a mapping and appends to the same page are both kept";
    map_and_holes = "a hole stays when another process stores to a mapping of the same page";
    map_and_copies = "stores to a mapping survive copy_file_range into the same page";
    map_and_truncations = "stores to a mapping survive a truncation later in the same page";
    map_is_never_behind = "writes are visible in a mapping at once, even while others read it";
}

const WRITERS: usize = 4;

/// Runs `work` in several threads that start at once, and gives what came of it.
fn together<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(WRITERS);
    std::thread::scope(|scope| {
        let run = |number| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(number)
            })
        };
        let threads: Vec<_> = (0..WRITERS).map(run).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

/// Fails unless of several that do the same at once exactly one succeeds, each time anew.
fn exactly_one(
    operation: &str,
    mut prepare: impl FnMut(usize) -> Verdict,
    work: impl Fn(usize, usize) -> io::Result<()> + Sync,
) -> Verdict {
    for round in 0..12 {
        prepare(round)?;
        let succeeded = together(|number| work(round, number)).into_iter().filter(Result::is_ok).count();
        equal(format_args!("{operation} by {WRITERS} at once, successes"), succeeded, 1)?;
    }
    Ok(())
}

fn append(scene: &Scene) -> Verdict {
    const RECORDS: usize = 60;
    scene.write("log", b"")?;
    let record = |writer: usize, number: usize| format!("{writer}:{number:03}:{}\n", "x".repeat(10 + number));
    let path = scene.at("log");
    let outcomes = together(|writer| -> Verdict {
        let mut file = OpenOptions::new().append(true).open(&path).of("open(log, O_APPEND)")?;
        (0..RECORDS).try_for_each(|number| file.write_all(record(writer, number).as_bytes()).of("write(log)"))
    });
    outcomes.into_iter().collect::<Verdict>()?;
    let text = String::from_utf8_lossy(&scene.read("log")?).into_owned();
    let expected: BTreeSet<String> =
        (0..WRITERS).flat_map(|writer| (0..RECORDS).map(move |number| record(writer, number))).collect();
    let actual: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    if let Some(broken) = actual.iter().find(|line| !expected.contains(*line)) {
        return failed("write(log, O_APPEND) by 4 at once", "whole records", format_args!("{:?}", broken.trim_end()));
    }
    equal("records in log", actual.len(), WRITERS * RECORDS)
}

fn disjoint(scene: &Scene) -> Verdict {
    const PART: usize = 3000;
    scene.write("a", b"")?;
    let outcomes = together(|writer| -> Verdict {
        let file = scene.open_rw("a")?;
        let byte = b'0' + u8::try_from(writer).unwrap_or(0);
        for round in 0..10 {
            let offset = ((round * WRITERS + writer) * PART) as u64;
            file.write_all_at(&[byte; PART], offset).of(format_args!("pwrite(a, {PART}, {offset})"))?;
        }
        Ok(())
    });
    outcomes.into_iter().collect::<Verdict>()?;
    let expected: Vec<u8> = (0..10 * WRITERS)
        .flat_map(|part| std::iter::repeat_n(b'0' + u8::try_from(part % WRITERS).unwrap_or(0), PART))
        .collect();
    same_bytes("read(a)", &scene.read("a")?, &expected)
}

fn one_creator(scene: &Scene) -> Verdict {
    let create =
        |round, _| OpenOptions::new().write(true).create_new(true).open(scene.at(format!("{round}"))).map(drop);
    exactly_one("open(O_CREAT|O_EXCL)", |_| Ok(()), create)
}

fn one_directory_maker(scene: &Scene) -> Verdict {
    exactly_one("mkdir()", |_| Ok(()), |round, _| fs::create_dir(scene.at(format!("{round}"))))
}

fn one_remover(scene: &Scene) -> Verdict {
    exactly_one("unlink()", |_| scene.write("a", b""), |_, _| fs::remove_file(scene.at("a")))
}

fn one_renamer(scene: &Scene) -> Verdict {
    let rename = |_, number| fs::rename(scene.at("a"), scene.at(format!("to-{number}")));
    exactly_one("rename()", |_| scene.write("a", b""), rename)
}

fn fill_a_directory(scene: &Scene) -> Verdict {
    let name = |writer: usize, number: usize| format!("{writer}-{number}");
    let outcomes = together(|writer| (0..40).try_for_each(|number| scene.write(&name(writer, number), b"x")));
    outcomes.into_iter().collect::<Verdict>()?;
    let expected = (0..WRITERS).flat_map(|writer| (0..40).map(move |number| name(writer, number))).collect();
    super::listing::exactly("readdir(.) of what 4 have made at once", scene.names("")?, &expected)
}

fn always_one_of_two(scene: &Scene) -> Verdict {
    scene.write("a", &[b'0'; 5000])?;
    let outcomes = together(|number| -> Verdict {
        for round in 0..30 {
            if number == 0 {
                let byte = b'0' + u8::try_from(round % 10).unwrap_or(0);
                scene.write(&format!("new-{round}"), &[byte; 5000])?;
                scene.rename(&format!("new-{round}"), "a")?;
            } else {
                let actual = fs::read(scene.at("a")).of("read(a) while others are renamed to a")?;
                let first = actual.first().copied().unwrap_or(0);
                same_bytes("read(a) while others are renamed to a", &actual, &[first; 5000])?;
            }
        }
        Ok(())
    });
    outcomes.into_iter().collect()
}

fn never_back(scene: &Scene) -> Verdict {
    const BLOCK: usize = 4096;
    scene.write("a", &[0; BLOCK])?;
    let end = Instant::now() + Duration::from_millis(300);
    let goes_on = || Instant::now() < end;
    let outcomes = together(|number| -> Verdict {
        match number {
            0 => {
                let (file, mut block) = (scene.open_rw("a")?, [0; BLOCK]);
                for count in (1_u64..).take_while(|_| goes_on()) {
                    block[..8].copy_from_slice(&count.to_le_bytes());
                    file.write_all_at(&block, 0).of("pwrite(a, 4096, 0)")?;
                }
            }
            // An open is when a kernel may drop what it has.
            1 => {
                while goes_on() {
                    scene.open("a")?;
                }
            }
            _ => {
                let (file, mut bytes, mut before) = (scene.open("a")?, [0; 8], 0);
                while goes_on() {
                    file.read_exact_at(&mut bytes, 0).of("pread(a, 8, 0)")?;
                    let count = u64::from_le_bytes(bytes);
                    let what = "pread(a, 8, 0), the number of the last pwrite(a, 4096, 0)";
                    holds(what, &format!("{before} or more"), count >= before, count)?;
                    before = count;
                }
            }
        }
        Ok(())
    });
    outcomes.into_iter().collect()
}

const PAGE: usize = 4096;

/// Does `call` for each number below `count`, and `store` for the same number in another thread at the same time, so
/// that some calls meet a page that has just been stored in.
fn in_step(count: usize, call: impl Fn(usize) -> Verdict, mut store: impl FnMut(usize) + Send) -> Verdict {
    let called = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..count {
                while called.load(Ordering::Relaxed) <= number {
                    std::thread::yield_now();
                }
                store(number);
            }
        });
        let outcome = (0..count).try_for_each(|number| {
            called.store(number + 1, Ordering::Relaxed);
            call(number)
        });
        called.store(count, Ordering::Relaxed);
        outcome
    })
}

fn map_and_calls(scene: &Scene) -> Verdict {
    const ROUNDS: usize = 1000;
    let file = scene.file("a", &[b'.'; 2 * PAGE])?;
    let mut map = Mapping::shared(&file, 2 * PAGE)?;
    let writer = scene.open_rw("a")?;
    // Two bytes of each four, in two pages by turns.
    let place = |round: usize| round % 2 * PAGE + round / 2 * 4;
    let write = |round| writer.write_all_at(b"w", place(round) as u64 + 2).of("pwrite(a, 1 byte) beside a mapping");
    in_step(ROUNDS, write, |round| map.set(place(round), b'm'))?;
    map.flush()?;
    drop((map, file, writer));
    let mut expected = [b'.'; 2 * PAGE];
    for round in 0..ROUNDS {
        (expected[place(round)], expected[place(round) + 2]) = (b'm', b'w');
    }
    same_bytes("read(a), written in turns through a mapping and by pwrite()", &scene.read("a")?, &expected)
}

fn map_and_appends(scene: &Scene) -> Verdict {
    const ROUNDS: usize = 300;
    let file = scene.file("a", &[b'.'; ROUNDS])?;
    let mut map = Mapping::shared(&file, PAGE)?;
    let log = OpenOptions::new().append(true).open(scene.at("a")).of("open(a, O_APPEND)")?;
    let append = |_| (&log).write_all(b"append").of("write(a, O_APPEND) beside a mapping");
    in_step(ROUNDS, append, |round| map.set(round, b'm'))?;
    map.flush()?;
    drop((map, file));
    let expected = [&[b'm'; ROUNDS][..], &b"append".repeat(ROUNDS)].concat();
    same_bytes("read(a), written in turns through a mapping and with O_APPEND", &scene.read("a")?, &expected)
}

fn map_and_holes(scene: &Scene) -> Verdict {
    const ROUNDS: usize = 300;
    let file = scene.file("a", &[b'.'; PAGE])?;
    let mut map = Mapping::shared(&file, PAGE)?;
    let punch = |round| {
        let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let place = (PAGE / 2 + round) as u64;
        rustix::fs::fallocate(&file, mode, place, 1).offered("fallocate(a, FALLOC_FL_PUNCH_HOLE) beside a mapping")
    };
    in_step(ROUNDS, punch, |round| map.set(round, b'm'))?;
    map.flush()?;
    drop(map);
    let mut expected = [b'.'; PAGE];
    expected[..ROUNDS].fill(b'm');
    expected[PAGE / 2..PAGE / 2 + ROUNDS].fill(0);
    same_bytes("read(a), stored in through a mapping and given holes in turns", &scene.read("a")?, &expected)
}

fn map_and_copies(scene: &Scene) -> Verdict {
    const ROUNDS: usize = 300;
    let from = scene.file("b", b"c")?;
    let file = scene.file("a", &[b'.'; PAGE])?;
    let mut map = Mapping::shared(&file, PAGE)?;
    let copy = |round| {
        let place = (PAGE / 2 + round) as u64;
        let copied = rustix::fs::copy_file_range(&from, Some(&mut 0), &file, Some(&mut { place }), 1);
        equal(
            "copy_file_range(b, a, 1) beside a mapping",
            copied.offered("copy_file_range(b, a, 1) beside a mapping")?,
            1,
        )
    };
    in_step(ROUNDS, copy, |round| map.set(round, b'm'))?;
    map.flush()?;
    drop(map);
    let mut expected = [b'.'; PAGE];
    expected[..ROUNDS].fill(b'm');
    expected[PAGE / 2..PAGE / 2 + ROUNDS].fill(b'c');
    same_bytes("read(a), stored in through a mapping and copied to in turns", &scene.read("a")?, &expected)
}

fn map_and_truncations(scene: &Scene) -> Verdict {
    const ROUNDS: usize = 300;
    let file = scene.file("a", &[b'.'; PAGE])?;
    let mut map = Mapping::shared(&file, PAGE)?;
    let truncate = |round| {
        let size = if round % 2 == 0 { PAGE / 2 } else { PAGE };
        file.set_len(size as u64).of("ftruncate(a) beside a mapping")
    };
    in_step(ROUNDS, truncate, |round| map.set(round, b'm'))?;
    map.flush()?;
    drop(map);
    let mut expected = [0; PAGE];
    expected[..PAGE / 2].fill(b'.');
    expected[..ROUNDS].fill(b'm');
    same_bytes("read(a), stored in through a mapping and truncated in turns", &scene.read("a")?, &expected)
}

fn map_is_never_behind(scene: &Scene) -> Verdict {
    const COUNT: u8 = 100;
    let file = scene.file("a", &[0; PAGE])?;
    let map = Mapping::shared(&file, PAGE)?;
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| -> Verdict {
            let mut before = 0;
            while !is_done.load(Ordering::Relaxed) {
                let actual = map.get(7);
                holds(
                    "a mapping while pwrite(a, 1 byte, 7) counts",
                    &format!("{before} or more"),
                    actual >= before,
                    actual,
                )?;
                before = actual;
            }
            Ok(())
        });
        let counted = (1..=COUNT).try_for_each(|count| {
            file.write_all_at(&[count], 7).of("pwrite(a, 1 byte, 7)")?;
            equal("the mapping after pwrite(a, 1 byte, 7)", map.get(7), count)
        });
        is_done.store(true, Ordering::Relaxed);
        counted?;
        looker.join().unwrap_or_else(|_| failed("the other thread", "no panic", "a panic"))
    })
}
