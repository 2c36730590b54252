//! FGetXattr, FSetXattr, FListXattr and FRemoveXattr.
//!
//! They work on the file, whether or not the name it was found by still exists.

use crate::backend::{Error, Result, XattrFlags};
use crate::server::context::Context;
use crate::server::exchange::{Reply, Request};
use crate::wire::StringArrayBuf;
use crate::wire::message::{FGetXattrReq, FGetXattrResp, FListXattrReq, FListXattrResp, FRemoveXattrReq, FSetXattrReq};

/// The most that the kernel gives out at once; stands also for "as much as there is".
const MOST: u64 = 65536;

pub(super) fn get(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: FGetXattrReq<'_> = request.decode()?;
    let control = session.control(request.fd)?;
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
    session.write(&control, |file| file.set_xattr(request.name, request.value, flags))
}

pub(super) fn list(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: FListXattrReq = request.decode()?;
    let control = session.control(request.fd)?;
    let names = session.read(&control, |file| file.list_xattr())?;
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
    session.write(&control, |file| file.remove_xattr(request.name))
}

/// How much a client takes that says `size`.
fn room(size: u64) -> u64 {
    if size == 0 { MOST } else { size.min(MOST) }
}
