//! Resource limits.

use rustix::process::{Resource, getrlimit};

use super::{Finding, Level};

/// So many descriptors are few: an open file of a container may take one.
const FEW: u64 = 4096;

pub(super) fn check() -> Finding {
    // The gofer raises the soft limit itself.
    judge(getrlimit(Resource::Nofile).maximum)
}

fn judge(hard: Option<u64>) -> Finding {
    match hard {
        None => Finding::ok("open files", "unlimited"),
        Some(hard) if hard >= FEW => Finding::ok("open files", format!("up to {hard}")),
        Some(hard) => Finding::new(
            Level::Warning,
            "open files",
            format!(
                "only up to {hard} for all files that a container or a mount has open; raise the hard limit (ulimit -Hn, LimitNOFILE= of the service)"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_descriptors_are_worth_a_warning() {
        assert_eq!(judge(Some(1024)).level, Level::Warning);
        assert_eq!(judge(Some(4096)).level, Level::Ok);
        assert_eq!(judge(None).level, Level::Ok);
    }
}
