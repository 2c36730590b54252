//! UNIX sockets in the file system.

use std::os::fd::OwnedFd;

use crate::errno::Errno;
use crate::transport::Fds;
use crate::wire::message::{
    AcceptReq, AcceptResp, BindAtReq, BindAtResp, ConnectReq, ConnectResp, ConnectWithCredsReq, ConnectWithCredsResp,
    ListenReq, ListenResp,
};
use crate::wire::{CreateCommon, FdId, Inode, MessageId, Pad};

use super::{Client, check_fd, check_inode, check_length};
use crate::client::error::CallError;

impl Client {
    /// A socket that is connected to the one of a control FD. A type of 0 stands for any.
    pub fn connect_at(&self, fd: FdId, sock_type: u32) -> Result<OwnedFd, Errno> {
        self.connection.ask(&ConnectReq { fd, sock_type, pad: Pad }, |answer| {
            let (ConnectResp {}, fds) = answer.decode_with_fds()?;
            donated(fds)
        })
    }

    /// [`connect_at`](Self::connect_at) as another user.
    pub fn connect_with_creds(&self, fd: FdId, sock_type: u32, uid: u32, gid: u32) -> Result<OwnedFd, Errno> {
        self.connection.ask(&ConnectWithCredsReq { fd, sock_type, pad: Pad, uid, gid }, |answer| {
            let (ConnectWithCredsResp {}, fds) = answer.decode_with_fds()?;
            donated(fds)
        })
    }

    /// Binds a new socket to `name`: its file, its bound-socket FD, and a descriptor to wait for connections with.
    pub fn bind_at(&self, common: CreateCommon, sock_type: u32, name: &[u8]) -> Result<(Inode, FdId, OwnedFd), Errno> {
        check_length(name)?;
        let request = BindAtReq { common, sock_type, name };
        let (bound, fds) = self.connection.ask(&request, |answer| answer.decode_with_fds::<BindAtResp>())?;
        let checked = check_inode(&bound.child).and_then(|()| check_fd(bound.bound_socket_fd));
        match checked.and_then(|()| donated(fds)) {
            Ok(socket) => Ok((bound.child, bound.bound_socket_fd, socket)),
            Err(error) => {
                self.close_all(&[bound.child.control_fd, bound.bound_socket_fd]);
                Err(error.into_errno(MessageId::BIND_AT))
            }
        }
    }

    /// Starts listening on a bound-socket FD.
    pub fn listen(&self, fd: FdId, backlog: i32) -> Result<(), Errno> {
        self.ask::<ListenResp>(&ListenReq { fd, backlog, pad: Pad }).map(drop)
    }

    /// Takes a waiting connection of a bound-socket FD; `EAGAIN` if there is none.
    pub fn accept(&self, fd: FdId) -> Result<OwnedFd, Errno> {
        self.connection.ask(&AcceptReq { fd }, |answer| {
            let (AcceptResp { .. }, fds) = answer.decode_with_fds()?;
            donated(fds)
        })
    }
}

/// The descriptor that must have come with an answer.
fn donated(mut fds: Fds) -> Result<OwnedFd, CallError> {
    fds.pop_at(0).ok_or(CallError::Malformed("a descriptor is missing"))
}
