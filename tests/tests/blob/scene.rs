//! A bucket behind a proxy, mounts of volumes in it, and what is asked about them.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use e2e::command::{self, Outcome};
use e2e::mount::Mount;
use e2e::proxy::Proxy;
use e2e::{bins, check, s3};

pub(crate) const LIMIT: Duration = Duration::from_secs(120);

static NEXT: AtomicU64 = AtomicU64::new(0);

/// A bucket behind a proxy.
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) proxy: Proxy,
}

impl Bucket {
    pub(crate) fn new() -> Result<Self> {
        Self::of(s3::server()?)
    }

    /// One of this server.
    pub(crate) fn of(server: SocketAddr) -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bucket-{number}");
        s3::bucket_in(server, &name)?;
        Ok(Bucket { name, proxy: Proxy::start(server, number + 1)? })
    }

    pub(crate) fn url(&self) -> String {
        format!("s3://{}/volume", self.name)
    }

    /// Mounts the volume with these options.
    pub(crate) fn mount(&self, options: &str) -> Result<Mount> {
        let mut command = Command::new(bins::fusebridge()?);
        command.arg("mnt").arg(format!("blob:{}?{options}", self.url()));
        Mount::start(s3::with_credentials(&mut command, self.proxy.address()))
    }

    /// Runs `gofer-volumes blob`.
    pub(crate) fn blob(&self, words: &[&str]) -> Result<Outcome> {
        let mut command = Command::new(bins::volumes()?);
        command.arg("blob").args(words);
        command::run(s3::with_credentials(&mut command, self.proxy.address()), LIMIT)
    }

    /// Checks the whole volume, which must be sound.
    pub(crate) fn is_sound(&self) -> Result<()> {
        let report = self.blob(&["fsck", "--deep", &self.url()])?.success()?;
        check::holds(&report, report.ends_with(": 0 problems\n"))
    }
}

/// Some bytes that depend on `seed`.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(next).collect()
}
