//! WalkStat.

use std::sync::Arc;

use super::walk::next;
use crate::backend::{ControlFile, Errno, Error, FileType, Found, Name, Result, Statx};
use crate::server::context::Context;
use crate::server::entry::Control;
use crate::server::exchange::{Reply, Request};
use crate::server::session::same_type;
use crate::server::tree::{Node, step};
use crate::wire::StringArray;
use crate::wire::message::WalkStatReq;

/// In front of the attributes: how many there are.
const HEAD: usize = 2;

pub(super) fn walk_stat(context: &mut Context<'_>, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
    let session = context.session;
    let request: WalkStatReq<'_> = request.decode()?;
    let start = session.control(request.dir)?;
    let path = Path::new(request.path);
    if !start.is_dir() && path.count > 0 {
        return Err(Error::NOTDIR);
    }
    path.check()?;
    if HEAD + request.path.len() * size_of::<Statx>() > reply.capacity() {
        return Err(Error::IO);
    }
    reply.skip(HEAD)?;
    // Of a file there is nothing to walk. Data may be on its way to it for long: that is waited for without the rename
    // lock.
    if session.options.walk_stat || !start.is_dir() {
        session.read(&start, |file| whole_path(file, &start, path, reply))?;
    } else if start.node.is_some() {
        session.tree().walk(|| steps(&start, path, reply))?;
    } else {
        steps(&start, path, reply)?;
    }
    let count = u16::try_from((reply.len() - HEAD) / size_of::<Statx>()).map_err(|_| Error::IO)?;
    reply.overwrite(0, &count)
}

/// The path of a request in two parts.
#[derive(Clone, Copy)]
struct Path<'a> {
    /// Whether the file that it starts from is wanted too.
    with_start: bool,
    /// The names behind that.
    names: StringArray<'a>,
    /// How many names there are.
    count: usize,
}

impl<'a> Path<'a> {
    /// A first empty name stands for the start.
    fn new(path: StringArray<'a>) -> Self {
        let with_start = path.iter().next().is_some_and(<[u8]>::is_empty);
        Path { with_start, names: path, count: path.len() - usize::from(with_start) }
    }

    fn names(self) -> impl Iterator<Item = Result<Name<'a>>> {
        self.names.iter().skip(usize::from(self.with_start)).map(Name::new)
    }

    fn check(self) -> Result<()> {
        self.names().try_for_each(|name| name.map(drop))
    }
}

/// Lets the backend walk all of the path.
fn whole_path(file: &dyn ControlFile, start: &Control, path: Path<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if path.with_start {
        reply.message(&same_type(file.stat()?, start.file_type)?)?;
    }
    if path.count == 0 || start.is_deleted() {
        return Ok(());
    }
    let mut room = path.count;
    let mut written = Ok(());
    file.walk_stat(&mut path.names().map_while(Result::ok), &mut |stat| {
        // More than was asked for is never answered, whatever the backend does.
        if room > 0 && written.is_ok() {
            room -= 1;
            written = reply.message(&stat);
        }
    })?;
    written
}

/// Walks one name after the other. The caller keeps renames away.
fn steps(start: &Control, path: Path<'_>, reply: &mut Reply<'_>) -> Result<()> {
    if path.with_start {
        let stat = match &start.node {
            Some(node) => step(node, || start.file.stat())?,
            None => start.file.stat()?,
        };
        reply.message(&same_type(stat, start.file_type)?)?;
    }
    let mut current: Option<(Found, Option<Arc<Node>>)> = None;
    for name in path.names() {
        let (file, node, file_type) = match &current {
            Some((found, node)) => (&*found.file, node.as_ref(), found.stat.file_type()),
            None => (&*start.file, start.node.as_ref(), start.file_type),
        };
        match file_type {
            Some(FileType::Directory) => {}
            Some(FileType::Symlink) => return Ok(()),
            _ => return Err(Error::NOTDIR),
        }
        let reached = match next(file, node, name?) {
            Ok(reached) => reached,
            Err(error) if error == Errno::NOENT => return Ok(()),
            Err(error) => return Err(error),
        };
        reply.message(&reached.0.stat)?;
        current = Some(reached);
    }
    Ok(())
}
