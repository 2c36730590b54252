//! Shared mounts of slow servers read ahead for sequential readers, who never see what they could know to be old.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use e2e::command;
use e2e::modes::{Access, Io, Transport};
use e2e::mount::{self, Mount};
use e2e::{bins, check, scratch};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(20);

/// Bytes of one read.
const STEP: usize = 1 << 16;

/// Bytes of the file.
const SIZE: usize = 1 << 22;

/// Content in which each step is another one.
fn content(seed: usize) -> Vec<u8> {
    (0..SIZE).map(|at| (at / STEP * 7 + at + seed).to_le_bytes()[0]).collect()
}

/// A file in a directory, and a mount of that whose server takes a while for each read.
struct Slow {
    directory: TempDir,
    mount: Mount,
}

impl Slow {
    fn new(transport: Transport) -> Result<Self> {
        let directory = scratch::memory()?;
        fs::write(directory.path().join("file"), content(0))?;
        let backend = format!("fault:host:{}?latency=5ms@read", directory.path().display());
        let mut command = mount::command(Io::Rpc, Access::Shared)?;
        let mount = Mount::start(command.args(["--transport", transport.word()]).arg(backend))?;
        Ok(Slow { directory, mount })
    }

    fn file(&self) -> PathBuf {
        self.mount.path().join("file")
    }

    fn below(&self) -> PathBuf {
        self.directory.path().join("file")
    }

    /// The file, whose first quarter was read step by step: by then it is read ahead.
    fn begun(&self, expected: &[u8]) -> Result<File> {
        let mut file = File::open(self.file())?;
        steps(&mut file, 0..SIZE / 4, expected)?;
        Ok(file)
    }
}

/// Reads on, step by step, what should be that part of `expected`.
fn steps(file: &mut File, part: std::ops::Range<usize>, expected: &[u8]) -> Result<()> {
    for start in part.step_by(STEP) {
        let mut step = vec![0; STEP];
        file.read_exact(&mut step)?;
        check::holds(&format!("what is at {start}"), step == expected[start..start + STEP])?;
    }
    Ok(())
}

/// Changes all of the file without changing its size.
fn replace(path: &Path, with: &[u8]) -> Result<()> {
    Ok(OpenOptions::new().write(true).open(path)?.write_all_at(with, 0)?)
}

#[test]
fn who_reads_on_gets_the_file() -> Result<()> {
    Transport::all().try_for_each(|transport| {
        let slow = Slow::new(transport)?;
        let mut file = slow.begun(&content(0))?;
        steps(&mut file, SIZE / 4..SIZE, &content(0))?;
        check::equal("bytes behind the end", &file.read(&mut [0])?, &0)?;
        // Where a file ends is asked anew.
        let mut more = content(0);
        more.extend_from_slice(b"more");
        fs::write(slow.below(), &more)?;
        let mut rest = Vec::new();
        file.read_to_end(&mut rest)?;
        check::equal("what was added", &rest, &b"more".to_vec())?;
        drop(file);
        slow.mount.unmount()
    })
}

#[test]
fn who_opens_a_file_reads_what_it_has_then() -> Result<()> {
    let slow = Slow::new(Transport::Device)?;
    for seed in 0..4 {
        let old = slow.begun(&content(seed))?;
        replace(&slow.below(), &content(seed + 1))?;
        check::holds("the new content", fs::read(slow.file())? == content(seed + 1))?;
        drop(old);
    }
    slow.mount.unmount()
}

#[test]
fn who_sees_that_a_file_was_changed_reads_that() -> Result<()> {
    let slow = Slow::new(Transport::Device)?;
    for seed in 0..4 {
        let mut file = slow.begun(&content(seed))?;
        let before = file.metadata()?.modified()?;
        while file.metadata()?.modified()? == before {
            // Times of files advance with the kernel's clock.
            replace(&slow.below(), &content(seed + 1))?;
        }
        steps(&mut file, SIZE / 4..SIZE, &content(seed + 1))?;
    }
    slow.mount.unmount()
}

#[test]
fn what_is_changed_through_the_mount_is_read_at_once() -> Result<()> {
    let slow = Slow::new(Transport::Device)?;
    for seed in 0..4 {
        let mut file = slow.begun(&content(seed))?;
        replace(&slow.file(), &content(seed + 1))?;
        steps(&mut file, SIZE / 4..SIZE / 2, &content(seed + 1))?;
        // By its length, too.
        OpenOptions::new().write(true).open(slow.file())?.set_len((SIZE / 2) as u64)?;
        check::equal("bytes behind the new end", &file.read(&mut [0; STEP])?, &0)?;
        replace(&slow.file(), &content(seed + 1))?;
    }
    slow.mount.unmount()
}

#[test]
fn it_takes_fewer_requests_than_reads() -> Result<()> {
    let (directory, traces) = (scratch::memory()?, scratch::disk()?);
    fs::write(directory.path().join("file"), content(0))?;
    let (trace, backend) =
        (traces.path().join("trace"), format!("fault:host:{}?latency=5ms@read", directory.path().display()));
    let read = format!("dd if=file of=/dev/null bs={STEP} status=none");
    let mut run = Command::new(bins::fusebridge()?);
    run.args(["run", "--io", "rpc", "--access", "shared", "--trace"]).arg(&trace).arg(backend);
    command::succeed(run.args(["--", "sh", "-ec", &read]), LIMIT)?;
    let mut show = Command::new(bins::fusebridge()?);
    show.args(["trace", "show", "--message", "PRead"]).arg(&trace);
    let shown = command::succeed(&mut show, LIMIT)?;
    let reads = shown.lines().filter(|line| !line.starts_with('#')).count();
    // 64 reads, and the one that finds the end.
    check::holds(&format!("{reads} requests"), reads < 40)
}

/// Files in a directory of a mount whose server takes a while for each answer.
struct SlowNames {
    directory: TempDir,
    mount: Mount,
}

/// How many.
const FILES: usize = 60;

impl SlowNames {
    fn new(access: Access, options: &[&str]) -> Result<Self> {
        let directory = scratch::memory()?;
        for number in 0..FILES {
            fs::write(directory.path().join(format!("file{number}")), "1")?;
        }
        let backend = format!("fault:host:{}?latency=3ms", directory.path().display());
        let mount = Mount::start(mount::command(Io::Rpc, access)?.args(options).arg(backend))?;
        Ok(SlowNames { directory, mount })
    }

    /// The names in the order of a listing, with the sizes of the first `count` of the files.
    fn begun(&self, count: usize) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.mount.path())?.collect::<std::io::Result<Vec<_>>>()?;
        let names: Vec<String> = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        check::equal("names", &names.len(), &FILES)?;
        for name in &names[..count] {
            check::equal("size", &self.size(name)?, &1)?;
        }
        Ok(names)
    }

    fn size(&self, name: &str) -> std::io::Result<u64> {
        fs::symlink_metadata(self.mount.path().join(name)).map(|stat| stat.len())
    }
}

#[test]
fn who_goes_through_a_directory_sees_what_is_changed_through_the_mount() -> Result<()> {
    let slow = SlowNames::new(Access::Shared, &[])?;
    let at = |name: &str| slow.mount.path().join(name);
    for (index, change) in [
        (|path| Ok(OpenOptions::new().append(true).open(path)?.write_all_at(b"more", 1)?)) as fn(&Path) -> Result<()>,
        |path| Ok(OpenOptions::new().write(true).open(path)?.set_len(5)?),
        |path| {
            fs::write(path.with_extension("new"), "12345")?;
            Ok(fs::rename(path.with_extension("new"), path)?)
        },
    ]
    .into_iter()
    .enumerate()
    {
        let names = slow.begun(20)?;
        let next = &names[21 + index];
        change(&at(next))?;
        check::equal("the size now", &slow.size(next)?, &5)?;
        // As it was, for the next one.
        fs::write(slow.directory.path().join(next), "1")?;
    }
    let names = slow.begun(20)?;
    fs::remove_file(at(&names[25]))?;
    check::fails("stat", slow.size(&names[25]), &[rustix::io::Errno::NOENT])?;
    slow.mount.unmount()
}

#[test]
fn who_goes_through_a_directory_sees_what_others_change_a_second_later() -> Result<()> {
    let slow = SlowNames::new(Access::Shared, &[])?;
    let names = slow.begun(20)?;
    for name in &names {
        fs::write(slow.directory.path().join(name), "12345")?;
    }
    std::thread::sleep(Duration::from_secs(1));
    for name in &names {
        check::equal("the size now", &slow.size(name)?, &5)?;
    }
    slow.mount.unmount()
}

/// How many messages of each kind `work` makes in a mount with 60 files.
fn messages(access: Access, work: &str) -> Result<std::collections::BTreeMap<String, usize>> {
    let place = scratch::memory()?;
    let trace = place.path().join("trace");
    let slow = SlowNames::new(access, &["--no-xattr", "--trace", &trace.to_string_lossy()])?;
    let mut shell = Command::new("sh");
    shell.args(["-euc", work]).current_dir(slow.mount.path());
    command::succeed(&mut shell, LIMIT)?;
    slow.mount.unmount()?;
    let shown = command::succeed(Command::new(bins::fusebridge()?).args(["trace", "show"]).arg(&trace), LIMIT)?;
    let mut counts = std::collections::BTreeMap::new();
    for word in
        shown.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with(char::is_uppercase)))
    {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    Ok(counts)
}

#[test]
fn going_through_a_directory_asks_for_each_file_once() -> Result<()> {
    for access in [Access::Shared, Access::Exclusive] {
        let counts = messages(access, "find . -size +0 >/dev/null")?;
        let count = |message: &str| counts.get(message).copied().unwrap_or(0);
        let walks = count("Walk") + count("WalkStat");
        // Those that the kernel has no room for are asked for twice.
        check::holds(&format!("{counts:?}"), (FILES..FILES + FILES / 2).contains(&walks))?;
        check::holds(&format!("{counts:?}"), count("FStat") < FILES / 2)?;
    }
    Ok(())
}
