//! Lines on a control socket, with a descriptor beside the first byte.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// Why a line has not gone or come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// The time is over.
    #[error("timed out")]
    TimedOut,
    /// The peer has hung up before.
    #[error("the peer hung up")]
    HungUp,
    /// There is no newline where there must be one at the latest, or something behind it.
    #[error("this is not one line of the right length")]
    Malformed,
    /// The socket fails.
    #[error("{0}")]
    System(#[from] Errno),
}

/// Sends `line`, which ends with a newline, and `fd` with its first byte.
pub fn send_line(
    socket: impl AsFd,
    line: &[u8],
    fd: Option<BorrowedFd<'_>>,
    deadline: Instant,
) -> Result<(), LineError> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !fds.is_empty() {
        let has_room = control.push(SendAncillaryMessage::ScmRights(&fds));
        debug_assert!(has_room, "the buffer is made for one");
    }
    let mut rest = line;
    while !rest.is_empty() {
        match sendmsg(&socket, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(sent) => {
                rest = &rest[sent..];
                control.clear();
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_for(socket.as_fd(), PollFlags::OUT, deadline)?,
            Err(Errno::PIPE | Errno::CONNRESET) => return Err(LineError::HungUp),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Receives one line of up to `most` bytes, without its newline, and the descriptor that came with its first byte.
pub fn receive_line(
    socket: impl AsFd,
    most: usize,
    deadline: Instant,
) -> Result<(Vec<u8>, Option<OwnedFd>), LineError> {
    let mut line = Vec::new();
    let mut fd = None;
    let mut buffer = [0; 4096];
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = match recvmsg(&socket, &mut [IoSliceMut::new(&mut buffer)], &mut control, flags) {
            Ok(received) => received.bytes,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => {
                wait_for(socket.as_fd(), PollFlags::IN, deadline)?;
                continue;
            }
            Err(Errno::CONNRESET) => return Err(LineError::HungUp),
            Err(error) => return Err(error.into()),
        };
        for message in control.drain() {
            // What does not fit, and what comes with other bytes, is closed.
            if let RecvAncillaryMessage::ScmRights(fds) = message
                && line.is_empty()
            {
                fd = fds.last();
            }
        }
        if received == 0 {
            return Err(LineError::HungUp);
        }
        line.extend_from_slice(&buffer[..received]);
        match line.iter().position(|byte| *byte == b'\n') {
            Some(end) if end + 1 == line.len() && line.len() <= most => {
                line.pop();
                return Ok((line, fd));
            }
            None if line.len() < most => {}
            _ => return Err(LineError::Malformed),
        }
        // Bytes that trickle in are no reason to wait for ever.
        if Instant::now() >= deadline {
            return Err(LineError::TimedOut);
        }
    }
}

fn wait_for(socket: BorrowedFd<'_>, event: PollFlags, deadline: Instant) -> Result<(), LineError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut polled = [PollFd::from_borrowed_fd(socket, event)];
    match poll(&mut polled, Some(&timespec(left))) {
        Ok(0) => Err(LineError::TimedOut),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(time.subsec_nanos()) }
}
