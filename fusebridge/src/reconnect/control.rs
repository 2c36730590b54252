//! Positions.

use std::sync::Arc;

use lisafs::Errno;
use lisafs::backend::{
    Access, ControlFile, Created, FileType, Found, Name, NewFile, OpenHow, Opened, RenameFlags, Result, SetStat,
    SetStatFailure, StatFs, Statx, Unlink, XattrFlags,
};
use lisafs::client::Client;
use lisafs::wire::{CreateCommon, FdId, Inode};
use parking_lot::Mutex;

use super::identity::Identity;
use super::link::{Held, Link, Session};
use super::open::Open;
use super::outcome::{self, At, Outcome};
use super::places::{PlaceId, ROOT};

/// A control FD of each connection on which it was needed.
pub(super) struct Control {
    link: Arc<Link>,
    place: PlaceId,
    /// Its inode number, as it is told.
    number: u64,
    held: Mutex<Option<Held>>,
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Some(held) = self.held.get_mut().take() {
            self.link.close(held);
        }
        self.link.places.lock().release(self.place);
    }
}

impl Control {
    /// The root.
    pub(super) fn root(link: &Arc<Link>) -> Self {
        let mut places = link.places.lock();
        places.hold(ROOT);
        Control { link: link.clone(), place: ROOT, number: places.number(ROOT), held: Mutex::new(None) }
    }

    /// The control FD on this connection.
    fn fd(&self, session: &Session) -> Result<FdId> {
        if self.place == ROOT {
            return session.root();
        }
        let mut held = self.held.lock();
        match &*held {
            Some(held) if held.generation == session.generation => Ok(held.fd),
            _ => {
                let fd = self.link.find(session, self.place)?;
                *held = Some(Held { generation: session.generation, fd });
                Ok(fd)
            }
        }
    }

    /// The file `name` in this directory, which was found or made on this connection.
    fn found(&self, session: &Session, name: Name<'_>, inode: &Inode) -> Found {
        let (place, number) = {
            let mut places = self.link.places.lock();
            let place = places.enter((self.place, name.as_bytes()), Identity::of(&inode.stat));
            (place, places.number(place))
        };
        let held = Held { generation: session.generation, fd: inode.control_fd };
        let file = Control { link: self.link.clone(), place, number, held: Mutex::new(Some(held)) };
        Found::new(file, Statx { ino: number, ..inode.stat })
    }

    /// Makes `new` of type `file_type` in this directory.
    fn make(
        &self,
        name: Name<'_>,
        (new, file_type): (&NewFile, FileType),
        make: impl Fn(&Client, FdId) -> std::result::Result<Inode, Errno>,
    ) -> Result<Found> {
        let (session, inode) = self.link.change(
            |session| self.fd(session),
            make,
            |session, dir| at(session, dir, name).made(file_type, new, self.link.is_exclusive),
        )?;
        Ok(self.found(&session, name, &inode))
    }

    /// Which file `name` in this directory is, as far as it is known or the server says.
    fn identity_of(&self, name: Name<'_>) -> Result<Option<Identity>> {
        if let Some(known) = self.link.places.lock().identity_at((self.place, name.as_bytes())) {
            return Ok(Some(known));
        }
        let (_, stat) = self.link.ask(|session| at(session, self.fd(session)?, name).stat())?;
        Ok(stat.map(|stat| Identity::of(&stat)))
    }

    /// Asks something that can be asked again.
    fn ask<T>(&self, ask: impl Fn(&Client, FdId) -> std::result::Result<T, Errno>) -> Result<T> {
        self.link.ask(|session| Ok(ask(&session.client, self.fd(session)?)?)).map(|(_, answer)| answer)
    }
}

fn at<'a>(session: &'a Session, dir: FdId, name: Name<'a>) -> At<'a> {
    At { client: &session.client, dir, name: name.as_bytes() }
}

fn common(dir: FdId, new: &NewFile, file_type: Option<FileType>) -> CreateCommon {
    let mode = new.mode.bits() | file_type.map_or(0, FileType::bits);
    CreateCommon::new(dir, new.uid, new.gid, mode).masked(new.masked.bits())
}

impl ControlFile for Control {
    fn stat(&self) -> Result<Statx> {
        self.ask(|client, fd| client.fstat(fd)).map(|stat| Statx { ino: self.number, ..stat })
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        let lookup = |session: &Session| Ok(session.client.lookup(self.fd(session)?, name.as_bytes())?);
        let (session, inode) = self.link.ask(lookup)?;
        Ok(self.found(&session, name, &inode))
    }

    fn walk_stat(&self, path: &mut dyn Iterator<Item = Name<'_>>, visit: &mut dyn FnMut(Statx)) -> Result<()> {
        let names: Vec<&[u8]> = path.map(Name::as_bytes).collect();
        let stats = self.ask(|client, fd| client.walk_stat(fd, &names))?;
        let numbered: Vec<Statx> = {
            let mut places = self.link.places.lock();
            stats.into_iter().map(|stat| Statx { ino: places.number_of(&Identity::of(&stat)), ..stat }).collect()
        };
        numbered.into_iter().for_each(visit);
        Ok(())
    }

    fn open(&self, how: OpenHow) -> Result<Opened> {
        let open = |session: &Session| Ok(session.client.open_at(self.fd(session)?, how.flags())?);
        let (session, (fd, donated)) = self.link.ask(open)?;
        Ok(Open::opened(&self.link, &session, self.place, how, (fd, donated)))
    }

    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        let answer = self.ask(|client, fd| client.set_stat(fd, change));
        answer.unwrap_or_else(|error| Err(SetStatFailure::new(change.mask(), error)))
    }

    fn create(&self, name: Name<'_>, new: &NewFile, access: Access) -> Result<Created> {
        let (session, (inode, fd, donated)) = self.link.change(
            |session| self.fd(session),
            |client, dir| client.open_create_at(common(dir, new, None), access.flags(), name.as_bytes()),
            |session, dir| at(session, dir, name).created(access, new, self.link.is_exclusive),
        )?;
        let found = self.found(&session, name, &inode);
        let place = found.file.downcast::<Control>()?.place;
        let opened = Open::opened(&self.link, &session, place, OpenHow::new(access), (fd, donated));
        Ok(Created::new(found, opened))
    }

    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        let what = (new, FileType::Directory);
        self.make(name, what, |client, dir| client.mkdir_at(common(dir, new, None), name.as_bytes()))
    }

    fn mknod(&self, name: Name<'_>, new: &NewFile, file_type: FileType, device: (u32, u32)) -> Result<Found> {
        let (major, minor) = device;
        self.make(name, (new, file_type), |client, dir| {
            client.mknod_at(common(dir, new, Some(file_type)), minor, major, name.as_bytes())
        })
    }

    fn symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        let (session, inode) = self.link.change(
            |session| self.fd(session),
            |client, dir| client.symlink_at(dir, new.uid, new.gid, name.as_bytes(), target),
            |session, dir| at(session, dir, name).linked_to(target, new),
        )?;
        Ok(self.found(&session, name, &inode))
    }

    fn link(&self, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
        let target: &Self = target.downcast()?;
        let identity = self.link.places.lock().identity(target.place);
        let (session, inode) = self.link.change(
            |session| Ok((self.fd(session)?, target.fd(session)?)),
            |client, (dir, target)| client.link_at(dir, target, name.as_bytes()),
            |session, (dir, _)| at(session, dir, name).linked(&identity),
        )?;
        Ok(self.found(&session, name, &inode))
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        let identity = self.identity_of(name)?;
        self.link.change(
            |session| self.fd(session),
            |client, dir| client.unlink_at(dir, name.as_bytes(), what),
            |session, dir| at(session, dir, name).removed(identity.as_ref()),
        )?;
        self.link.places.lock().removed((self.place, name.as_bytes()));
        Ok(())
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let new_dir: &Self = new_dir.downcast()?;
        let (from, to) = ((self.place, name.as_bytes()), (new_dir.place, new_name.as_bytes()));
        let exchange = flags == RenameFlags::Exchange;
        let source = self.identity_of(name)?;
        let target = if exchange { new_dir.identity_of(new_name)? } else { None };
        let renamed = self.link.change(
            |session| Ok((self.fd(session)?, new_dir.fd(session)?)),
            |client, (dir, new_dir)| client.rename_at(dir, from.1, new_dir, to.1, flags.bits()),
            |session, (dir, new_dir)| {
                let now = [at(session, dir, name).stat()?, at(session, new_dir, new_name).stat()?];
                Ok(outcome::renamed(flags, [source.as_ref(), target.as_ref()], now.each_ref().map(Option::as_ref)))
            },
        );
        match renamed {
            Ok(_) => self.link.places.lock().renamed(from, to, exchange),
            Err(error) if error == Errno::IO => {
                self.link.places.lock().may_be_renamed(from, to, exchange);
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        self.ask(|client, fd| client.read_link_at(fd))
    }

    fn stat_fs(&self) -> Result<StatFs> {
        self.ask(|client, fd| client.fstatfs(fd))
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.ask(|client, fd| client.get_xattr(fd, name, 0))
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        if flags.contains(XattrFlags::CREATE) {
            // If it was there the second time, who has made it?
            let made = self.link.change(
                |session| self.fd(session),
                |client, fd| client.set_xattr(fd, name, value, flags.bits()),
                |session, fd| match session.client.get_xattr(fd, name, 0) {
                    Ok(now) if now == value => Ok(Outcome::Done(())),
                    Ok(_) | Err(Errno::NODATA) => Ok(Outcome::NotDone),
                    Err(errno) => Err(errno.into()),
                },
            );
            return made.map(drop);
        }
        self.ask(|client, fd| client.set_xattr(fd, name, value, flags.bits()))
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>> {
        self.ask(|client, fd| client.list_xattr(fd, 0))
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let removed = self.link.change(
            |session| self.fd(session),
            |client, fd| client.remove_xattr(fd, name),
            |session, fd| match session.client.get_xattr(fd, name, 0) {
                Err(Errno::NODATA) => Ok(Outcome::Done(())),
                Ok(_) => Ok(Outcome::NotDone),
                Err(errno) => Err(errno.into()),
            },
        );
        removed.map(drop)
    }
}
