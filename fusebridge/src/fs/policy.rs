//! What a mount is asked to be: how long things are remembered, and which way data goes.

use std::time::Duration;

use gofer::extension::FileAccess;

use super::owners::Owners;

/// Who else changes the files. The names are those of runsc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Access {
    /// Nobody else changes the files: the kernel caches names, attributes and data for long.
    Exclusive,
    /// Others may change the files: names and attributes are revalidated each time, and data is not cached (before
    /// Linux 6.6 it is, since files could not be mapped otherwise, and is dropped when a file has changed).
    #[default]
    Shared,
}

impl From<Access> for FileAccess {
    fn from(access: Access) -> Self {
        match access {
            Access::Exclusive => FileAccess::Exclusive,
            Access::Shared => FileAccess::Shared,
        }
    }
}

/// Which way file data goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum IoMode {
    /// The fastest way that works for each file.
    #[default]
    Auto,
    /// The kernel uses the donated descriptor (for files opened with `O_APPEND`, this process does); opening fails
    /// where that is impossible.
    Passthrough,
    /// This process uses the donated descriptor; opening fails where there is none.
    Direct,
    /// Data goes through the server in messages; donated descriptors are not used.
    Rpc,
}

/// How a mount behaves.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Who else changes the files.
    pub access: Access,
    /// Which way data goes.
    pub io: IoMode,
    /// Whether extended attributes are offered at all. Without, the kernel saves a request for each write.
    pub xattr: bool,
    /// Whether reading leaves the times of access.
    pub no_atime: bool,
    /// How long the kernel may trust names and attributes, if not as `access` says.
    pub ttl: Option<Duration>,
    /// How many control FDs may be held before idle files are given up.
    pub max_nodes: usize,
    /// How many files can be open, each of which costs descriptors.
    pub max_open: usize,
    /// Whom files belong to, as it is shown.
    pub owners: Owners,
}

impl Policy {
    /// How long the kernel may trust names and attributes.
    pub fn ttl(&self) -> Duration {
        self.ttl.unwrap_or(match self.access {
            Access::Exclusive => Duration::from_secs(3600),
            Access::Shared => Duration::ZERO,
        })
    }

    /// Whether the kernel may keep data and listings from one open to the next.
    pub fn keeps_cache(&self) -> bool {
        self.access == Access::Exclusive
    }

    /// How many control FDs a process under the descriptor limit `limit` can hold for a mount: most of it, the rest
    /// being for open files, of which this process and the server hold one descriptor each.
    pub fn max_nodes_under(limit: u64) -> usize {
        const PLENTY: u64 = 1 << 19;
        let share = (limit.saturating_sub(RESERVE) / 3 * 2).clamp(16, PLENTY);
        usize::try_from(share).unwrap_or(usize::MAX)
    }

    /// How many files can be open under the descriptor limit `limit`: the server has two descriptors for each.
    pub fn max_open_under(limit: u64) -> usize {
        usize::try_from(limit.saturating_sub(RESERVE) / 2).unwrap_or(usize::MAX)
    }
}

/// Descriptors that are not for files.
const RESERVE: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_descriptor_limit() {
        assert_eq!(Policy::max_nodes_under(1_000), 624);
        assert_eq!(Policy::max_open_under(1_000), 468);
        assert_eq!(Policy::max_nodes_under(0), 16);
        assert_eq!(Policy::max_open_under(0), 0);
        assert_eq!(Policy::max_nodes_under(u64::MAX), 1 << 19);
    }
}
