//! The socket beside a channel through which descriptors go, one in each message and nothing else.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, Shutdown, SocketFlags, SocketType, recvmsg, sendmsg, shutdown, socketpair,
};

/// One end of a channel's FD socket.
#[derive(Debug)]
pub struct FdSocket(OwnedFd);

impl FdSocket {
    /// A connected pair.
    pub fn pair() -> Result<(FdSocket, FdSocket), crate::Errno> {
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((FdSocket(one), FdSocket(other)))
    }

    /// Sends `fd`, or fails with `EAGAIN` if the peer does not take what it was sent before.
    pub fn send(&self, fd: BorrowedFd<'_>) -> Result<(), crate::Errno> {
        let fds = [fd];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&fds));
        let no_data: [IoSlice<'_>; 0] = [];
        loop {
            match sendmsg(&self.0, &no_data, &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                result => return Ok(result.map(drop)?),
            }
        }
    }

    /// Takes the next descriptor, or `None` if there is none.
    pub fn receive(&self) -> Option<OwnedFd> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        while let Err(error) = recvmsg(&self.0, &mut [], &mut control, flags) {
            if error != Errno::INTR {
                return None;
            }
        }
        control.drain().find_map(|message| match message {
            // Dropping the rest closes descriptors beyond the first.
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
    }

    /// Ends the socket for both sides.
    pub fn shut_down(&self) {
        // Fails only if the other end is gone already.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

impl AsFd for FdSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<FdSocket> for OwnedFd {
    fn from(socket: FdSocket) -> Self {
        socket.0
    }
}

impl From<OwnedFd> for FdSocket {
    fn from(fd: OwnedFd) -> Self {
        FdSocket(fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_arrive_in_order() {
        let (one, other) = FdSocket::pair().unwrap();
        let files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        for file in &files {
            one.send(file.as_fd()).unwrap();
        }
        for file in &files {
            let received = other.receive().unwrap();
            assert_eq!(rustix::fs::fstat(&received).unwrap().st_ino, rustix::fs::fstat(file).unwrap().st_ino);
            assert!(rustix::io::fcntl_getfd(&received).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
        assert!(other.receive().is_none());
    }

    #[test]
    fn a_peer_that_takes_nothing_does_not_block_the_sender() {
        let (one, _other) = FdSocket::pair().unwrap();
        let file = tempfile::tempfile().unwrap();
        let refused = (0..100_000).find_map(|_| one.send(file.as_fd()).err());
        assert!(matches!(refused, Some(crate::Errno::AGAIN | crate::Errno::TOOMANYREFS)), "{refused:?}");
    }
}
