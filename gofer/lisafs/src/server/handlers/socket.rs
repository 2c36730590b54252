//! Connect, ConnectWithCreds, BindAt, Listen and Accept.

use super::create::new_file;
use crate::backend::{Credentials, Error, FileType, NO_ID, Name, Result, SocketType};
use crate::server::context::Context;
use crate::server::entry::BoundSocket;
use crate::server::exchange::{Reply, Request};
use crate::server::session::Session;
use crate::wire::FdId;
use crate::wire::message::{AcceptReq, AcceptResp, BindAtReq, BindAtResp, ConnectReq, ConnectWithCredsReq, ListenReq};

pub(super) fn connect(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let request: ConnectReq = request.decode()?;
    connect_as(context.session, request.fd, request.sock_type, None, reply)
}

pub(super) fn connect_with_credentials(
    context: &mut Context<'_>,
    request: Request<'_>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let request: ConnectWithCredsReq = request.decode()?;
    let credentials = Credentials { uid: request.uid, gid: request.gid };
    connect_as(context.session, request.fd, request.sock_type, Some(credentials), reply)
}

fn connect_as(
    session: &Session,
    fd: FdId,
    sock_type: u32,
    credentials: Option<Credentials>,
    reply: &mut Reply<'_>,
) -> Result<()> {
    let control = session.control(fd)?;
    if control.file_type != Some(FileType::Socket) {
        return Err(Error::NOTSOCK);
    }
    let kind = if sock_type == 0 { None } else { Some(socket_type(sock_type).ok_or(Error::NXIO)?) };
    // To the kernel this would mean: whoever the server is.
    if credentials.is_some_and(|who| who.uid == NO_ID || who.gid == NO_ID) {
        return Err(Error::PERM);
    }
    let connected = session.read(&control, |file| {
        if control.is_deleted() { Err(Error::INVAL) } else { file.connect(kind, credentials) }
    })?;
    reply.donate(connected)
}

pub(super) fn bind(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: BindAtReq<'_> = request.decode()?;
    let name = Name::new(request.name)?;
    let dir = session.directory(request.common.dir)?;
    let kind = socket_type(request.sock_type).ok_or(Error::INVAL)?;
    let (ticket, socket_ticket) = (session.fds.reserve()?, session.fds.reserve()?);
    let ((fd, child), socket, donated) = session.change(&dir, |file| {
        let bound = file.bind(name, &new_file(session, &request.common), kind)?;
        Ok((ticket.child(&dir, name.as_bytes(), bound.found), bound.socket, bound.donated))
    })?;
    let socket = socket_ticket.socket(BoundSocket { socket, control: fd.entry.clone().hold()? });
    reply.message(&BindAtResp { child, bound_socket_fd: socket.id })?;
    reply.donate(donated)?;
    fd.commit();
    socket.commit();
    Ok(())
}

pub(super) fn listen(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: ListenReq = request.decode()?;
    let bound = session.socket(request.fd)?;
    with_file(session, &bound, || bound.socket.listen(request.backlog))
}

pub(super) fn accept(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: AcceptReq = request.decode()?;
    let bound = session.socket(request.fd)?;
    let accepted = with_file(session, &bound, || bound.socket.accept())?;
    reply.message(&AcceptResp { peer_addr: b"" })?;
    reply.donate(accepted)
}

/// Calls `f` while nobody changes the socket's file.
fn with_file<R>(session: &Session, bound: &BoundSocket, f: impl FnOnce() -> Result<R>) -> Result<R> {
    session.read(&bound.control, |_| if bound.control.is_deleted() { Err(Error::INVAL) } else { f() })
}

fn socket_type(sock_type: u32) -> Option<SocketType> {
    match sock_type {
        1 => Some(SocketType::Stream),
        2 => Some(SocketType::Datagram),
        5 => Some(SocketType::SeqPacket),
        _ => None,
    }
}
