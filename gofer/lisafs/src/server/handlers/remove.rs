//! UnlinkAt, RenameAt and RenameAt2.

use crate::backend::{ClientKind, Error, Name, RenameFlags, Result, Unlink};
use crate::server::context::Context;
use crate::server::entry::Control;
use crate::server::exchange::{Reply, Request};
use crate::server::session::{Session, place};
use crate::server::tree;
use crate::wire::FdId;
use crate::wire::message::{RenameAt2Req, RenameAtReq, UnlinkAtReq};

pub(super) fn unlink(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    const REMOVE_DIRECTORY: u32 = rustix::fs::AtFlags::REMOVEDIR.bits();

    let session = context.session;
    let request: UnlinkAtReq<'_> = request.decode()?;
    let name = Name::new(request.name)?;
    let dir = session.directory(request.dir)?;
    let what = match request.flags {
        0 => Unlink::File,
        REMOVE_DIRECTORY => Unlink::Directory,
        _ => return Err(Error::INVAL),
    };
    let Some(place) = place(&dir, name.as_bytes()) else { return dir.file.unlink(name, what) };
    session.tree().write_with_child(place, || {
        if dir.is_deleted() {
            return Err(Error::INVAL);
        }
        dir.file.unlink(name, what)?;
        tree::removed(place);
        Ok(())
    })
}

pub(super) fn rename(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    let request: RenameAtReq<'_> = request.decode()?;
    let RenameAtReq { old_dir, new_dir, old_name, new_name } = request;
    Rename::new(context.session, (old_dir, old_name), (new_dir, new_name))?.run(RenameFlags::Replace)
}

pub(super) fn rename_with_flags(context: &mut Context<'_>, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
    const NO_REPLACE: u32 = rustix::fs::RenameFlags::NOREPLACE.bits();
    const EXCHANGE: u32 = rustix::fs::RenameFlags::EXCHANGE.bits();
    const WHITEOUT: u32 = rustix::fs::RenameFlags::WHITEOUT.bits();
    const WHITEOUT_NO_REPLACE: u32 = WHITEOUT | NO_REPLACE;

    let request: RenameAt2Req<'_> = request.decode()?;
    let RenameAt2Req { old_dir, new_dir, old_name, new_name, flags } = request;
    let rename = Rename::new(context.session, (old_dir, old_name), (new_dir, new_name))?;
    let flags = match flags {
        0 => RenameFlags::Replace,
        NO_REPLACE => RenameFlags::NoReplace,
        EXCHANGE => RenameFlags::Exchange,
        WHITEOUT => RenameFlags::Whiteout,
        WHITEOUT_NO_REPLACE => RenameFlags::WhiteoutNoReplace,
        _ => return Err(Error::INVAL),
    };
    // A whiteout is more than a rename.
    if flags.leaves_whiteout() && context.session.options.client == ClientKind::Sandbox {
        return Err(Error::INVAL);
    }
    rename.run(flags)
}

/// A rename whose names and directories are checked.
struct Rename<'a, D> {
    session: &'a Session,
    from: (D, Name<'a>),
    to: (D, Name<'a>),
}

impl<'a> Rename<'a, crate::server::entry::Held<Control>> {
    fn new(session: &'a Session, from: (FdId, &'a [u8]), to: (FdId, &'a [u8])) -> Result<Self> {
        let (old_name, new_name) = (Name::new(from.1)?, Name::new(to.1)?);
        let (old_dir, new_dir) = (session.control(from.0)?, session.control(to.0)?);
        if !old_dir.is_dir() || !new_dir.is_dir() {
            return Err(Error::NOTDIR);
        }
        Ok(Rename { session, from: (old_dir, old_name), to: (new_dir, new_name) })
    }

    fn run(self, flags: RenameFlags) -> Result<()> {
        let Rename { session, from: (old_dir, old_name), to: (new_dir, new_name) } = self;
        let call = || old_dir.file.rename(old_name, &*new_dir.file, new_name, flags);
        let (Some(from), Some(to)) = (place(&old_dir, old_name.as_bytes()), place(&new_dir, new_name.as_bytes()))
        else {
            return call();
        };
        session.tree().rename(from, to, flags == RenameFlags::Exchange, |known| {
            if old_dir.is_deleted() || new_dir.is_deleted() {
                return Err(Error::INVAL);
            }
            // Renaming one name of a file to another name of the same file does nothing.
            let no_change = known.same || known.any && one_file((&old_dir, old_name), (&new_dir, new_name));
            call()?;
            match flags {
                _ if no_change => {}
                RenameFlags::Exchange => tree::exchanged(from, to),
                _ => tree::renamed(from, to),
            }
            Ok(())
        })
    }
}

/// Whether both names exist and are links of one file.
fn one_file(one: (&Control, Name<'_>), other: (&Control, Name<'_>)) -> bool {
    let identity = |(dir, name): (&Control, Name<'_>)| {
        dir.file.walk(name).ok().map(|found| (found.stat.dev_major, found.stat.dev_minor, found.stat.ino))
    };
    let one = identity(one);
    one.is_some() && one == identity(other)
}
