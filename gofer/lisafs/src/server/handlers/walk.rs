//! Walk.

use std::sync::Arc;

use crate::backend::{ControlFile, Errno, Error, FileType, Found, Name, Result};
use crate::server::context::Context;
use crate::server::entry::{Content, Control};
use crate::server::exchange::{Reply, Request};
use crate::server::session::is_dir;
use crate::server::tree::{Node, step};
use crate::wire::message::WalkReq;
use crate::wire::{Inode, StringArray, WalkStatus};

/// In front of the inodes: the status and how many there are.
const HEAD: usize = 3;

pub(super) fn walk(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: WalkReq<'_> = request.decode()?;
    let start = session.directory(request.dir)?;
    if HEAD + request.path.len() * size_of::<Inode>() > reply.capacity() {
        return Err(Error::IO);
    }
    reply.skip(HEAD)?;
    let status = match start.node {
        Some(_) => session.tree().walk(|| steps(context, &start, request.path, reply))?,
        None => steps(context, &start, request.path, reply)?,
    };
    reply.overwrite(0, &(status as u8))?;
    let count = u16::try_from(context.walked.len()).map_err(|_| Error::IO)?;
    reply.overwrite(size_of::<u8>(), &count)?;
    for fd in context.walked.drain(..) {
        fd.commit();
    }
    Ok(())
}

/// Walks one name after the other, and writes an inode for each. On an error the caller drops what was walked.
fn steps(
    context: &mut Context<'_>,
    start: &Control,
    path: StringArray<'_>,
    reply: &mut Reply<'_>,
) -> Result<WalkStatus> {
    let session = context.session;
    for name in path.iter() {
        let name = Name::new(name)?;
        let current = match context.walked.last().map(|fd| fd.entry.content()) {
            Some(Content::Control(control)) => control,
            _ => start,
        };
        match current.file_type {
            Some(FileType::Directory) => {}
            Some(FileType::Symlink) => return Ok(WalkStatus::Symlink),
            _ => return Err(Error::NOTDIR),
        }
        let ticket = session.fds.reserve()?;
        let (found, node) = match next(&*current.file, current.node.as_ref(), name) {
            Ok(next) => next,
            Err(error) if error == Errno::NOENT => return Ok(WalkStatus::DoesNotExist),
            Err(error) => return Err(error),
        };
        let (fd, inode) = ticket.control(found, node);
        context.walked.push(fd);
        reply.message(&inode)?;
    }
    Ok(WalkStatus::Success)
}

/// The entry `name` of a directory, with its node if the directory has one. The caller keeps renames away.
pub(super) fn next(
    dir: &dyn ControlFile,
    node: Option<&Arc<Node>>,
    name: Name<'_>,
) -> Result<(Found, Option<Arc<Node>>)> {
    let Some(node) = node else { return Ok((dir.walk(name)?, None)) };
    step(node, || {
        if node.is_deleted() {
            return Err(Error::NOENT);
        }
        let found = dir.walk(name)?;
        let child = Node::child(node, name.as_bytes(), is_dir(&found.stat));
        Ok((found, Some(child)))
    })
}
