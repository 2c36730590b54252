//! The random I/O exerciser fsx: reads, writes, mappings and truncates a file, and compares it with a copy in memory.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use subprocess::{End, lines};

use super::case::{CaseResult, Failure, Outcome};
use super::context::Context;
use super::error::SuiteError;
use super::tool::FSX;

/// What fsx does: the operations with their weights. Operations that few file systems have (swapping or collapsing ranges, posting
/// `POSIX_FADV` hints to readahead) are left out, synchronisation is rare because it is slow.
pub const CONFIG: &str = "\
nomsyncafterwrite = false

[opsize]
max = 65536
min = 1

[weights]
close_open = 1
invalidate = 1
mapread = 10
mapwrite = 10
read = 10
write = 10
truncate = 2
fsync = 0.1
fdatasync = 0.1
posix_fallocate = 1
punch_hole = 1
sendfile = 1
posix_fadvise = 1
copy_file_range = 1
";

/// The line about holes, which not all file systems have.
const HOLES: &str = "punch_hole = 1\n";

/// How much of a failing run's log goes into the report.
const LINES: usize = 40;

/// Runs the suite: several runs, each with a seed of its own.
pub(super) fn run(context: Context<'_>, suite: &str) -> Result<Vec<CaseResult>, SuiteError> {
    let wanted: Vec<u32> =
        (1..=context.settings.fsx_runs).rev().filter(|number| context.settings.wants(&name(*number))).collect();
    context.observer.begins(suite, Some(wanted.len()));
    let has_holes = wanted.is_empty() || can_punch(&context.directory.join("fsx-probe"));
    let (queue, results) = (Mutex::new(wanted), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let work = || -> Result<(), SuiteError> {
            loop {
                let Some(number) = queue.lock().pop().filter(|_| context.stop.cause().is_none()) else {
                    return Ok(());
                };
                if let Some(result) = one(context, number, has_holes)? {
                    context.observer.ended(suite, &result);
                    results.lock().push(result);
                }
            }
        };
        let threads: Vec<_> = (0..context.settings.jobs.max(1)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread that runs fsx panicked").into()))
        })
    })?;
    Ok(results.into_inner())
}

/// Whether holes can be punched there. If it is not even known, fsx is to find out why.
fn can_punch(probe: &Path) -> bool {
    let punched = fs::write(probe, "x").and_then(|()| fs::OpenOptions::new().write(true).open(probe)).map(|file| {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        !matches!(fallocate(file, flags, 0, 1), Err(Errno::OPNOTSUPP | Errno::NOSYS))
    });
    // It is there even if it could not be written.
    let _ = fs::remove_file(probe);
    punched.unwrap_or(true)
}

fn name(number: u32) -> String {
    format!("random::{number}")
}

fn one(context: Context<'_>, number: u32, has_holes: bool) -> Result<Option<CaseResult>, SuiteError> {
    let settings = context.settings;
    let seed = settings.seed.wrapping_mul(1000).wrapping_add(number.into());
    let artifacts = context.aside.join(format!("fsx-{number}"));
    fs::create_dir_all(&artifacts)?;
    let config = artifacts.join("fsx.toml");
    fs::write(&config, if has_holes { CONFIG.to_owned() } else { CONFIG.replace(HOLES, "punch_hole = 0\n") })?;
    let file = context.directory.join(format!("fsx-{number}"));
    let operation = format!("fsx -S {seed} -N {}", settings.fsx_operations);
    let mut fsx = Command::new(FSX.installed()?);
    fsx.arg("-f").arg(&config).args(["-S", &seed.to_string(), "-N", &settings.fsx_operations.to_string()]);
    fsx.arg("-P").arg(&artifacts).arg(&file).env("NO_COLOR", "1");
    let mut log = std::collections::VecDeque::new();
    let start = context.clock.now();
    // It prints nothing unless it fails: the limit is one for the whole of it. A thousand operations take a second on a
    // slow disk. It never unmaps what it has mapped, so a long run takes more than its share.
    let limit = settings.timeout + Duration::from_millis(settings.fsx_operations.saturating_mul(5));
    let (ended, said) = lines(
        &mut fsx,
        limit,
        || context.stop.cause().is_some(),
        |line| {
            log.push_back(line.to_owned());
            if log.len() > LINES {
                log.pop_front();
            }
        },
    )?;
    let span = context.clock.since(start);
    let failure = |actual: String| Outcome::Failed(Failure::new(&operation, "a file as its copy in memory", actual));
    let outcome = match ended {
        End::Exited(status) if status.success() => Outcome::Passed,
        End::Exited(status) => {
            log.extend(said.lines().map(str::to_owned));
            let skip = log.len().saturating_sub(LINES);
            failure(format!("{status}\n{}", log.into_iter().skip(skip).collect::<Vec<_>>().join("\n")))
        }
        End::TimedOut => Outcome::Failed(Failure::timed_out(&operation, limit)),
        End::Stopped => match context.stop.failure() {
            Some(gone) => failure(gone.to_owned()),
            None => return Ok(None),
        },
    };
    // It may be gone, or stay because of the defect that was found.
    let _ = fs::remove_file(&file);
    let about = if has_holes { operation } else { operation + ", without holes, which are not supported" };
    Ok(Some(CaseResult::new(name(number), outcome, span).about(about)))
}

/// Fails if the suite could not run here for a reason that has nothing to do with the file system.
pub(super) fn check() -> Result<(), SuiteError> {
    FSX.installed()?;
    Ok(())
}
