//! Extended attributes.

use std::sync::Arc;

use crate::node::Node;
use crate::record::{S_IFDIR, S_IFREG};
use crate::volume::{Volume, now};
use crate::{Errno, key};

/// The longest name.
const MAX_NAME: usize = 255;
/// The longest value that an answer can carry.
const MAX_VALUE: usize = 65_535;
/// The longest list of names, with a NUL each, that the kernel takes.
const MAX_LIST: usize = 65_536;

/// What may be there before an attribute is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Anything.
    Whatever,
    /// No attribute of that name.
    Nothing,
    /// An attribute of that name.
    Something,
}

/// Whether this is the name of an attribute that files can have.
fn check(name: &[u8]) -> Result<(), Errno> {
    match name.strip_prefix(b"user.") {
        _ if name.is_empty() || name.len() > MAX_NAME => Err(Errno::RANGE),
        Some(b"") => Err(Errno::INVAL),
        Some(_) => Ok(()),
        None => Err(Errno::OPNOTSUPP),
    }
}

impl Volume {
    /// The value of an attribute.
    pub(crate) fn xattr(&self, node: &Node, name: &[u8]) -> Result<Vec<u8>, Errno> {
        // There are none of this namespace, and kernels ask before each write: a refusal would mean more.
        if name.starts_with(b"security.") {
            return Err(Errno::NODATA);
        }
        check(name)?;
        if node.lock().inode.xattrs == 0 {
            return Err(Errno::NODATA);
        }
        self.raw(&key::xattr(node.ino, name))?.ok_or(Errno::NODATA)
    }

    fn raw(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
        match self.overlay.get(key) {
            Some(change) => Ok(change),
            None => {
                self.check()?;
                Ok(self.wait(self.meta.get(key))?.map(|value| value.to_vec()))
            }
        }
    }

    /// Sets an attribute.
    pub(crate) fn set_xattr(&self, node: &Arc<Node>, name: &[u8], value: &[u8], before: Before) -> Result<(), Errno> {
        check(name)?;
        if value.len() > MAX_VALUE {
            return Err(Errno::TOOBIG);
        }
        if !can_have(node) {
            return Err(Errno::PERM);
        }
        self.throttle()?;
        let key = key::xattr(node.ino, name);
        self.raw(&key)?;
        let _names = self.names.lock();
        let exists = self.raw(&key)?.is_some();
        match (before, exists) {
            (Before::Nothing, true) => return Err(Errno::EXIST),
            (Before::Something, false) => return Err(Errno::NODATA),
            _ => {}
        }
        if !exists {
            let list: usize = self.xattr_names(node)?.iter().map(|name| name.len() + 1).sum();
            if list + name.len() + 1 > MAX_LIST {
                return Err(Errno::NOSPC);
            }
        }
        let _barrier = self.barrier.read();
        self.change_metadata([(key, Some(value.to_vec()))]);
        self.xattrs_changed(node, i32::from(!exists));
        Ok(())
    }

    /// Removes an attribute.
    pub(crate) fn remove_xattr(&self, node: &Arc<Node>, name: &[u8]) -> Result<(), Errno> {
        check(name)?;
        if !can_have(node) {
            return Err(Errno::PERM);
        }
        self.throttle()?;
        let key = key::xattr(node.ino, name);
        let _names = self.names.lock();
        if node.lock().inode.xattrs == 0 || self.raw(&key)?.is_none() {
            return Err(Errno::NODATA);
        }
        let _barrier = self.barrier.read();
        self.change_metadata([(key, None)]);
        self.xattrs_changed(node, -1);
        Ok(())
    }

    /// The names of all attributes.
    pub(crate) fn xattr_names(&self, node: &Node) -> Result<Vec<Vec<u8>>, Errno> {
        if node.lock().inode.xattrs == 0 {
            return Ok(Vec::new());
        }
        let mut names = Vec::new();
        let mut range = key::xattrs(node.ino);
        loop {
            let page = self.scan(&range, 1024)?;
            names.extend(page.records.iter().filter_map(|(key, _)| key::xattr_of(key)).map(|(_, name)| name.to_vec()));
            match page.next {
                Some(next) => range.start = next,
                None => return Ok(names),
            }
        }
    }

    /// Counts attributes. The caller holds the barrier.
    fn xattrs_changed(&self, node: &Arc<Node>, by: i32) {
        let mut state = node.lock();
        state.inode.xattrs = state.inode.xattrs.saturating_add_signed(by);
        state.inode.ctime = now();
        drop(state);
        self.changed(node);
    }
}

/// Whether a file can have attributes at all: permissions of links and special files mean something else.
fn can_have(node: &Node) -> bool {
    let inode = &node.lock().inode;
    inode.is(S_IFREG) || inode.is(S_IFDIR)
}
