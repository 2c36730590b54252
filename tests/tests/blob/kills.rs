//! Processes that write to a volume and are killed at any moment.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use e2e::mount::Mount;
use e2e::{bins, check, command, process, scratch, wait};

use crate::scene::{LIMIT, noise};

/// How many there are to be: what `variable` says, or a few.
pub(crate) fn many(variable: &str, few: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(few)
}

/// Some number below `end`.
fn any(end: u64) -> u64 {
    RandomState::new().hash_one(0) % end
}

/// What file `number` holds.
fn content(number: u64) -> Vec<u8> {
    // From files within the metadata to such of many blocks.
    let length = [100, 5_000, 200_000][usize::try_from(number % 3).unwrap_or_default()];
    noise(length, number)
}

/// Makes files until that fails, each durable before it counts; every third is written over, and every fourth removed.
fn write(directory: &Path, done: &AtomicU64) -> io::Error {
    loop {
        let number = done.load(Ordering::Relaxed);
        let written = || {
            let temporary = directory.join("new");
            let mut file = File::create(&temporary)?;
            file.write_all(&noise(3_000, number))?;
            file.write_all(&content(number))?;
            file.set_len(0)?;
            drop(file);
            let mut file = File::options().write(true).open(&temporary)?;
            file.write_all(&content(number))?;
            fs::rename(&temporary, directory.join(number.to_string()))?;
            if number % 4 == 3 {
                fs::remove_file(directory.join((number - 3).to_string()))?;
            }
            file.sync_all()
        };
        if let Err(error) = written() {
            return error;
        }
        done.store(number + 1, Ordering::Relaxed);
    }
}

#[test]
fn nothing_synced_is_lost() -> Result<()> {
    let directory = scratch::disk()?;
    let url = format!("file://{}/volume", directory.path().display());
    let blob = |words: &[&str]| -> Result<String> {
        command::run(Command::new(bins::volumes()?).arg("blob").args(words), LIMIT)?.success()
    };
    let mount = || {
        let mut command = Command::new(bins::fusebridge()?);
        Mount::start(command.args(["mnt", "--io", "rpc"]).arg(format!("blob:{url}?interval=100ms&horizon=1m")))
    };
    blob(&["mkfs", &url])?;
    let mut longest = Duration::ZERO;
    for round in 0..many("BLOB_KILLS", 4) {
        let begin = Instant::now();
        let mounted = mount()?;
        longest = longest.max(begin.elapsed());
        let here = mounted.path().join(round.to_string());
        fs::create_dir(&here)?;
        let (done, moment, later) = (AtomicU64::new(0), any(12), any(30));
        thread::scope(|scope| {
            let writer = scope.spawn(|| write(&here, &done));
            let begun = wait::until("files are written", LIMIT, || done.load(Ordering::Relaxed) >= moment);
            // Anywhere in the next one.
            thread::sleep(Duration::from_millis(later));
            process::kill(mounted.pid());
            let ended = writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"));
            begun.and(ended)
        })
        .with_context(|| format!("round {round}, killed after {moment} files"))?;
        drop(mounted);
        let report = blob(&["fsck", "--deep", &url]).with_context(|| format!("round {round}"))?;
        check::holds(&report, report.ends_with(": 0 problems\n"))?;
        let mounted = mount()?;
        let done = done.load(Ordering::Relaxed);
        for number in 0..done {
            // The removals of the one that was under way may be durable or not.
            let is_removed = number % 4 == 0 && number + 3 < done;
            let path = mounted.path().join(round.to_string()).join(number.to_string());
            let found = fs::read(&path);
            let is_open = number % 4 == 0 && number + 3 == done;
            let is_right = match &found {
                Ok(found) => !is_removed && *found == content(number),
                Err(error) => error.kind() == io::ErrorKind::NotFound && (is_removed || is_open),
            };
            check::holds(&format!("round {round}: file {number} of {done}"), is_right)?;
        }
        mounted.unmount()?;
        if round % 10 == 9 {
            blob(&["gc", &url])?;
        }
    }
    println!("the longest time to mount: {longest:?}");
    let report = blob(&["fsck", "--deep", &url])?;
    check::holds(&report, report.ends_with(": 0 problems\n"))
}
