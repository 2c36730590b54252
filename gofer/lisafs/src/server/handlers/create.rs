//! OpenCreateAt, MkdirAt, MknodAt, SymlinkAt and LinkAt.
//!
//! All go the same way: the name, the directory, whether the directory still exists, the backend.

use parking_lot::Mutex;

use crate::backend::{
    Access, ClientKind, ControlFile, Created, Error, FileType, Found, Mode, Name, NewFile, Opened, Result,
};
use crate::server::context::Context;
use crate::server::entry::{Content, Control, Open};
use crate::server::exchange::{Reply, Request};
use crate::server::session::Session;
use crate::wire::message::{
    LinkAtReq, LinkAtResp, MkdirAtReq, MkdirAtResp, MknodAtReq, MknodAtResp, OpenCreateAtReq, OpenCreateAtResp,
    SymlinkAtReq, SymlinkAtResp,
};
use crate::wire::{CreateCommon, Inode};

pub(super) fn open_create(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: OpenCreateAtReq<'_> = request.decode()?;
    let name = Name::new(request.name)?;
    let dir = session.directory(request.common.dir)?;
    let access = Access::from_flags(request.flags);
    let (ticket, open_ticket) = (session.fds.reserve()?, session.fds.reserve()?);
    let ((fd, child), Opened { file, donated }) = session.change(&dir, |file| {
        let Created { found, opened } = file.create(name, &new_file(session, &request.common), access)?;
        Ok((ticket.child(&dir, name.as_bytes(), found), opened))
    })?;
    let node = match fd.entry.content() {
        Content::Control(control) => control.node.clone(),
        _ => None,
    };
    let file_type = child.stat.file_type();
    let open = open_ticket.open(Open { file, file_type, access, position: Mutex::new(0), node });
    reply.message(&OpenCreateAtResp { child, open_fd: open.id })?;
    if let Some(host) = donated {
        reply.donate(host)?;
    }
    fd.commit();
    open.commit();
    Ok(())
}

pub(super) fn mkdir(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let request: MkdirAtReq<'_> = request.decode()?;
    let name = Name::new(request.name)?;
    let dir = context.session.directory(request.common.dir)?;
    let session = context.session;
    let make = |file: &dyn ControlFile| file.mkdir(name, &common(session, &request.common));
    child(session, &dir, name, make, |child| reply.message(&MkdirAtResp { child }))
}

pub(super) fn mknod(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let request: MknodAtReq<'_> = request.decode()?;
    let name = Name::new(request.name)?;
    let dir = context.session.directory(request.common.dir)?;
    let file_type = match FileType::from_mode(request.common.mode.into()) {
        None | Some(FileType::Directory | FileType::Symlink) => return Err(Error::PERM),
        Some(file_type) => file_type,
    };
    let device = (request.major, request.minor);
    let session = context.session;
    let make = |file: &dyn ControlFile| file.mknod(name, &new_file(session, &request.common), file_type, device);
    child(context.session, &dir, name, make, |child| reply.message(&MknodAtResp { child }))
}

pub(super) fn symlink(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let request: SymlinkAtReq<'_> = request.decode()?;
    let name = Name::new(request.name)?;
    let dir = context.session.directory(request.dir)?;
    if request.target.is_empty() {
        return Err(Error::NOENT);
    }
    if request.target.contains(&0) {
        return Err(Error::INVAL);
    }
    let new = NewFile::new(Mode::new(0o777), request.uid, request.gid);
    let make = |file: &dyn ControlFile| file.symlink(name, request.target, &new);
    child(context.session, &dir, name, make, |symlink| reply.message(&SymlinkAtResp { symlink }))
}

pub(super) fn link(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: LinkAtReq<'_> = request.decode()?;
    let name = Name::new(request.name)?;
    let dir = session.directory(request.dir)?;
    let target = session.control(request.target)?;
    if target.file_type == Some(FileType::Directory) {
        return Err(Error::PERM);
    }
    let ticket = session.fds.reserve()?;
    // A target whose own name is gone may live on under others: that is for the backend to decide.
    let make = || {
        if dir.is_deleted() {
            return Err(Error::INVAL);
        }
        Ok(ticket.child(&dir, name.as_bytes(), dir.file.link(name, &*target.file)?))
    };
    let (fd, link) = match (&dir.node, &target.node) {
        (Some(dir), Some(target)) => session.tree().write_and_read(dir, target, make)?,
        _ => make()?,
    };
    reply.message(&LinkAtResp { link })?;
    fd.commit();
    Ok(())
}

/// Makes a file called `name` in `dir`, and answers with its inode.
fn child(
    session: &Session,
    dir: &Control,
    name: Name<'_>,
    make: impl FnOnce(&dyn ControlFile) -> Result<Found>,
    answer: impl FnOnce(Inode) -> Result<()>,
) -> Result<()> {
    let ticket = session.fds.reserve()?;
    let (fd, inode) = session.change(dir, |file| Ok(ticket.child(dir, name.as_bytes(), make(file)?)))?;
    answer(inode)?;
    fd.commit();
    Ok(())
}

/// Owner and permissions of a new file that is not a directory. The type is told by the message.
///
/// Linux takes the set-group-ID bit of a program away whose creator is not in its group, as in a set-group-ID directory
/// of others. Only the client knows all of a creator's groups, and where it took the file's group from: the directory
/// may have changed since. So the bit goes in any case, as it does with the change of owner in runsc's gofer, unless
/// the client is one that has decided.
pub(super) fn new_file(session: &Session, from: &CreateCommon) -> NewFile {
    const LENDS_GROUP: u16 = SET_GID | 0o010;
    let new = common(session, from);
    if new.mode.bits() & LENDS_GROUP == LENDS_GROUP && session.options.client == ClientKind::Sandbox {
        return NewFile { mode: Mode::new(new.mode.bits() & !SET_GID), ..new };
    }
    new
}

const SET_GID: u16 = 0o2000;

fn common(session: &Session, from: &CreateCommon) -> NewFile {
    let new = NewFile::new(Mode::new(from.mode), from.uid, from.gid);
    match session.options.client {
        ClientKind::Sandbox => new,
        ClientKind::Kernel => new.masked(Mode::new(from.masked & 0o777)),
    }
}
