//! `gofer-volumes cache`: what is done to caches beside using them.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Subcommand;
use gofer::extension::Error;
use gofer_cache::Status;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
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
    },
    /// Read all files below directories of a mount, so that they are in its cache
    Warm {
        /// Files or directories
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
}

impl Cache {
    pub(super) fn run(self) -> Result<ExitCode, Error> {
        match self {
            Cache::Status { dir, json } => {
                let status = gofer_cache::status(&dir)?;
                print!("{}", if json { as_json(&status)? } else { table(&status) });
            }
            Cache::Drop { dir, backend } => {
                let bytes = gofer_cache::drop_all(&dir, backend.as_deref())?;
                println!("{} removed", HumanBytes(bytes));
            }
            Cache::Warm { paths } => return warm(&paths),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn as_json(status: &Status) -> Result<String, Error> {
    let volumes = status.volumes.iter();
    let volumes = volumes.map(|it| json!({"backend": it.backend, "files": it.files, "bytes": it.bytes}));
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
    }
    text
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
