//! The main socket of a connection: a stream of messages, with descriptors beside their first byte.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, Shutdown, recvmsg, sendmsg, shutdown,
};

use super::deadline::Deadline;
use super::{Ended, Fds, MAX_FDS};

/// One end of a connection's main socket. It may be blocking or not.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// Takes a connected `AF_UNIX` stream socket.
    pub fn new(fd: OwnedFd) -> Self {
        Socket(fd)
    }

    /// Sends all of `bytes`, and `fds` with the first of them.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>], limit: Option<Duration>) -> Result<(), Ended> {
        let deadline = Deadline::after(limit);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Ended::Protocol("too many descriptors for one message"));
        }
        // Without a limit, a blocking socket may block: that takes one call where asking first takes three.
        let wait = if deadline.is_set() { SendFlags::DONTWAIT } else { SendFlags::empty() };
        let mut rest = bytes;
        while !rest.is_empty() {
            match sendmsg(&self.0, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL | wait) {
                Ok(n) => {
                    rest = &rest[n..];
                    control.clear();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait_for(PollFlags::OUT, deadline)?,
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(Ended::ShutDown),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Fills `bytes`, and puts descriptors that come with the first of them into `fds`, as many as fit; others are
    /// closed.
    pub fn receive(&self, bytes: &mut [u8], fds: Option<&mut Fds>, limit: Option<Duration>) -> Result<(), Ended> {
        let deadline = Deadline::after(limit);
        // As when sending.
        let wait = if deadline.is_set() { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        let mut fds = fds;
        let mut done = 0;
        while done < bytes.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
            // Without room for them, the kernel drops descriptors by itself.
            let room = if fds.is_some() { &mut space[..] } else { &mut [][..] };
            let mut control = RecvAncillaryBuffer::new(room);
            let mut data = [IoSliceMut::new(&mut bytes[done..])];
            match recvmsg(&self.0, &mut data, &mut control, RecvFlags::CMSG_CLOEXEC | wait) {
                Ok(received) if received.bytes == 0 => return Err(Ended::ShutDown),
                Ok(received) => {
                    done += received.bytes;
                    let arrived = control.drain().filter_map(|message| match message {
                        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                        _ => None,
                    });
                    if let Some(fds) = fds.take() {
                        // Taking them all out of the control message is what closes those that do not fit.
                        for fd in arrived.flatten() {
                            let _ = fds.try_push(fd);
                        }
                        if received.flags.contains(ReturnFlags::CTRUNC) {
                            tracing::debug!("the peer sent more descriptors than were asked for");
                        }
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait_for(PollFlags::IN, deadline)?,
                Err(Errno::CONNRESET) => return Err(Ended::ShutDown),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn wait_for(&self, what: PollFlags, deadline: Deadline) -> Result<(), Ended> {
        let remaining = deadline.remaining()?;
        match poll(&mut [PollFd::new(&self.0, what)], remaining.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends the connection for both sides and wakes whoever waits on it.
    pub fn shut_down(&self) {
        // Fails only if the other end is gone already.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (Socket, Socket) {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        (Socket::new(one), Socket::new(other))
    }

    #[test]
    fn descriptors_come_with_the_first_byte() {
        let (one, other) = pair();
        let file = tempfile::tempfile().unwrap();
        one.send(b"header and payload", &[file.as_fd(), file.as_fd()], None).unwrap();
        let (mut head, mut rest, mut fds) = ([0; 6], [0; 12], Fds::new());
        other.receive(&mut head, Some(&mut fds), None).unwrap();
        other.receive(&mut rest, None, None).unwrap();
        assert_eq!((&head, &rest), (b"header", b" and payload"));
        assert_eq!(fds.len(), 2);
    }

    #[test]
    fn a_large_message_goes_through_a_small_buffer() {
        let (one, other) = pair();
        let sent: Vec<u8> = (0..3_000_000u32).map(|i| i.to_le_bytes()[1]).collect();
        let mut received = vec![0; sent.len()];
        std::thread::scope(|scope| {
            scope.spawn(|| one.send(&sent, &[], None).unwrap());
            other.receive(&mut received, None, None).unwrap();
        });
        assert!(sent == received);
    }

    #[test]
    fn a_socket_that_was_made_non_blocking_is_waited_for() {
        let (one, other) = pair();
        for socket in [&one, &other] {
            rustix::io::ioctl_fionbio(socket.as_fd(), true).unwrap();
        }
        let mut received = vec![0; 3_000_000];
        std::thread::scope(|scope| {
            scope.spawn(|| one.send(&vec![7; 3_000_000], &[], None).unwrap());
            other.receive(&mut received, None, None).unwrap();
        });
        assert!(received.iter().all(|byte| *byte == 7));
    }

    #[test]
    fn a_thread_that_waits_is_woken_when_the_socket_is_shut_down() {
        let (one, other) = pair();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| other.receive(&mut [0], None, None));
            // Whichever comes first.
            other.shut_down();
            assert_eq!(waiting.join().unwrap(), Err(Ended::ShutDown));
        });
        assert_eq!(one.send(b"x", &[], None), Err(Ended::ShutDown));
    }

    #[test]
    fn descriptors_nobody_asked_for_are_closed() {
        let (one, other) = pair();
        let (kept, sent) = pair();
        one.send(b"x", &[sent.as_fd()], None).unwrap();
        other.receive(&mut [0], None, None).unwrap();
        drop(sent);
        assert_eq!(kept.receive(&mut [0], None, None), Err(Ended::ShutDown));
    }

    #[test]
    fn the_end_and_silence_are_told_apart() {
        let (one, other) = pair();
        let limit = Some(Duration::from_millis(5));
        assert_eq!(other.receive(&mut [0], None, limit), Err(Ended::TimedOut));
        drop(one);
        // A child that another test starts has all descriptors for a moment, that end too.
        assert_eq!(other.receive(&mut [0], None, None), Err(Ended::ShutDown));
    }
}
