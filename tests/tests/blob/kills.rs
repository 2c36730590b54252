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

use crate::scene::{Bucket, LIMIT, noise};

/// Names how many kills there are to be; `cargo xtask kill-blob` sets it.
const KILLS: &str = "BLOB_KILLS";

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

/// Where the volume is.
enum Place {
    Directory(tempfile::TempDir),
    Bucket(Bucket),
}

impl Place {
    fn url(&self) -> String {
        match self {
            Place::Directory(directory) => format!("file://{}/volume", directory.path().display()),
            Place::Bucket(bucket) => bucket.url(),
        }
    }

    fn blob(&self, words: &[&str]) -> Result<String> {
        match self {
            Place::Directory(_) => {
                command::run(Command::new(bins::volumes()?).arg("blob").args(words), LIMIT)?.success()
            }
            Place::Bucket(bucket) => bucket.blob(words)?.success(),
        }
    }

    /// A volume that was not closed is open again.
    fn mount(&self) -> Result<Mount> {
        const OPTIONS: &str = "interval=100ms&horizon=1m";
        match self {
            Place::Directory(_) => {
                let mut command = Command::new(bins::fusebridge()?);
                Mount::start(command.args(["mnt", "--io", "rpc"]).arg(format!("blob:{}?{OPTIONS}", self.url())))
            }
            Place::Bucket(bucket) => bucket.mount(OPTIONS),
        }
    }

    fn is_sound(&self) -> Result<()> {
        let report = self.blob(&["fsck", "--deep", &self.url()])?;
        check::holds(&report, report.ends_with(": 0 problems\n"))
    }
}

/// Writes until the process is killed that has the volume open. How many files are durable.
fn write_until_killed(mounted: Mount, round: u64) -> Result<u64> {
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
    .with_context(|| format!("killed after {moment} files"))?;
    drop(mounted);
    Ok(done.into_inner())
}

/// Everything that was durable is there, and nothing that was removed.
fn has_all(directory: &Path, done: u64) -> Result<()> {
    for number in 0..done {
        // The removals of the one that was under way may be durable or not.
        let is_removed = number % 4 == 0 && number + 3 < done;
        let is_open = number % 4 == 0 && number + 3 == done;
        let is_right = match &fs::read(directory.join(number.to_string())) {
            Ok(found) => !is_removed && *found == content(number),
            Err(error) => error.kind() == io::ErrorKind::NotFound && (is_removed || is_open),
        };
        check::holds(&format!("file {number} of {done}"), is_right)?;
    }
    Ok(())
}

/// Kills and looks, again and again. How many files were durable in all, and the times to open the volume again.
fn kill(place: &Place, kills: u64) -> Result<(u64, Vec<Duration>)> {
    place.blob(&["mkfs", &place.url()])?;
    let (mut files, mut times) = (0, Vec::new());
    for round in 0..kills {
        let scene = || format!("round {round}");
        let done = write_until_killed(place.mount().with_context(scene)?, round).with_context(scene)?;
        // Half of the time, who opens it next is the first to see what the crash has left.
        let (is_checked, begin) = (round % 2 == 0, Instant::now());
        if is_checked {
            place.is_sound().with_context(scene)?;
        }
        let begin = if is_checked { Instant::now() } else { begin };
        let mounted = place.mount().with_context(scene)?;
        times.push(begin.elapsed());
        has_all(&mounted.path().join(round.to_string()), done).with_context(scene)?;
        mounted.unmount().with_context(scene)?;
        if !is_checked {
            place.is_sound().with_context(scene)?;
        }
        if round % 10 == 9 {
            place.blob(&["gc", &place.url()]).with_context(scene)?;
        }
        files += done;
    }
    place.is_sound()?;
    times.sort_unstable();
    Ok((files, times))
}

/// The same, and says what came of it.
fn kill_and_tell(place: &Place, kills: u64) -> Result<()> {
    /// What the long form is also for. In CI it may wait for others.
    const MOST: Duration = Duration::from_secs(2);
    let (files, times) = kill(place, kills)?;
    let of = |percent: usize| {
        times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
    };
    let (half, most, longest) = (of(50), of(90), of(100));
    println!(
        "{}: {kills} kills, {files} files were durable; opened again within {half:?} (half of the time), {most:?} (nine of \
         ten times), {longest:?} (always)",
        place.url()
    );
    check::holds("it is opened again in time", std::env::var_os(KILLS).is_none() || longest < MOST)
}

#[test]
fn nothing_synced_is_lost() -> Result<()> {
    kill_and_tell(&Place::Directory(scratch::disk()?), many(KILLS, 4))
}

#[test]
fn nothing_synced_is_lost_on_a_server() -> Result<()> {
    // One of ten: the server is slower than the disk.
    kill_and_tell(&Place::Bucket(Bucket::new()?), many(KILLS, 20).div_ceil(10))
}
