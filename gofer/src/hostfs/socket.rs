//! UNIX sockets of the host.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, fchmod};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType as HostType, accept_with, connect, listen, socket_with,
};

use super::control::HostControl;
use super::create::without_set_ids;
use super::helper::{Helper, ThreadState};
use super::proc_fds::ProcFds;
use lisafs::backend::{self, Bound, BoundSocket, Credentials, Name, NewFile, SocketType};
use rustix::io::{Errno, Result};

/// Neither blocking nor inherited.
const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

impl HostControl {
    pub(super) fn connect_host(&self, kind: Option<SocketType>, credentials: Option<Credentials>) -> Result<OwnedFd> {
        if self.kind != FileType::Socket {
            return Err(Errno::NOTSOCK);
        }
        let helper = self.helper_if(self.shared.options.host_uds.opens())?;
        let Some(kind) = kind else {
            // The type is a property of whoever listens; the address does not tell.
            return [SocketType::Stream, SocketType::Datagram, SocketType::SeqPacket]
                .into_iter()
                .map(|kind| self.connect_as(helper, kind, credentials))
                .find(|result| !matches!(result, Err(Errno::PROTOTYPE)))
                .unwrap_or(Err(Errno::PROTOTYPE));
        };
        self.connect_as(helper, kind, credentials)
    }

    fn connect_as(&self, helper: &Helper, kind: SocketType, credentials: Option<Credentials>) -> Result<OwnedFd> {
        let socket = new_socket(kind)?;
        let address = SocketAddrUnix::new(ProcFds::name(self.fd()).as_c_str())?;
        helper.run(move |state: &mut ThreadState| {
            let connect = || connect(&socket, &address);
            match credentials {
                Some(somebody) => state.as_user(somebody, connect)?,
                None => connect()?,
            }
            Ok(socket)
        })
    }

    pub(super) fn bind_host(&self, name: Name<'_>, new: &NewFile, kind: SocketType) -> Result<Bound> {
        let helper = self.helper_if(self.shared.options.host_uds.creates())?;
        // The helper has the directory as its working directory, so the whole address is there for the name.
        let address = SocketAddrUnix::new(name.as_bytes()).map_err(|_| Errno::INVAL)?;
        let socket = new_socket(kind)?;
        // The new file gets the mode of the socket, from which the umask is always taken.
        fchmod(&socket, without_set_ids(new.mode))?;
        let donated = fcntl_dupfd_cloexec(&socket, 0)?;
        let to_bind = fcntl_dupfd_cloexec(&socket, 0)?;
        let dir = ProcFds::name(self.fd());
        let found = self.make(name, new, FileType::Socket, || {
            helper.run(move |state| state.in_dir(dir.as_str(), || rustix::net::bind(&to_bind, &address)))
        })?;
        Ok(Bound::new(found, Box::new(HostSocket { fd: socket }), donated))
    }

    fn helper_if(&self, allowed: bool) -> Result<&Helper> {
        self.shared.helper.as_deref().filter(|_| allowed).ok_or(Errno::PERM)
    }
}

fn new_socket(kind: SocketType) -> Result<OwnedFd> {
    let kind = match kind {
        SocketType::Stream => HostType::STREAM,
        SocketType::Datagram => HostType::DGRAM,
        SocketType::SeqPacket => HostType::SEQPACKET,
    };
    socket_with(AddressFamily::UNIX, kind, FLAGS, None)
}

/// A socket that is bound to a file.
struct HostSocket {
    fd: OwnedFd,
}

impl BoundSocket for HostSocket {
    fn listen(&self, backlog: i32) -> backend::Result<()> {
        Ok(listen(self.fd.as_fd(), backlog)?)
    }

    fn accept(&self) -> backend::Result<OwnedFd> {
        // The client has a duplicate and may have made both of them blocking.
        rustix::io::ioctl_fionbio(&self.fd, true)?;
        Ok(accept_with(&self.fd, FLAGS)?)
    }
}
