//! `gofer-volumes cache`: what is done to caches beside using them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::{ArgMatches, Subcommand};
use gofer::extension::{Error, Preparation, Registry};
use gofer::hostfs::{HostOptions, SpecialFiles};
use gofer_cache::{Status, Usage, files};
use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};
use serde_json::json;

/// How many files are read at once.
const READERS: usize = 8;

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(super) enum Cache {
    /// Show what a cache has, and who uses it
    Status {
        /// The cache's directory
        dir: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Empty a cache that is not in use
    Drop {
        /// The cache's directory
        dir: PathBuf,
        /// Remove only what it has of this backend, as `status` shows it
        backend: Option<String>,
        /// Also remove changes that the backend does not have, which are lost then
        #[arg(long)]
        lose_changes: bool,
    },
    /// Have backends get all changes that a cache has
    Flush {
        /// The cache's directory
        dir: PathBuf,
        /// Make all changes to whatever is at the paths of their files now, also those that were set aside: for backends
        /// that were restored, and files that were replaced
        #[arg(long)]
        by_path: bool,
    },
    /// Read all files below directories of a mount, so that they are in its cache
    Warm {
        /// Files or directories
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

impl Cache {
    pub(super) fn run(self, registry: &Registry, flags: &ArgMatches) -> Result<ExitCode, Error> {
        match self {
            Cache::Status { dir, json } => {
                let status = gofer_cache::status(&dir)?;
                print!("{}", if json { as_json(&status)? } else { table(&status) });
                if let Some(problem) = status.problem {
                    return Err(problem.into());
                }
            }
            Cache::Drop { dir, backend, lose_changes } => {
                let bytes = gofer_cache::drop_all(&dir, backend.as_deref(), lose_changes)?;
                println!("{} removed", HumanBytes(bytes));
            }
            Cache::Flush { dir, by_path } => {
                registry.prepare(&Preparation::new(flags))?;
                return flush(&dir, registry, by_path);
            }
            Cache::Warm { paths } => return warm(&paths),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(status: &Status) -> Result<String, Error> {
    let volumes = status.volumes.iter();
    let volumes = volumes.map(|it| {
        json!({
            "backend": it.backend, "files": it.files, "bytes": it.bytes, "dirty_files": it.dirty_files,
            "dirty_bytes": it.dirty_bytes, "dirty_seconds": it.dirty_age.map_or(0, |age| age.as_secs()),
            "lost_files": it.lost_files, "lost_bytes": it.lost_bytes,
        })
    });
    let value = json!({"owner": status.owner, "problem": status.problem, "volumes": volumes.collect::<Vec<_>>()});
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn table(status: &Status) -> String {
    let mut text = match &status.owner {
        Some(pid) => format!("in use by process {pid}\n"),
        None => "not in use\n".to_owned(),
    };
    for it in &status.volumes {
        let (bytes, backend) = (HumanBytes(it.bytes).to_string(), it.backend.escape_debug().to_string());
        let backend = if backend.is_empty() { "(a backend whose name is damaged)" } else { &backend };
        text += &format!("{bytes:>12}  {:>15}  {backend}\n", files(it.files));
        if it.dirty_files > 0 {
            let (bytes, age) = (HumanBytes(it.dirty_bytes), HumanDuration(it.dirty_age.unwrap_or_default()));
            text +=
                &format!("{bytes:>12}  {:>15}  to be uploaded, the oldest change for {age}\n", files(it.dirty_files));
        }
        if it.lost_files > 0 {
            let bytes = HumanBytes(it.lost_bytes).to_string();
            text += &format!(
                "{bytes:>12}  {:>15}  set aside: their changes are damaged, or they are gone\n",
                files(it.lost_files)
            );
        }
    }
    text
}

/// Uploads what the cache in `dir` has, or waits until the process has done that which uses it.
fn flush(dir: &Path, registry: &Registry, by_path: bool) -> Result<ExitCode, Error> {
    let before = gofer_cache::status(dir)?;
    if let Some(problem) = &before.problem {
        return Err(problem.clone().into());
    }
    let mut failures = Vec::new();
    if let Some(pid) = &before.owner {
        if by_path {
            return Err(format!("{} is in use by process {pid}; end that first", dir.display()).into());
        }
        wait_for(dir, pid)?;
    } else {
        let is_meant = |it: &&Usage| it.dirty_files > 0 || by_path && it.lost_files > 0;
        for volume in before.volumes.iter().filter(is_meant) {
            // What fails for one must not keep the others from having theirs.
            failures.extend(upload(dir, registry, &volume.backend, by_path).err().map(|error| error.to_string()));
        }
    }
    let after = gofer_cache::status(dir)?;
    for it in &after.volumes {
        let backend = it.backend.escape_debug();
        if it.dirty_files > 0 {
            failures.push(format!("{backend} lacks changes of {}", files(it.dirty_files)));
        }
        if it.lost_files > 0 {
            failures.push(format!(
                "changes of {} of {backend} are set aside: they are damaged, or their files are gone; make them to \
                 what is there now with --by-path, or lose them with gofer-volumes cache drop --lose-changes",
                files(it.lost_files)
            ));
        }
    }
    let bytes = |status: &Status| status.volumes.iter().map(|it| it.dirty_bytes + it.lost_bytes).sum::<u64>();
    println!("{} of changes uploaded", HumanBytes(bytes(&before).saturating_sub(bytes(&after))));
    failures.iter().for_each(|failure| eprintln!("gofer-volumes: {failure}"));
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Uploads what the cache in `dir` has of `backend`.
fn upload(dir: &Path, registry: &Registry, backend: &str, by_path: bool) -> Result<(), Error> {
    if backend.is_empty() {
        return Err(
            "the cache has changes of a backend whose name is damaged; mount that as before to upload them".into()
        );
    }
    let host = HostOptions::default().special(SpecialFiles::Create);
    let recover = if by_path { "&recover=path" } else { "" };
    // As much as it likes: nothing is to go.
    let backend = format!("cache:{backend}?dir={}&access=exclusive&size=1000000t&free=0{recover}", dir.display());
    // Who writes through uploads first what was left.
    drop(registry.backends(&host).open(backend.as_ref())?);
    Ok(())
}

/// Waits until everything that is there now is uploaded by process `pid`.
fn wait_for(dir: &Path, pid: &str) -> Result<(), Error> {
    const LOOK: Duration = Duration::from_millis(100);
    const LIMIT: Duration = Duration::from_secs(30);
    let mut left = gofer_cache::journals(dir)?;
    if !left.is_empty() {
        eprintln!("gofer-volumes: process {pid} uses the cache; waiting until it has uploaded what is there");
    }
    let mut progress = Instant::now();
    loop {
        let count = left.len();
        left.retain(|journal| journal.exists());
        if left.is_empty() {
            return Ok(());
        }
        if left.len() < count {
            progress = Instant::now();
        }
        if progress.elapsed() > LIMIT {
            let limit = HumanDuration(LIMIT);
            return Err(format!("process {pid} has uploaded nothing for {limit}; its log says why").into());
        }
        std::thread::sleep(LOOK);
    }
}

/// The regular files below `path`, with their sizes; directories that cannot be read are told of.
fn find(path: &Path, failures: &AtomicUsize, found: &mut Vec<(PathBuf, u64)>) {
    let mut left = vec![path.to_path_buf()];
    while let Some(path) = left.pop() {
        let listed = fs::symlink_metadata(&path).and_then(|stat| {
            if stat.is_file() {
                found.push((path.clone(), stat.len()));
            } else if stat.is_dir() {
                for entry in fs::read_dir(&path)? {
                    left.push(entry?.path());
                }
            }
            Ok(())
        });
        if let Err(error) = listed {
            tell(&path, &error, failures);
        }
    }
}

/// Whether `path` is on a file system that no cache can be behind: neither a mount's, a container's nor a network's.
fn is_local(path: &Path) -> bool {
    const LOCAL: [u32; 6] = [
        0x0000_ef53, // ext2 to ext4
        0x0102_1994, // tmpfs
        0x5846_5342, // XFS
        0x9123_683e, // btrfs
        0xf2f5_2010, // F2FS
        0x2fc1_2fc1, // ZFS
    ];
    // The rest is told when it is read.
    rustix::fs::statfs(path).is_ok_and(|stat| u32::try_from(stat.f_type).is_ok_and(|kind| LOCAL.contains(&kind)))
}

fn tell(path: &Path, error: &std::io::Error, failures: &AtomicUsize) {
    failures.fetch_add(1, Ordering::Relaxed);
    eprintln!("gofer-volumes: {}: {error}", path.display());
}

fn warm(paths: &[PathBuf]) -> Result<ExitCode, Error> {
    let failures = AtomicUsize::new(0);
    let mut all = Vec::new();
    for path in paths {
        if is_local(path) {
            eprintln!("gofer-volumes: {} is not on a mount of a cache, which so gets nothing", path.display());
        }
        find(path, &failures, &mut all);
    }
    let bar = ProgressBar::new(all.iter().map(|(_, size)| size).sum());
    let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(template)?);
    bar.enable_steady_tick(Duration::from_millis(200));
    let (count, queue) = (AtomicU64::new(0), Mutex::new(all.into_iter()));
    let next = || queue.lock().ok()?.next();
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while let Some((path, _)) = next() {
                    match read(&path, &bar) {
                        Ok(()) => drop(count.fetch_add(1, Ordering::Relaxed)),
                        Err(error) => bar.suspend(|| tell(&path, &error, &failures)),
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    println!("{} in {} read", HumanBytes(bar.position()), files(count.into_inner()));
    Ok(if failures.into_inner() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(path: &Path, bar: &ProgressBar) -> std::io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => bar.inc(count as u64),
        }
    }
}
