//! PRead, PWrite, FSync, FAllocate and Flush.

use crate::backend::{Errno, Result};
use crate::server::dispatch::Context;
use crate::server::exchange::{Reply, Request};
use crate::server::file_type::DIRECTORY;
use crate::server::session::{reading, writing};
use crate::wire::message::{FAllocateReq, FSyncReq, FlushReq, PReadHead, PReadReq, PWriteHead, PWriteResp};

pub(super) fn read(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let request: PReadReq = request.decode()?;
    let open = context.session.open(request.fd)?;
    if !open.access.reads() {
        return Err(Errno::BADF);
    }
    let wanted = usize::try_from(request.count).map_err(|_| Errno::NOBUFS)?;
    if wanted > reply.capacity().saturating_sub(PReadHead::SIZE) {
        return Err(Errno::NOBUFS);
    }
    if open.file_type == DIRECTORY {
        return Err(Errno::ISDIR);
    }
    reply.skip(PReadHead::SIZE)?;
    let count = reading(&open, |file| file.read_at(reply.room(wanted), request.offset))?;
    if count > wanted {
        return Err(Errno::IO);
    }
    reply.skip(count)?;
    reply.overwrite(0, &PReadHead { count: count as u64 })
}

pub(super) fn write(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let head: PWriteHead = request.decode()?;
    let wanted = usize::try_from(head.count).map_err(|_| Errno::IO)?;
    if wanted > request.data.len() {
        return Err(Errno::IO);
    }
    let open = context.session.open(head.fd)?;
    if !open.access.writes() {
        return Err(Errno::BADF);
    }
    let count = writing(&open, |file| file.write_at(request.data.part(0, wanted), head.offset))?;
    if count > wanted {
        return Err(Errno::IO);
    }
    reply.message(&PWriteResp { count: count as u64 })
}

pub(super) fn sync(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    let request: FSyncReq<'_> = request.decode()?;
    let mut result = Ok(());
    for fd in request.fds.iter() {
        // One that fails is no reason to leave the others out.
        let synced = context.session.open(fd).and_then(|open| reading(&open, |file| file.sync()));
        result = result.and(synced);
    }
    result
}

pub(super) fn allocate(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: FAllocateReq = request.decode()?;
    let open = session.open(request.fd)?;
    if !open.access.writes() {
        return Err(Errno::BADF);
    }
    let mode = u32::try_from(request.mode).map_err(|_| Errno::OPNOTSUPP)?;
    writing(&open, |file| {
        if open.is_deleted() && !session.options.deleted.allocate {
            return Err(Errno::INVAL);
        }
        file.allocate(mode, request.offset, request.length)
    })
}

pub(super) fn flush(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    let request: FlushReq = request.decode()?;
    let open = context.session.open(request.fd)?;
    reading(&open, |file| file.flush())
}
