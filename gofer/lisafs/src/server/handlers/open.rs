//! OpenAt.

use parking_lot::Mutex;
use rustix::fs::OFlags;

use crate::backend::{Access, Error, FileType, OpenHow, Opened, Result};
use crate::server::context::Context;
use crate::server::entry::{Control, Open};
use crate::server::exchange::{Reply, Request};
use crate::wire::message::{OpenAtReq, OpenAtResp};

pub(super) fn open(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    const TRUNCATE: u32 = OFlags::TRUNC.bits();
    const NO_ATIME: u32 = OFlags::NOATIME.bits();

    let session = context.session;
    let request: OpenAtReq = request.decode()?;
    // All other flags are without meaning here and ignored.
    let how = OpenHow::new(Access::from_flags(request.flags))
        .truncate(request.flags & TRUNCATE != 0)
        .no_atime(request.flags & NO_ATIME != 0);
    let changes = how.access.writes() || how.truncate;
    if changes && session.options.read_only {
        return Err(Error::ROFS);
    }
    let control = session.control(request.fd)?;
    match control.file_type {
        Some(FileType::Directory) if changes => return Err(Error::ISDIR),
        Some(FileType::Symlink) => return Err(Error::INVAL),
        _ => {}
    }
    let ticket = session.fds.reserve()?;
    let opened = session.read(&control, |file| {
        if control.is_deleted() && !session.options.deleted.open { Err(Error::INVAL) } else { file.open(how) }
    })?;
    let Opened { file, donated } = opened;
    let fd = ticket.open(open_file(&control, file, how.access));
    reply.message(&OpenAtResp { open_fd: fd.id })?;
    if let Some(host) = donated {
        reply.donate(host)?;
    }
    fd.commit();
    Ok(())
}

/// An open file of `control`.
fn open_file(control: &Control, file: crate::backend::OpenBox, access: Access) -> Open {
    Open { file, file_type: control.file_type, access, position: Mutex::new(0), node: control.node.clone() }
}
