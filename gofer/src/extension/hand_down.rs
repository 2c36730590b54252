//! What a process passes on to another that it starts.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::io::fcntl_dupfd_cloexec;

/// Numbers below it have uses of their own in processes that are started.
const FIRST: i32 = 10;

/// Something for a process that is started with the same flags: what people have said to this one, which has the
/// terminal. The other finds it in a descriptor, whose number a flag of the extension says.
#[derive(Clone)]
pub struct HandDown {
    flag: &'static str,
    open: Arc<dyn Fn() -> io::Result<OwnedFd> + Send + Sync>,
}

impl HandDown {
    /// For each process that is started, `open` makes a descriptor, and `--flag=NUMBER` is one more flag of it.
    pub fn new(flag: &'static str, open: impl Fn() -> io::Result<OwnedFd> + Send + Sync + 'static) -> Self {
        HandDown { flag, open: Arc::new(open) }
    }

    /// The flag and the descriptor for one process, in which the descriptor must have the number that it has here.
    pub fn pass(&self) -> io::Result<(OsString, OwnedFd)> {
        let fd = fcntl_dupfd_cloexec((self.open)()?, FIRST)?;
        Ok((format!("--{}={}", self.flag, fd.as_raw_fd()).into(), fd))
    }

    /// Whether `argument` is such a flag, for this process or the one that has started it.
    pub fn is_flag(&self, argument: &OsString) -> bool {
        let text = argument.to_str().and_then(|text| text.strip_prefix("--")?.strip_prefix(self.flag));
        text.is_some_and(|rest| rest.starts_with('='))
    }
}

impl fmt::Debug for HandDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandDown").field("flag", &self.flag).finish_non_exhaustive()
    }
}
