//! FStat, SetStat, FStatFS and ReadLinkAt.

use crate::backend::{Error, FileType, Mode, NO_ID, Result, SetStat, StatxMask};
use crate::server::context::{Context, log_cause};
use crate::server::entry::Content;
use crate::server::exchange::{Reply, Request};
use crate::server::session::{reading, same_type};
use crate::wire::MessageId;
use crate::wire::message::{FStatFsReq, FStatFsResp, FStatReq, ReadLinkAtReq, ReadLinkAtResp, SetStatReq, SetStatResp};

pub(super) fn stat(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: FStatReq = request.decode()?;
    let entry = session.fds.any(request.fd)?;
    let (stat, file_type) = match entry.content() {
        Content::Control(control) => (session.read(control, |file| file.stat())?, control.file_type),
        Content::Open(open) => (reading(open, |file| file.stat())?, open.file_type),
        // The socket's own attributes would mean nothing to a client; those of its file do.
        Content::Socket(socket) => (session.read(&socket.control, |file| file.stat())?, socket.control.file_type),
    };
    reply.message(&same_type(stat, file_type)?)
}

pub(super) fn set_stat(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    const SETTABLE: StatxMask = StatxMask::MODE
        .union(StatxMask::UID)
        .union(StatxMask::GID)
        .union(StatxMask::ATIME)
        .union(StatxMask::MTIME)
        .union(StatxMask::SIZE);

    let session = context.session;
    let request: SetStatReq = request.decode()?;
    let control = session.control(request.fd)?;
    if !SETTABLE.contains(request.mask) {
        return Err(Error::PERM);
    }
    let is_set = |bit| request.mask.contains(bit);
    let change = SetStat {
        mode: is_set(StatxMask::MODE).then_some(Mode::new(low_bits(request.mode))),
        uid: (is_set(StatxMask::UID) && request.uid != NO_ID).then_some(request.uid),
        gid: (is_set(StatxMask::GID) && request.gid != NO_ID).then_some(request.gid),
        size: is_set(StatxMask::SIZE).then_some(request.size),
        atime: is_set(StatxMask::ATIME).then_some(request.atime),
        mtime: is_set(StatxMask::MTIME).then_some(request.mtime),
    };
    let result = session.write(&control, |file| {
        if control.is_deleted() && !session.options.deleted.set_stat {
            return Err(Error::INVAL);
        }
        Ok(if change == SetStat::default() { Ok(()) } else { file.set_stat(&change) })
    })?;
    reply.message(&match result {
        Ok(()) => SetStatResp { failure_mask: StatxMask::empty(), failure_errno: 0 },
        Err(failure) => {
            log_cause(MessageId::SET_STAT, &failure.error);
            SetStatResp { failure_mask: failure.mask, failure_errno: failure.error.errno().to_wire() }
        }
    })
}

pub(super) fn stat_fs(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: FStatFsReq = request.decode()?;
    let control = session.control(request.fd)?;
    let stat = session.read(&control, |file| file.stat_fs())?;
    reply.message(&FStatFsResp { stat })
}

pub(super) fn read_link(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: ReadLinkAtReq = request.decode()?;
    let control = session.control(request.fd)?;
    if control.file_type != Some(FileType::Symlink) {
        return Err(Error::INVAL);
    }
    let target = session.read(&control, |file| file.read_link())?;
    reply.message(&ReadLinkAtResp { target: &target })
}

/// The type and the permissions; Linux has nothing above them.
fn low_bits(mode: u32) -> u16 {
    let [low, high, ..] = mode.to_le_bytes();
    u16::from_le_bytes([low, high])
}
