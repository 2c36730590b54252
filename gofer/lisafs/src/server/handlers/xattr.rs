//! FGetXattr, FSetXattr, FListXattr and FRemoveXattr.
//!
//! They work on the file, whether or not the name it was found by still exists.
//!
//! Sandboxes get the namespace `user`, and may read `security` besides. Whatever else is kept in attributes (access
//! control lists, `trusted`) is none of their business: `EOPNOTSUPP`.

use crate::backend::{ClientKind, Error, Result, XattrFlags};
use crate::server::context::Context;
use crate::server::exchange::{Reply, Request};
use crate::server::session::Session;
use crate::wire::StringArrayBuf;
use crate::wire::message::{FGetXattrReq, FGetXattrResp, FListXattrReq, FListXattrResp, FRemoveXattrReq, FSetXattrReq};

/// The most that the kernel gives out at once; stands also for "as much as there is".
const MOST: u64 = 65536;

pub(super) fn get(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: FGetXattrReq<'_> = request.decode()?;
    let control = session.control(request.fd)?;
    allow(is_readable(session, request.name))?;
    let value = session.read(&control, |file| file.get_xattr(request.name))?;
    // A value that the length field cannot tell is too large for every buffer.
    if value.len() as u64 > room(request.buf_size.into()) || value.len() > usize::from(u16::MAX) {
        return Err(Error::RANGE);
    }
    reply.message(&FGetXattrResp { value: &value })
}

pub(super) fn set(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: FSetXattrReq<'_> = request.decode()?;
    let control = session.control(request.fd)?;
    let flags = XattrFlags::from_bits(request.flags).ok_or(Error::INVAL)?;
    allow(is_writable(session, request.name))?;
    session.write(&control, |file| file.set_xattr(request.name, request.value, flags))
}

pub(super) fn list(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: FListXattrReq = request.decode()?;
    let control = session.control(request.fd)?;
    let mut names = session.read(&control, |file| file.list_xattr())?;
    names.retain(|name| is_readable(session, name));
    let size: u64 = names.iter().map(|name| name.len() as u64 + 1).sum();
    if size > room(request.size) {
        return Err(Error::RANGE);
    }
    let names = StringArrayBuf::collect(names.iter().map(Vec::as_slice)).map_err(|_| Error::RANGE)?;
    reply.message(&FListXattrResp { names: names.as_array() })
}

pub(super) fn remove(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: FRemoveXattrReq<'_> = request.decode()?;
    let control = session.control(request.fd)?;
    allow(is_writable(session, request.name))?;
    session.write(&control, |file| file.remove_xattr(request.name))
}

fn allow(allowed: bool) -> Result<()> {
    if allowed { Ok(()) } else { Err(Error::OPNOTSUPP) }
}

fn is_writable(session: &Session, name: &[u8]) -> bool {
    session.options.client == ClientKind::Kernel || name.starts_with(b"user.")
}

fn is_readable(session: &Session, name: &[u8]) -> bool {
    is_writable(session, name) || name.starts_with(b"security.")
}

/// How much a client takes that says `size`.
fn room(size: u64) -> u64 {
    if size == 0 { MOST } else { size.min(MOST) }
}
