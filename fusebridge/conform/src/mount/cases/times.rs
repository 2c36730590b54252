//! Time stamps.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::time::Duration;

use rustix::fs::{
    AtFlags, CWD, Dir, FallocateFlags, Mode, OFlags, StatxFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
    copy_file_range, fallocate, statx, utimensat,
};
use rustix::time::{ClockId, clock_gettime};

use super::mapping::Mapping;
use crate::mount::check::{Expect, Verdict, equal, failed, holds, skip};
use crate::mount::scene::Scene;

cases! { "times":
    exact = "times are stored to the nanosecond";
    omitted = "UTIME_OMIT keeps a time, UTIME_NOW sets the current one";
    fine = "two changes in quick succession have different times";
    written = "a write updates mtime and ctime";
    mode = "chmod updates only ctime";
    stored = "stores to a mapping update the times no later than msync, fsync, close or munmap";
    outlived = "stores to a mapping update the times even after the file is closed";
    by_any_descriptor = "every change of content updates the times, through whichever descriptor";
    truncated = "a truncation updates mtime and ctime";
    directory = "creating and removing entries updates the directory's times";
    of_symlinks = "the times of a symbolic link can be set";
    far_away = "times before 1970 and after 2038 can be stored";
    reading_does_not_write = "reading leaves mtime and ctime unchanged";
    no_access = "reading with O_NOATIME leaves atime unchanged";
    survive = "times that were set survive close, rename and link";
    present = "a new file has the current time";
    born = "the time of birth stays, whatever becomes of the file";
}

/// Long enough for the clock of any file system whose times are not whole seconds.
const NAP: Duration = Duration::from_millis(12);

/// Seconds and nanoseconds.
type Time = (i64, i64);

/// Lets some time pass.
pub(super) fn nap() {
    // Files are stamped with this clock, which a busy machine leaves behind.
    let coarse = || {
        let time = clock_gettime(ClockId::RealtimeCoarse);
        (time.tv_sec, time.tv_nsec)
    };
    let before = coarse();
    std::thread::sleep(NAP);
    while coarse() == before {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Fails unless `actual` is after `before`.
pub(super) fn later(what: &str, actual: Time, before: Time) -> Verdict {
    let time = |time: Time| format!("{}.{:09}", time.0, time.1);
    if actual > before { Ok(()) } else { failed(what, format_args!("later than {}", time(before)), time(actual)) }
}

fn mtime(scene: &Scene, name: &str) -> Verdict<Time> {
    scene.lstat(name).map(|stat| (stat.mtime(), stat.mtime_nsec()))
}

fn ctime(scene: &Scene, name: &str) -> Verdict<Time> {
    scene.lstat(name).map(|stat| (stat.ctime(), stat.ctime_nsec()))
}

fn set(scene: &Scene, name: &str, atime: (i64, i64), mtime: (i64, i64)) -> Verdict {
    let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
    let times = Timestamps { last_access: time(atime), last_modification: time(mtime) };
    utimensat(CWD, scene.at(name), &times, AtFlags::SYMLINK_NOFOLLOW)
        .of(format_args!("utimensat({name}, {atime:?}, {mtime:?})"))
}

fn exact(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    set(scene, "a", (1_000_000_001, 123_456_789), (1_234_567_890, 987_654_321))?;
    let stat = scene.stat("a")?;
    equal("stat(a).st_mtim", (stat.mtime(), stat.mtime_nsec()), (1_234_567_890, 987_654_321))?;
    equal("stat(a).st_atim", (stat.atime(), stat.atime_nsec()), (1_000_000_001, 123_456_789))
}

fn omitted(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    set(scene, "a", (1000, 1), (2000, 2))?;
    set(scene, "a", (0, UTIME_OMIT), (3000, 3))?;
    let stat = scene.stat("a")?;
    equal("stat(a).st_atim after UTIME_OMIT", (stat.atime(), stat.atime_nsec()), (1000, 1))?;
    equal("stat(a).st_mtim", (stat.mtime(), stat.mtime_nsec()), (3000, 3))?;
    set(scene, "a", (0, UTIME_OMIT), (0, UTIME_NOW))?;
    later("stat(a).st_mtim after UTIME_NOW", mtime(scene, "a")?, (1_600_000_000, 0))?;
    equal("stat(a).st_atim after UTIME_OMIT", scene.stat("a")?.atime(), 1000)
}

fn fine(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    let first = mtime(scene, "a")?;
    nap();
    fs::write(scene.at("a"), b"y").of("write(a)")?;
    later("stat(a).st_mtim of a write 12 ms later", mtime(scene, "a")?, first)
}

fn written(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"x")?;
    let before = (mtime(scene, "a")?, ctime(scene, "a")?);
    nap();
    file.write_all_at(b"y", 0).of("pwrite(a)")?;
    later("stat(a).st_mtim after pwrite(a)", mtime(scene, "a")?, before.0)?;
    later("stat(a).st_ctim after pwrite(a)", ctime(scene, "a")?, before.1)
}

/// The time of content and that of attributes.
fn both(scene: &Scene) -> Verdict<(Time, Time)> {
    Ok((mtime(scene, "a")?, ctime(scene, "a")?))
}

/// Fails unless the times of "a" are later than `before`. A file system whose mappings change no times, as those of
/// tmpfs, is left out.
fn later_by_map(scene: &Scene, what: &str, before: (Time, Time)) -> Verdict {
    let actual = both(scene)?;
    let asked = statx(CWD, scene.at("a"), AtFlags::STATX_FORCE_SYNC, StatxFlags::BASIC_STATS).of("statx(a)")?;
    if (asked.stx_mtime.tv_sec, i64::from(asked.stx_mtime.tv_nsec)) == before.0 {
        return skip(format!("{what} changes no times"));
    }
    later(&format!("stat(a).st_mtim after {what}"), actual.0, before.0)?;
    later(&format!("stat(a).st_ctim after {what}"), actual.1, before.1)
}

fn stored(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'.'; 4096])?;
    let other = scene.open_rw("a")?;
    let mut map = Mapping::shared(&file, 4096)?;
    let mut before = both(scene)?;
    for (byte, way) in [(1, "msync"), (2, "fsync"), (3, "close"), (4, "munmap")] {
        nap();
        map.set(0, byte);
        match way {
            "msync" => map.flush()?,
            "fsync" => file.sync_all().of("fsync(a)")?,
            "close" => drop(other.try_clone().of("dup(a)")?),
            _ => drop(std::mem::replace(&mut map, Mapping::shared(&file, 4096)?)),
        }
        later_by_map(scene, &format!("a store in a mapping, and {way}()"), before)?;
        // Only the first store in a page that is not dirty counts.
        file.sync_all().of("fsync(a)")?;
        before = both(scene)?;
    }
    Ok(())
}

fn outlived(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'.'; 4096])?;
    let mut map = Mapping::shared(&file, 4096)?;
    drop(file);
    for byte in 0..3 {
        let before = both(scene)?;
        nap();
        map.set(0, byte);
        map.flush()?;
        later_by_map(scene, "a store in a mapping of a closed file, and msync()", before)?;
    }
    drop(map);
    let before = both(scene)?;
    equal("the times of a when the mapping is gone", both(scene)?, before)?;
    nap();
    let file = scene.open_rw("a")?;
    let mut map = Mapping::shared(&file, 4096)?;
    map.set(0, b'!');
    map.flush()?;
    later_by_map(scene, "a store in another mapping, and msync()", before)
}

fn by_any_descriptor(scene: &Scene) -> Verdict {
    let file = scene.file("a", &[b'.'; 10_000])?;
    let from = scene.file("b", &[b'b'; 10_000])?;
    let other = OpenOptions::new().write(true).open(scene.at("a")).of("open(a, O_WRONLY)")?;
    let log = OpenOptions::new().append(true).open(scene.at("a")).of("open(a, O_APPEND)")?;
    let changed = |what: &str, size: u64, change: &dyn Fn() -> Verdict| {
        let before = both(scene)?;
        nap();
        change()?;
        let actual = both(scene)?;
        later(&format!("stat(a).st_mtim after {what}"), actual.0, before.0)?;
        later(&format!("stat(a).st_ctim after {what}"), actual.1, before.1)?;
        equal(format_args!("stat(a).st_size after {what}"), scene.stat("a")?.len(), size)
    };
    changed("pwrite(a)", 10_000, &|| file.write_all_at(b"1", 0).of("pwrite(a)"))?;
    changed("pwrite(a) past the end", 10_010, &|| other.write_all_at(b"2", 10_009).of("pwrite(a)"))?;
    changed("write(a, O_APPEND)", 10_013, &|| (&log).write_all(b"333").of("write(a)"))?;
    changed("ftruncate(a)", 9000, &|| file.set_len(9000).of("ftruncate(a)"))?;
    changed("ftruncate(a) by a descriptor that cannot read", 9500, &|| other.set_len(9500).of("ftruncate(a)"))?;
    changed("truncate(a)", 8000, &|| nix::unistd::truncate(&scene.at("a"), 8000).of("truncate(a)"))?;
    changed("copy_file_range(b, a)", 8100, &|| {
        let copied = copy_file_range(&from, Some(&mut 0), &other, Some(&mut 8000), 100);
        equal("copy_file_range(b, a, 100)", copied.offered("copy_file_range(b, a, 100)")?, 100)
    })?;
    changed("fallocate(a)", 20_000, &|| {
        fallocate(&other, FallocateFlags::empty(), 0, 20_000).offered("fallocate(a, 0, 20000)")
    })?;
    changed("fallocate(a, FALLOC_FL_PUNCH_HOLE)", 20_000, &|| {
        let mode = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&file, mode, 0, 5000).offered("fallocate(a, FALLOC_FL_PUNCH_HOLE)")
    })
}

fn mode(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    let before = (mtime(scene, "a")?, ctime(scene, "a")?);
    nap();
    scene.chmod("a", 0o640)?;
    later("stat(a).st_ctim after chmod(a)", ctime(scene, "a")?, before.1)?;
    equal("stat(a).st_mtim after chmod(a)", mtime(scene, "a")?, before.0)
}

fn truncated(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"xyz")?;
    let before = (mtime(scene, "a")?, ctime(scene, "a")?);
    nap();
    file.set_len(1).of("ftruncate(a, 1)")?;
    later("stat(a).st_mtim after ftruncate(a)", mtime(scene, "a")?, before.0)?;
    later("stat(a).st_ctim after ftruncate(a)", ctime(scene, "a")?, before.1)
}

fn directory(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    let mut before = mtime(scene, "d")?;
    let mut changed = |what: &str| {
        let now = mtime(scene, "d")?;
        later(what, now, before)?;
        before = now;
        nap();
        Ok(())
    };
    nap();
    scene.write("d/a", b"")?;
    changed("stat(d).st_mtim after creat(d/a)")?;
    scene.dir("d/b")?;
    changed("stat(d).st_mtim after mkdir(d/b)")?;
    scene.link("d/a", "d/c")?;
    changed("stat(d).st_mtim after link(d/a, d/c)")?;
    scene.unlink("d/a")?;
    changed("stat(d).st_mtim after unlink(d/a)")?;
    fs::remove_dir(scene.at("d/b")).of("rmdir(d/b)")?;
    changed("stat(d).st_mtim after rmdir(d/b)")
}

fn of_symlinks(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    symlink("a", scene.at("s")).offered("symlink(a, s)")?;
    let target = mtime(scene, "a")?;
    set(scene, "s", (1000, 0), (2000, 5))?;
    equal("lstat(s).st_mtim", mtime(scene, "s")?, (2000, 5))?;
    equal("stat(a).st_mtim, the target", mtime(scene, "a")?, target)
}

fn far_away(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    // 1966 and 2106.
    for time in [(-100_000_000, 5), (4_300_000_000, 7)] {
        set(scene, "a", time, time)?;
        let stat = scene.stat("a")?;
        let kept = (stat.mtime(), stat.mtime_nsec());
        if kept != time && (kept.0 == 0 || kept.0 == i64::from(i32::MAX) || kept.0 == i64::from(u32::MAX)) {
            return skip(format!("the file system's times end at {}", kept.0));
        }
        equal("stat(a).st_mtim", kept, time)?;
    }
    Ok(())
}

fn reading_does_not_write(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    let before = (mtime(scene, "a")?, ctime(scene, "a")?);
    nap();
    scene.read("a")?;
    scene.names("")?;
    equal("stat(a).st_mtim and .st_ctim after read(a)", (mtime(scene, "a")?, ctime(scene, "a")?), before)
}

fn no_access(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    scene.dir("d")?;
    scene.write("d/entry", b"")?;
    let open = |name: &str, flags: OFlags| {
        let flags = flags | OFlags::NOATIME | OFlags::CLOEXEC;
        // Writable for its owner: a server without privileges opens a new file once more for this.
        rustix::fs::open(scene.at(name), flags, Mode::RUSR | Mode::WUSR).of(format_args!("open({name}, O_NOATIME)"))
    };
    // As old as that it would be changed by any other reading.
    for name in ["a", "d"] {
        set(scene, name, (1000, 1), (2000, 2))?;
    }
    let mut bytes = [0; 10];
    rustix::io::read(open("a", OFlags::RDONLY)?, &mut bytes).of("read(a)")?;
    let dir = Dir::new(open("d", OFlags::DIRECTORY)?).of("opendir(d)")?;
    equal("entries of d", dir.filter_map(Result::ok).count(), 3)?;
    for name in ["a", "d"] {
        equal(format_args!("stat({name}).st_atim"), atime(scene, name)?, (1000, 1))?;
    }
    let new = open("new", OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?;
    rustix::io::write(&new, b"x").of("write(new)")?;
    set(scene, "new", (1000, 1), (2000, 2))?;
    rustix::io::pread(&new, &mut bytes, 0).of("pread(new)")?;
    equal("stat(new).st_atim", atime(scene, "new")?, (1000, 1))
}

/// The time of access, as it is now.
fn atime(scene: &Scene, name: &str) -> Verdict<Time> {
    let stat = statx(CWD, scene.at(name), AtFlags::STATX_FORCE_SYNC, StatxFlags::BASIC_STATS).of("statx()")?;
    Ok((stat.stx_atime.tv_sec, stat.stx_atime.tv_nsec.into()))
}

fn survive(scene: &Scene) -> Verdict {
    let file = scene.file("a", b"x")?;
    file.set_modified(std::time::UNIX_EPOCH + Duration::new(1_000_000, 77)).of("futimens(a)")?;
    drop(file);
    scene.link("a", "b")?;
    scene.rename("a", "c")?;
    for name in ["b", "c"] {
        equal(format_args!("stat({name}).st_mtim"), mtime(scene, name)?, (1_000_000, 77))?;
    }
    Ok(())
}

fn present(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    for (what, time) in [("st_mtim", mtime(scene, "a")?), ("st_ctim", ctime(scene, "a")?)] {
        // A server elsewhere may have another clock, but not by a day.
        holds(
            format_args!("stat(a).{what} of a new file"),
            &format!("about {now}"),
            (now - time.0).abs() < 86_400,
            time,
        )?;
    }
    Ok(())
}

fn born(scene: &Scene) -> Verdict {
    let birth = |name: &str| -> Verdict<Option<Time>> {
        let stat = statx(CWD, scene.at(name), AtFlags::empty(), StatxFlags::BTIME).of("statx(STATX_BTIME)")?;
        let is_there = stat.stx_mask & StatxFlags::BTIME.bits() != 0;
        Ok(is_there.then_some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec.into())))
    };
    scene.write("a", b"x")?;
    let Some(first) = birth("a")? else { return skip("the file system does not know when files were made") };
    nap();
    fs::write(scene.at("a"), "changed").of("write(a)")?;
    scene.rename("a", "b")?;
    set(scene, "b", (1000, 1), (2000, 2))?;
    equal("statx(b).stx_btime", birth("b")?, Some(first))?;
    nap();
    scene.write("c", b"x")?;
    later("statx(c).stx_btime of a newer file", birth("c")?.unwrap_or_default(), first)
}
