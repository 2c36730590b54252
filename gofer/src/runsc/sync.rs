//! Waiting for runsc and for the sandbox.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, retry_on_intr};

use super::rpc;

/// Why runsc cannot be waited for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SyncError {
    #[error("--{flag}: {source}")]
    Read { flag: &'static str, source: Errno },
    #[error("--{flag}: runsc sent data where it should only close the connection")]
    Data { flag: &'static str },
}

/// How long the sandbox may take for each of its last steps.
const LAST_STEP: Duration = Duration::from_millis(500);

/// Waits until runsc closes its end.
pub(super) fn wait_for_end(flag: &'static str, socket: &OwnedFd) -> Result<(), SyncError> {
    let mut byte = [0];
    // Whether it may block depends on whoever else has the socket.
    let read = || loop {
        match retry_on_intr(|| read(socket, &mut byte)) {
            Err(Errno::AGAIN) => retry_on_intr(|| poll(&mut [PollFd::new(socket, PollFlags::IN)], None))?,
            other => return other,
        };
    };
    match { read }() {
        Ok(0) => Ok(()),
        Ok(_) => Err(SyncError::Data { flag }),
        Err(source) => Err(SyncError::Read { flag, source }),
    }
}

/// Waits until the process of the sandbox has ended, but not for long: while this process holds files of the sandbox,
/// its end is quick.
///
/// runsc sends a descriptor of the process through `socket`, or nothing.
pub(super) fn wait_for_sandbox(socket: &OwnedFd) {
    let mut fds = Vec::new();
    // A message that is not there is a failure of somebody else, and no reason to stay.
    if !is_ready(socket) || rpc::receive(socket, &mut [0], &mut fds).is_err() {
        return;
    }
    if let Some(process) = fds.first()
        && !is_ready(process)
    {
        tracing::warn!("the sandbox is still there {LAST_STEP:?} after its last connection closed; not waiting for it");
    }
}

/// Whether there is something to read in time.
fn is_ready(fd: impl AsFd) -> bool {
    let end = Instant::now() + LAST_STEP;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let Ok(limit) = Timespec::try_from(left) else { return false };
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&limit)) {
            Err(Errno::INTR) => {}
            other => return other.is_ok_and(|ready| ready > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Write};
    use std::mem::MaybeUninit;
    use std::os::unix::net::UnixStream;
    use std::process::{Child, Command};
    use std::thread;

    use rustix::net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
        socketpair,
    };
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn the_end_is_the_sign() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let closer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            drop(theirs);
        });
        assert_eq!(wait_for_end("x", &ours.into()), Ok(()));
        closer.join().unwrap();

        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"!").unwrap();
        assert_eq!(wait_for_end("x", &ours.into()), Err(SyncError::Data { flag: "x" }));
    }

    /// How long the wait takes if runsc sends a descriptor of `process`, or nothing and keeps the socket if `stays`.
    fn wait(process: Option<&Child>, stays: bool) -> Duration {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        if let Some(child) = process {
            let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).unwrap();
            let fds = [pidfd.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&fds)));
            sendmsg(&theirs, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::empty()).unwrap();
        }
        let theirs = stays.then_some(theirs);
        let start = Instant::now();
        wait_for_sandbox(&ours);
        drop(theirs);
        start.elapsed()
    }

    #[test]
    fn nobody_is_waited_for_in_vain() {
        // Once in a while somebody else has the processor for longer.
        let soon = |process: Option<&Child>| (0..20).any(|_| wait(process, false) < LAST_STEP);
        assert!(soon(None));
        assert!(wait(None, true) >= LAST_STEP);
        let mut sleeper = Command::new("sleep").arg("100").spawn().unwrap();
        assert!(wait(Some(&sleeper), false) >= LAST_STEP);
        sleeper.kill().unwrap();
        assert!(soon(Some(&sleeper)));
        sleeper.wait().unwrap();
    }
}
