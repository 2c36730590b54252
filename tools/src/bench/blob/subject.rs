//! What is compared.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::modes::{Access, Io};
use e2e::mount::{self, Mount};
use e2e::proxy::{Proxy, Traffic};
use e2e::{process, s3, scratch};
use tempfile::TempDir;

use crate::bench::foreign::Foreign;

/// One way to have files in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// rclone, with its cache of whole files.
    Rclone,
    /// s3fs, with its cache of whole files.
    S3fs,
    /// Ours, with a little memory as its only cache.
    Blob,
    /// Ours, with a cache on the disk before it.
    Cached,
}

impl Subject {
    /// All subjects, in the order of the table.
    pub(super) const ALL: [Self; 4] = [Self::Rclone, Self::S3fs, Self::Blob, Self::Cached];

    /// The name in the table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rclone => "rclone",
            Self::S3fs => "s3fs",
            Self::Blob => "blob:",
            Self::Cached => "cache:blob:",
        }
    }

    /// Mounts the bucket that `proxy` leads to, with an empty cache.
    pub(super) fn mount(self, bucket: &str, proxy: &Proxy) -> Result<Mounted> {
        let cache = scratch::disk()?;
        let url = format!("http://{}", proxy.address());
        let way = match self {
            Self::Rclone => Way::Foreign(Foreign::mount(|point| rclone(bucket, &url, cache.path(), point))?),
            Self::S3fs => Way::Foreign(Foreign::mount(|point| s3fs(bucket, &url, cache.path(), point))?),
            Self::Blob | Self::Cached => {
                let blob = format!("blob:s3://{bucket}/volume?create");
                let cached = format!("cache:{blob}?dir={}&access=exclusive&free=0", cache.path().display());
                let mut command = mount::command(Io::Auto, Access::Exclusive)?;
                command.arg(if self == Self::Blob { blob } else { cached });
                Way::Ours(Mount::start(s3::with_credentials(&mut command, proxy.address()))?)
            }
        };
        Ok(Mounted { way, cache })
    }
}

/// rclone for files that nobody else changes.
fn rclone(bucket: &str, url: &str, cache: &Path, point: &Path) -> Command {
    let mut command = Command::new("rclone");
    command.arg("mount").arg(format!(":s3:{bucket}")).arg(point).arg("--cache-dir").arg(cache);
    command.args(["--vfs-cache-mode", "full", "--dir-cache-time", "24h", "--attr-timeout", "24h"]);
    command.args(["--s3-provider", "Other", "--s3-region", "us-east-1", "--s3-endpoint", url]);
    command.args(["--s3-access-key-id", "test", "--s3-secret-access-key", "very-secret"]);
    // It would not start with one of its own, and needs none here.
    command.env_remove("AWS_CA_BUNDLE");
    command
}

fn s3fs(bucket: &str, url: &str, cache: &Path, point: &Path) -> Command {
    let mut command = Command::new("s3fs");
    command.arg(bucket).arg(point).args(["-f", "-o", "use_path_request_style", "-o", "endpoint=us-east-1"]);
    command.arg("-o").arg(format!("url={url}")).arg("-o").arg(format!("use_cache={}", cache.display()));
    command.env("AWSACCESSKEYID", "test").env("AWSSECRETACCESSKEY", "very-secret");
    command
}

/// A bucket that is mounted, until dropped.
pub(super) struct Mounted {
    way: Way,
    cache: TempDir,
}

enum Way {
    Ours(Mount),
    Foreign(Foreign),
}

impl Mounted {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match &self.way {
            Way::Ours(mount) => mount.path(),
            Way::Foreign(mount) => mount.path(),
        }
    }

    /// Where its cache is.
    pub(super) fn cache(&self) -> &Path {
        self.cache.path()
    }

    /// Waits until the store has everything. Says when that was.
    pub(super) fn store(&self, proxy: &Proxy) -> Result<Instant> {
        match &self.way {
            Way::Ours(mount) => {
                let root = std::fs::File::open(mount.path())?;
                // The kernel has its own pages written, but tells no FUSE file system of it. A sync of anything is one
                // of the whole volume.
                rustix::fs::syncfs(&root)?;
                root.sync_all()?;
                Ok(Instant::now())
            }
            // They have no such call: they upload some seconds later, and are done when they ask for nothing more.
            Way::Foreign(_) => idle(proxy),
        }
    }

    /// MiB of memory of all its processes.
    pub(super) fn memory(&self) -> Result<f64> {
        let first = match &self.way {
            Way::Ours(mount) => mount.pid(),
            Way::Foreign(mount) => mount.pid(),
        };
        let memory = process::family(first)?.into_iter().map(process::memory).collect::<Result<Vec<_>>>()?;
        let kib: u64 = memory.iter().map(|memory| memory.proportional).sum();
        Ok(f64::from(u32::try_from(kib)?) / 1024.0)
    }

    /// Unmounts.
    pub(super) fn leave(self) -> Result<()> {
        match self.way {
            Way::Ours(mount) => mount.unmount(),
            Way::Foreign(mount) => mount.leave(),
        }
    }
}

/// Waits until nothing was asked for longer than rclone keeps what it was given. Says when the last answer came.
fn idle(proxy: &Proxy) -> Result<Instant> {
    const LONG: Duration = Duration::from_secs(7);
    const LIMIT: Duration = Duration::from_secs(1200);
    let begin = Instant::now();
    let (mut last, mut seen): (Instant, Traffic) = (begin, proxy.traffic());
    while last.elapsed() < LONG {
        ensure!(begin.elapsed() < LIMIT, "uploads have no end");
        std::thread::sleep(Duration::from_millis(20));
        let now = proxy.traffic();
        // What is under way is activity, too.
        if now != seen || now.answers < now.requests {
            (last, seen) = (Instant::now(), now);
        }
    }
    Ok(last)
}
