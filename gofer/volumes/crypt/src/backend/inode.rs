//! What the opens of one file share.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use lisafs::backend::{OpenFile, Result};
use parking_lot::{Mutex, RwLock};

use super::Volume;
use super::node::Identity;
use crate::format::{FileId, HEADER_LEN};

/// The files that somebody uses.
#[derive(Debug, Default)]
pub(super) struct Inodes(Mutex<HashMap<Identity, Weak<Inode>>>);

/// A file that somebody uses, and so holds: its number stands for it as long as this lives.
#[derive(Debug)]
pub(super) struct Inode {
    identity: Identity,
    home: Arc<Inodes>,
    /// Held to change the content, and shared to read it.
    pub(super) content: RwLock<()>,
    /// What the header has, if that is known. It changes only with [`content`](Self::content) held.
    id: Mutex<Option<FileId>>,
}

impl Inodes {
    /// What all who use this file share.
    pub(super) fn get(self: &Arc<Self>, identity: Identity) -> Arc<Inode> {
        let mut inodes = self.0.lock();
        if let Some(inode) = inodes.get(&identity).and_then(Weak::upgrade) {
            return inode;
        }
        let inode = Inode { identity, home: self.clone(), content: RwLock::default(), id: Mutex::default() };
        let inode = Arc::new(inode);
        inodes.insert(identity, Arc::downgrade(&inode));
        inode
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        let mut inodes = self.home.0.lock();
        // Somebody may have come meanwhile and found this one gone.
        if inodes.get(&self.identity).is_some_and(|inode| inode.strong_count() == 0) {
            inodes.remove(&self.identity);
        }
    }
}

impl Inode {
    /// The file id in the header; `None` if the file is empty. With [`content`](Self::content) held.
    pub(super) fn id(&self, volume: &Volume, inner: &dyn OpenFile) -> Result<Option<FileId>> {
        let known = *self.id.lock();
        if known.is_some() { Ok(known) } else { self.stored_id(volume, inner) }
    }

    /// The same as it is in the header now, whatever is known. Another process may have made the file anew, such as the
    /// volume server that this one takes the place of: blocks with the former id would never be read again.
    pub(super) fn stored_id(&self, volume: &Volume, inner: &dyn OpenFile) -> Result<Option<FileId>> {
        let mut header = [0; HEADER_LEN];
        let len = inner.read_at((&mut header[..]).into(), 0)?;
        if len == 0 {
            self.set_id(None);
            return Ok(None);
        }
        let id = FileId::parse(&header[..len]).map_err(|error| volume.damage.error(|| self.tell(error)))?;
        self.set_id(Some(id));
        Ok(Some(id))
    }

    /// Notes what the header has now. With [`content`](Self::content) held.
    pub(super) fn set_id(&self, id: Option<FileId>) {
        *self.id.lock() = id;
    }

    /// What is wrong with this file, for the log.
    pub(super) fn tell(&self, what: impl std::fmt::Display) -> String {
        format!("the file with inode number {}: {what}", self.identity.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_use_a_file_share_it_as_long_as_somebody_does() {
        let inodes = Arc::<Inodes>::default();
        let (one, other) = (inodes.get((0, 1, 7)), inodes.get((0, 1, 7)));
        assert!(Arc::ptr_eq(&one, &other));
        assert!(!Arc::ptr_eq(&one, &inodes.get((0, 2, 7))));
        drop((one, other));
        assert!(inodes.0.lock().is_empty());
    }
}
