//! PRead, PWrite, FSync, FAllocate and Flush.

use crate::backend::{AllocateFlags, Error, FileType, Result, SeekTo};
use crate::server::context::Context;
use crate::server::exchange::{Reply, Request};
use crate::server::session::{reading, writing};
use crate::wire::message::{
    FAllocateReq, FSyncReq, FlushReq, LSeekReq, LSeekResp, PReadHead, PReadReq, PWriteHead, PWriteResp,
};

pub(super) fn read(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let request: PReadReq = request.decode()?;
    let open = context.session.open(request.fd)?;
    if !open.access.reads() {
        return Err(Error::BADF);
    }
    let wanted = usize::try_from(request.count).map_err(|_| Error::NOBUFS)?;
    if wanted > reply.capacity().saturating_sub(PReadHead::SIZE) {
        return Err(Error::NOBUFS);
    }
    if open.file_type == Some(FileType::Directory) {
        return Err(Error::ISDIR);
    }
    reply.skip(PReadHead::SIZE)?;
    let count = reading(&open, |file| file.read_at(reply.room(wanted), request.offset))?;
    if count > wanted {
        return Err(Error::IO);
    }
    reply.skip(count)?;
    reply.overwrite(0, &PReadHead { count: count as u64 })
}

pub(super) fn write(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let head: PWriteHead = request.decode()?;
    let wanted = usize::try_from(head.count).map_err(|_| Error::IO)?;
    if wanted > request.data.len() {
        return Err(Error::IO);
    }
    let open = context.session.open(head.fd)?;
    if !open.access.writes() {
        return Err(Error::BADF);
    }
    let count = writing(&open, |file| file.write_at(request.data.part(0, wanted), head.offset))?;
    if count > wanted {
        return Err(Error::IO);
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
        return Err(Error::BADF);
    }
    let mode = u32::try_from(request.mode).map_err(|_| Error::OPNOTSUPP)?;
    let flags = AllocateFlags::from_bits_retain(mode);
    writing(&open, |file| {
        if open.is_deleted() && !session.options.deleted.allocate {
            return Err(Error::INVAL);
        }
        file.allocate(flags, request.offset, request.length)
    })
}

pub(super) fn seek(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let request: LSeekReq = request.decode()?;
    let open = context.session.open(request.fd)?;
    let what = match request.whence.cast_signed() {
        libc::SEEK_DATA => SeekTo::Data,
        libc::SEEK_HOLE => SeekTo::Hole,
        _ => return Err(Error::INVAL),
    };
    let offset = reading(&open, |file| file.seek(request.offset, what))?;
    reply.message(&LSeekResp { offset })
}

pub(super) fn flush(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    let request: FlushReq = request.decode()?;
    let open = context.session.open(request.fd)?;
    reading(&open, |file| file.flush())
}
