//! `gofer-volumes cache`: what is done to caches beside using them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::{ArgMatches, Subcommand};
use gofer::extension::{Error, Preparation, Registry};
use gofer::hostfs::{HostOptions, SpecialFiles};
use gofer_cache::Status;
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
            }
            Cache::Drop { dir, backend, lose_changes } => {
                let bytes = gofer_cache::drop_all(&dir, backend.as_deref(), lose_changes)?;
                println!("{} removed", HumanBytes(bytes));
            }
            Cache::Flush { dir } => {
                registry.prepare(&Preparation::new(flags))?;
                println!("{} uploaded", HumanBytes(flush(&dir, registry)?));
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
            "lost_files": it.lost_files,
        })
    });
    let value = json!({"owner": status.owner, "volumes": volumes.collect::<Vec<_>>()});
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn table(status: &Status) -> String {
    let mut text = match &status.owner {
        Some(pid) => format!("in use by process {pid}\n"),
        None => "not in use\n".to_owned(),
    };
    for it in &status.volumes {
        let (bytes, backend) = (HumanBytes(it.bytes).to_string(), it.backend.escape_debug());
        text += &format!("{bytes:>12}  {:>9} files  {backend}\n", it.files);
        if it.dirty_files > 0 {
            let (bytes, age) = (HumanBytes(it.dirty_bytes), HumanDuration(it.dirty_age.unwrap_or_default()));
            text += &format!("{bytes:>12}  {:>9} files  to be uploaded, since {age}\n", it.dirty_files);
        }
        if it.lost_files > 0 {
            text += &format!("              {:>9} files  that are gone, with changes\n", it.lost_files);
        }
    }
    text
}

/// Uploads what the cache in `dir` has, or waits until the process has done that which uses it. Says how many bytes
/// there were.
fn flush(dir: &Path, registry: &Registry) -> Result<u64, Error> {
    let status = gofer_cache::status(dir)?;
    let bytes = status.volumes.iter().map(|it| it.dirty_bytes).sum();
    if let Some(pid) = status.owner {
        wait_for(dir, &pid)?;
        return Ok(bytes);
    }
    let host = HostOptions::default().special(SpecialFiles::Create);
    for volume in status.volumes.iter().filter(|it| it.dirty_files > 0) {
        // As much as it likes: nothing is to go.
        let backend = format!("cache:{}?dir={}&access=exclusive&size=1000000t&free=0", volume.backend, dir.display());
        // Who writes through uploads first what was left.
        drop(registry.backends(&host).open(backend.as_ref())?);
    }
    Ok(bytes)
}

/// Waits until everything that is there now is uploaded by process `pid`.
fn wait_for(dir: &Path, pid: &str) -> Result<(), Error> {
    const LOOK: Duration = Duration::from_millis(100);
    const LIMIT: Duration = Duration::from_secs(30);
    let mut left = gofer_cache::journals(dir)?;
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
            let (count, limit) = (left.len(), HumanDuration(LIMIT));
            return Err(
                format!("process {pid} has uploaded none of {count} files for {limit}; its log says why").into()
            );
        }
        std::thread::sleep(LOOK);
    }
}

/// The regular files below `path`, with their sizes; directories that cannot be read are told of.
fn files(path: &Path, failures: &AtomicUsize, found: &mut Vec<(PathBuf, u64)>) {
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

fn tell(path: &Path, error: &std::io::Error, failures: &AtomicUsize) {
    failures.fetch_add(1, Ordering::Relaxed);
    eprintln!("gofer-volumes: {}: {error}", path.display());
}

fn warm(paths: &[PathBuf]) -> Result<ExitCode, Error> {
    let failures = AtomicUsize::new(0);
    let mut all = Vec::new();
    paths.iter().for_each(|path| files(path, &failures, &mut all));
    let bar = ProgressBar::new(all.iter().map(|(_, size)| size).sum());
    let template = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(template)?);
    bar.enable_steady_tick(Duration::from_millis(200));
    let (count, queue) = (all.len(), Mutex::new(all.into_iter()));
    let next = || queue.lock().ok()?.next();
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                while let Some((path, _)) = next() {
                    if let Err(error) = read(&path, &bar) {
                        bar.suspend(|| tell(&path, &error, &failures));
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    println!("{} in {count} files read", HumanBytes(bar.position()));
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
