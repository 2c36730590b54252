//! What the kernel can do.

use std::fs;

use rustix::fs::{CWD, MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::process::{PidfdFlags, geteuid, getpid, pidfd_open};

use super::raw::{self, Probe};
use super::{Finding, Level};

/// One thing that is needed.
struct Feature {
    name: &'static str,
    /// The first Linux with it.
    since: &'static str,
    /// What for.
    purpose: &'static str,
    /// What becomes of it without.
    level: Level,
    attempt: fn() -> Result<(), Errno>,
}

const FEATURES: [Feature; 7] = [
    Feature {
        name: "open_tree",
        since: "5.2",
        purpose: "copies mounts",
        level: Level::Missing,
        attempt: || open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC).map(drop),
    },
    Feature {
        name: "move_mount",
        since: "5.2",
        purpose: "puts mounts in their places",
        level: Level::Missing,
        attempt: || known(Probe::MOVE_MOUNT),
    },
    Feature {
        name: "mount_setattr",
        since: "5.12",
        purpose: "makes mounts read-only, with all below them",
        level: Level::Missing,
        attempt: || known(Probe::MOUNT_SETATTR),
    },
    Feature {
        name: "pidfd_open",
        since: "5.3",
        purpose: "runsc waits for its processes by it",
        level: Level::Missing,
        attempt: || pidfd_open(getpid(), PidfdFlags::empty()).map(drop),
    },
    Feature {
        name: "memfd_create",
        since: "3.17",
        purpose: "shares memory with the sandbox that neither side can shrink",
        level: Level::Missing,
        attempt: || {
            let memory = memfd_create("doctor", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
            fcntl_add_seals(memory, SealFlags::SHRINK | SealFlags::SEAL)
        },
    },
    Feature {
        name: "seccomp",
        since: "4.14",
        purpose: "ends a gofer that makes a system call it has no use for",
        level: Level::Missing,
        attempt: raw::seccomp_kills_processes,
    },
    Feature {
        name: "getxattrat",
        since: "6.13",
        purpose: "reaches extended attributes of any file; without it they are reached through procfs",
        level: Level::Note,
        attempt: || [Probe::GETXATTRAT, Probe::SETXATTRAT].into_iter().try_for_each(known),
    },
];

/// The version and all features.
pub(super) fn check() -> Vec<Finding> {
    let kernel = Finding::ok("kernel", format!("Linux {}", release()));
    [kernel].into_iter().chain(FEATURES.iter().map(feature)).collect()
}

/// The first two numbers of the kernel's version; zero if unknown.
pub(super) fn version() -> (u32, u32) {
    numbers(&release())
}

fn release() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease");
    text.map_or_else(|_| "of unknown version".to_owned(), |text| text.trim().to_owned())
}

fn numbers(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map_while(|word| word.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn feature(feature: &Feature) -> Finding {
    judge(feature, (feature.attempt)(), geteuid().is_root())
}

fn judge(feature: &Feature, result: Result<(), Errno>, is_root: bool) -> Finding {
    let Feature { name, since, purpose, level, .. } = *feature;
    match result {
        Ok(()) => Finding::ok(name, purpose),
        Err(Errno::NOSYS) => Finding::new(level, name, format!("{purpose}; it needs Linux {since} or later")),
        // In a user namespace they get what it takes.
        Err(Errno::PERM) if !is_root => Finding::ok(name, format!("{purpose}; not tested further, which needs root")),
        Err(Errno::PERM) => Finding::new(
            level,
            name,
            format!(
                "{purpose}; it is not permitted here: in a container, that one needs CAP_SYS_ADMIN and a seccomp profile that allows it"
            ),
        ),
        Err(error) => Finding::new(level, name, format!("{purpose}; it does not work here: {error}")),
    }
}

/// Whether the kernel knows a system call that takes flags.
fn known(call: Probe) -> Result<(), Errno> {
    match call.refusal() {
        error @ (Errno::NOSYS | Errno::PERM) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_calls_are_told_from_known_ones() {
        assert_eq!(known(Probe::UNUSED), Err(Errno::NOSYS));
        assert!(matches!(known(Probe::MOVE_MOUNT), Ok(()) | Err(Errno::PERM)));
    }

    #[test]
    fn releases_have_numbers() {
        assert_eq!(numbers("6.18.44-fc-v657"), (6, 18));
        assert_eq!(numbers("7.0-rc1"), (7, 0));
        assert_eq!(numbers("of unknown version"), (0, 0));
    }

    #[test]
    fn what_is_missing_says_since_when_it_is_there() {
        let [open_tree, .., getxattrat] = &FEATURES;
        assert_eq!(judge(open_tree, Ok(()), false).level, Level::Ok);
        let missing = judge(open_tree, Err(Errno::NOSYS), true);
        assert_eq!(missing.level, Level::Missing);
        assert!(missing.text.ends_with("needs Linux 5.2 or later"), "{}", missing.text);
        assert_eq!(judge(open_tree, Err(Errno::PERM), true).level, Level::Missing);
        assert_eq!(judge(open_tree, Err(Errno::PERM), false).level, Level::Ok);
        assert_eq!(judge(getxattrat, Err(Errno::NOSYS), true).level, Level::Note);
    }
}
