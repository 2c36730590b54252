//! Extended attributes: those of the namespace `user`.
//!
//! Others are refused. But there are none of the namespace `security`, and who asks is told so: kernels do ask, before
//! programs are run and files are written, and take a refusal for more than it is.

use std::collections::BTreeMap;

use super::control::MemControl;
use super::inode::Inode;
use super::space::Space;
use super::time::Time;
use lisafs::backend::{Error, FileType, Result, XattrFlags};

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
}

/// Whether this is the name of an attribute that files can have.
fn check(name: &[u8]) -> Result<()> {
    match name.strip_prefix(b"user.") {
        _ if name.is_empty() || name.len() > MAX_NAME => Err(Error::RANGE),
        Some(b"") => Err(Error::INVAL),
        Some(_) => Ok(()),
        None => Err(Error::OPNOTSUPP),
    }
}

/// Whether a file can have attributes at all: permissions of links and special files mean something else.
fn has_xattrs(inode: &Inode) -> bool {
    inode.is(FileType::Regular) || inode.is(FileType::Directory)
}

impl MemControl {
    pub(super) fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        if name.starts_with(b"security.") {
            return Err(Error::NODATA);
        }
        check(name)?;
        self.inode().read().xattrs.get(name).map(<[u8]>::to_vec).ok_or(Error::NODATA)
    }

    pub(super) fn put_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        check(name)?;
        if value.len() > MAX_VALUE {
            return Err(Error::TOOBIG);
        }
        if !XattrFlags::CREATE.union(XattrFlags::REPLACE).contains(flags) {
            return Err(Error::INVAL);
        }
        if !has_xattrs(self.inode()) {
            return Err(Error::PERM);
        }
        let mut state = self.inode().write();
        state.xattrs.set(name, value, flags, &self.inode().fs().space)?;
        state.ctime = Time::now();
        Ok(())
    }

    pub(super) fn xattr_names(&self) -> Vec<Vec<u8>> {
        self.inode().read().xattrs.iter().map(|(name, _)| name.to_vec()).collect()
    }

    pub(super) fn drop_xattr(&self, name: &[u8]) -> Result<()> {
        check(name)?;
        if !has_xattrs(self.inode()) {
            return Err(Error::PERM);
        }
        let mut state = self.inode().write();
        state.xattrs.remove(name, &self.inode().fs().space)?;
        state.ctime = Time::now();
        Ok(())
    }
}
