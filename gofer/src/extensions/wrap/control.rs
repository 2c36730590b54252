//! Positions in a wrapped tree.

use std::os::fd::OwnedFd;
use std::sync::Arc;

#[cfg(feature = "testing")]
use super::deviation::{Deviation, copy, create_over};
use super::socket::Socket;
use super::{Call, Layer, act, around, around_bytes, swallow, wrap_found, wrap_opened};
use lisafs::backend::{
    Access, Bound, ControlBox, ControlFile, Created, Credentials, FileType, Found, Name, NewFile, OpenHow, Opened,
    RenameFlags, Result, SetStat, SetStatFailure, SocketType, StatFs, Statx, Unlink, XattrFlags,
};

/// A position: that of the inner file system.
pub(super) struct Control<L> {
    inner: ControlBox,
    layer: Arc<L>,
}

impl<L: Layer> Control<L> {
    pub(super) fn new(inner: ControlBox, layer: Arc<L>) -> Self {
        Control { inner, layer }
    }

    fn around<T>(&self, call: Call, work: impl FnOnce() -> Result<T>) -> Result<T> {
        around(&*self.layer, call, work)
    }

    /// A call whose answer is its success.
    fn act(&self, call: Call, work: impl FnOnce() -> Result<()>) -> Result<()> {
        act(&*self.layer, call, work)
    }

    /// A call that finds a file.
    fn find(&self, call: Call, work: impl FnOnce() -> Result<Found>) -> Result<Found> {
        self.around(call, work).map(|found| wrap_found(&self.layer, found))
    }

    /// A call that makes a file.
    fn make(&self, call: Call, new: &NewFile, work: impl FnOnce(&NewFile) -> Result<Found>) -> Result<Found> {
        let new = self.changed(new);
        self.find(call, || work(&new))
    }

    /// `new` as the layer wants it.
    fn changed(&self, new: &NewFile) -> NewFile {
        let mut new = *new;
        self.layer.new_file(&mut new);
        new
    }

    /// A call that gets bytes.
    fn get(&self, call: Call, work: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        let mut bytes = around_bytes(&*self.layer, call, Vec::len, work)?;
        self.layer.bytes(call, &mut bytes);
        Ok(bytes)
    }
}

impl<L: Layer> ControlFile for Control<L> {
    fn stat(&self) -> Result<Statx> {
        let mut stat = self.around(Call::Stat, || self.inner.stat())?;
        self.layer.stat(&mut stat);
        Ok(stat)
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        self.find(Call::Walk, || self.inner.walk(name))
    }

    fn open(&self, how: OpenHow) -> Result<Opened> {
        #[cfg(feature = "testing")]
        let how = how.no_atime(how.no_atime && !self.layer.deviates(Deviation::ChangeAtime));
        self.around(Call::Open, || self.inner.open(how)).map(|opened| wrap_opened(&self.layer, opened))
    }

    fn walk_stat(&self, path: &mut dyn Iterator<Item = Name<'_>>, visit: &mut dyn FnMut(Statx)) -> Result<()> {
        let mut visit = |mut stat| {
            self.layer.stat(&mut stat);
            visit(stat);
        };
        self.around(Call::WalkStat, || self.inner.walk_stat(path, &mut visit))
    }

    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        let wanted = change.mask();
        let mut change = *change;
        self.layer.set_stat(&mut change);
        // What the inner file system could not set, or everything if it was not asked.
        let mut mask = wanted;
        let outcome = self.act(Call::SetStat, || {
            self.inner.set_stat(&change).map_err(|failure| {
                mask = failure.mask;
                failure.error
            })
        });
        outcome.map_err(|error| SetStatFailure::new(mask, error))
    }

    fn create(&self, name: Name<'_>, new: &NewFile, access: Access) -> Result<Created> {
        let new = self.changed(new);
        let created = self.around(Call::Create, || {
            #[cfg(feature = "testing")]
            if self.layer.deviates(Deviation::CreateOver) {
                return create_over(&*self.inner, name, &new, access);
            }
            self.inner.create(name, &new, access)
        })?;
        Ok(Created::new(wrap_found(&self.layer, created.found), wrap_opened(&self.layer, created.opened)))
    }

    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        self.make(Call::Mkdir, new, |new| self.inner.mkdir(name, new))
    }

    fn mknod(&self, name: Name<'_>, new: &NewFile, file_type: FileType, device: (u32, u32)) -> Result<Found> {
        self.make(Call::Mknod, new, |new| self.inner.mknod(name, new, file_type, device))
    }

    fn symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        self.make(Call::Symlink, new, |new| self.inner.symlink(name, target, new))
    }

    fn link(&self, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
        let target: &Self = target.downcast()?;
        self.find(Call::Link, || {
            #[cfg(feature = "testing")]
            if self.layer.deviates(Deviation::CopyLinks) {
                return copy(&*self.inner, name, &*target.inner);
            }
            self.inner.link(name, &*target.inner)
        })
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        self.act(Call::Unlink, || self.inner.unlink(name, what))
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let new_dir: &Self = new_dir.downcast()?;
        let flags = self.layer.rename(flags);
        self.act(Call::Rename, || self.inner.rename(name, &*new_dir.inner, new_name, flags))
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        self.get(Call::ReadLink, || self.inner.read_link())
    }

    fn stat_fs(&self) -> Result<StatFs> {
        let mut stat = self.around(Call::StatFs, || self.inner.stat_fs())?;
        self.layer.stat_fs(&mut stat);
        Ok(stat)
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.get(Call::GetXattr, || self.inner.get_xattr(name))
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        let outcome = around_bytes(
            &*self.layer,
            Call::SetXattr,
            |()| value.len(),
            || if self.layer.skips(Call::SetXattr) { Ok(()) } else { self.inner.set_xattr(name, value, flags) },
        );
        swallow(&*self.layer, outcome)
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>> {
        let bytes = |names: &Vec<Vec<u8>>| names.iter().map(Vec::len).sum();
        let mut names = around_bytes(&*self.layer, Call::ListXattr, bytes, || self.inner.list_xattr())?;
        self.layer.xattr_names(&mut names);
        Ok(names)
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        self.act(Call::RemoveXattr, || self.inner.remove_xattr(name))
    }

    fn connect(&self, kind: Option<SocketType>, credentials: Option<Credentials>) -> Result<OwnedFd> {
        self.around(Call::Connect, || self.inner.connect(kind, credentials))
    }

    fn bind(&self, name: Name<'_>, new: &NewFile, kind: SocketType) -> Result<Bound> {
        let new = self.changed(new);
        let bound = self.around(Call::Bind, || self.inner.bind(name, &new, kind))?;
        let socket = Box::new(Socket::new(bound.socket, self.layer.clone()));
        Ok(Bound::new(wrap_found(&self.layer, bound.found), socket, bound.donated))
    }
}
