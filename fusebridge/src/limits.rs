//! How many descriptors this process may have.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// `RLIMIT_NOFILE`, before and after it was raised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptors {
    /// The soft and the hard limit.
    initial: Option<(u64, u64)>,
    /// How many this process may have now.
    pub(crate) limit: u64,
}

impl Descriptors {
    /// Raises the soft limit to the hard one. Processes that are started later inherit that.
    pub(crate) fn raise() -> Self {
        let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Self { initial: None, limit: 1024 } };
        let is_raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
        Self { initial: Some((soft, hard)), limit: if is_raised { hard } else { soft } }
    }

    /// Gives `command` the limits that this process was started with: programs that use `select` fail with descriptors
    /// from 1024 on, and others close each that there could be.
    pub(crate) fn restore_in(self, command: &mut Command) {
        let Some((soft, hard)) = self.initial else { return };
        let restore = move || setrlimit(Resource::RLIMIT_NOFILE, soft, hard).map_err(io::Error::from);
        // SAFETY: between fork and exec it makes one system call, and neither allocates nor locks.
        #[expect(unsafe_code, reason = "the limits of another program than this one")]
        unsafe {
            command.pre_exec(restore);
        }
    }
}
