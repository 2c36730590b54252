//! Extended attributes: those of the namespaces `user`, `trusted` and `security`, and access control lists.
//!
//! What they mean to a kernel is the client's business, but for lists: these decide the modes of files, and new files
//! inherit them.

use std::collections::BTreeMap;

use super::control::MemControl;
use super::inode::{Inode, State};
use super::space::Space;
use super::time::Time;
use lisafs::acl::{self, AccessList};
use lisafs::backend::{Error, FileType, Mode, NewFile, Result, XattrFlags};

/// The longest name.
const MAX_NAME: usize = 255;
/// The longest value that an answer can carry.
const MAX_VALUE: usize = 65_535;
/// The longest list of names, with a NUL each, that the kernel takes.
const MAX_LIST: usize = 65_536;
/// What an attribute costs besides its name and value.
const OVERHEAD: usize = 48;

/// Names and values. Most files have none.
#[derive(Debug, Default)]
pub(super) struct Xattrs(Option<Box<Map>>);

type Map = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Bytes that an attribute counts.
fn cost(name: &[u8], value: &[u8]) -> u64 {
    (name.len() + value.len() + OVERHEAD) as u64
}

impl Xattrs {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().flat_map(|map| map.iter().map(|(name, value)| (&**name, &**value)))
    }

    fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.as_ref()?.get(name).map(|value| &**value)
    }

    /// Bytes of memory that count.
    pub(super) fn held(&self) -> u64 {
        self.iter().map(|(name, value)| cost(name, value)).sum()
    }

    fn set(&mut self, name: &[u8], value: &[u8], flags: XattrFlags, space: &Space) -> Result<()> {
        let before = match self.get(name) {
            Some(_) if flags.contains(XattrFlags::CREATE) => return Err(Error::EXIST),
            None if flags.contains(XattrFlags::REPLACE) => return Err(Error::NODATA),
            Some(before) => cost(name, before),
            None => {
                let list: usize = self.iter().map(|(name, _)| name.len() + 1).sum();
                if list + name.len() + 1 > MAX_LIST {
                    return Err(Error::NOSPC);
                }
                0
            }
        };
        let after = cost(name, value);
        space.take(after.saturating_sub(before))?;
        space.give(before.saturating_sub(after));
        self.0.get_or_insert_default().insert(name.into(), value.into());
        Ok(())
    }

    fn remove(&mut self, name: &[u8], space: &Space) -> Result<()> {
        let map = self.0.as_mut().ok_or(Error::NODATA)?;
        let value = map.remove(name).ok_or(Error::NODATA)?;
        if map.is_empty() {
            self.0 = None;
        }
        space.give(cost(name, &value));
        Ok(())
    }

    /// Sets or removes an access control list.
    fn set_list(&mut self, name: &[u8], list: Option<&AccessList>, space: &Space) -> Result<()> {
        match list {
            Some(list) => self.set(name, &list.to_value(), XattrFlags::empty(), space),
            None if self.get(name).is_some() => self.remove(name, space),
            None => Ok(()),
        }
    }

    fn list(&self, name: &[u8]) -> Option<AccessList> {
        // Nothing else is ever stored under these names.
        self.get(name).and_then(|value| AccessList::from_value(value).ok().flatten())
    }

    /// Has the access list say what the mode says that was just set.
    pub(super) fn mode_was_set(&mut self, mode: Mode) {
        let Some(mut list) = self.list(acl::ACCESS) else { return };
        list.set_mode(mode);
        if let Some(value) = self.0.as_mut().and_then(|map| map.get_mut(acl::ACCESS)) {
            // As long as before.
            *value = list.to_value().into();
        }
    }
}

/// What a new file has of the directory that it is made in.
#[derive(Default)]
pub(super) struct Inherited {
    /// The mode, if the directory's default list decides it.
    mode: Option<Mode>,
    access: Option<AccessList>,
    default: Option<AccessList>,
}

impl Inherited {
    /// What is passed on by `parent` to a new file of the type `kind`.
    pub(super) fn from(parent: &State, kind: FileType, new: &NewFile) -> Self {
        let default = if kind == FileType::Symlink { None } else { parent.xattrs.list(acl::DEFAULT) };
        let Some(default) = default else { return Inherited::default() };
        let access = default.inherited(new.unmasked_mode());
        let special = new.mode.bits() & !0o777;
        Inherited {
            mode: Some(Mode::new(special | access.mode().bits())),
            access: Some(access).filter(|list| !list.is_minimal()),
            default: Some(default).filter(|_| kind == FileType::Directory),
        }
    }

    /// Gives it to the new file, which nobody else knows yet.
    pub(super) fn give(&self, inode: &Inode) -> Result<()> {
        let Some(mode) = self.mode else { return Ok(()) };
        let mut state = inode.write();
        state.mode = mode.bits();
        let space = &inode.fs().space;
        for (name, list) in [(acl::ACCESS, &self.access), (acl::DEFAULT, &self.default)] {
            state.xattrs.set_list(name, list.as_ref(), space)?;
        }
        Ok(())
    }
}

/// What kind of attribute a name is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Of the users of a file.
    User,
    /// Of the kernel and its administrator.
    System,
    /// An access control list.
    List,
}

/// The kind of attribute that this is the name of, if files can have it.
fn check(name: &[u8]) -> Result<Kind> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Error::RANGE);
    }
    if acl::is_list(name) {
        return Ok(Kind::List);
    }
    let namespaces = [(&b"user."[..], Kind::User), (b"trusted.", Kind::System), (b"security.", Kind::System)];
    let of = namespaces.into_iter().find_map(|(prefix, kind)| Some((name.strip_prefix(prefix)?, kind)));
    match of {
        Some((b"", _)) => Err(Error::INVAL),
        Some((_, kind)) => Ok(kind),
        None => Err(Error::OPNOTSUPP),
    }
}

/// Whether a file can have attributes of users: permissions of links and special files mean something else.
fn can_have(inode: &Inode, kind: Kind) -> Result<()> {
    match kind {
        Kind::User if !inode.is(FileType::Regular) && !inode.is(FileType::Directory) => Err(Error::PERM),
        Kind::List if inode.is(FileType::Symlink) => Err(Error::OPNOTSUPP),
        Kind::User | Kind::System | Kind::List => Ok(()),
    }
}

impl MemControl {
    pub(super) fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        if check(name)? == Kind::List {
            can_have(self.inode(), Kind::List)?;
        }
        self.inode().read().xattrs.get(name).map(<[u8]>::to_vec).ok_or(Error::NODATA)
    }

    pub(super) fn put_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        let kind = check(name)?;
        if value.len() > MAX_VALUE {
            return Err(Error::TOOBIG);
        }
        if !XattrFlags::CREATE.union(XattrFlags::REPLACE).contains(flags) {
            return Err(Error::INVAL);
        }
        can_have(self.inode(), kind)?;
        if kind == Kind::List {
            return self.put_list(name, AccessList::from_value(value)?);
        }
        let mut state = self.inode().write();
        state.xattrs.set(name, value, flags, &self.inode().fs().space)?;
        state.ctime = Time::now();
        Ok(())
    }

    /// Sets a list, or removes it. A list that says no more than a mode becomes one.
    fn put_list(&self, name: &[u8], list: Option<AccessList>) -> Result<()> {
        let inode = self.inode();
        if name == acl::DEFAULT && !inode.is(FileType::Directory) {
            return if list.is_some() { Err(Error::ACCESS) } else { Ok(()) };
        }
        let mut state = inode.write();
        let is_access = name == acl::ACCESS;
        let stored = list.as_ref().filter(|list| !(is_access && list.is_minimal()));
        state.xattrs.set_list(name, stored, &inode.fs().space)?;
        if let Some(list) = list.filter(|_| is_access) {
            state.mode = state.mode & !0o777 | list.mode().bits();
        }
        state.ctime = Time::now();
        Ok(())
    }

    pub(super) fn xattr_names(&self) -> Vec<Vec<u8>> {
        self.inode().read().xattrs.iter().map(|(name, _)| name.to_vec()).collect()
    }

    pub(super) fn drop_xattr(&self, name: &[u8]) -> Result<()> {
        can_have(self.inode(), check(name)?)?;
        let mut state = self.inode().write();
        state.xattrs.remove(name, &self.inode().fs().space)?;
        state.ctime = Time::now();
        Ok(())
    }
}
