//! An encrypted volume as a backend: the plain files of what another backend has.
//!
//! A plain file is a file of the inner backend, a plain name a name there: nothing is kept elsewhere, identity, owners,
//! modes and times are those of the inner file. What a kill must not interrupt is noted first ([`redo`]). What is
//! different is in [`content`] (blocks), [`names`] and [`long`] (names), and in the initialization vector that each
//! directory has in a file of its own.
//!
//! # Locks
//!
//! In this order, and none is held while a client is waited for:
//!
//! 1. [`Volume::names`]: what takes several steps in directories (making and removing of directories, long names) has
//!    it for writing. Who finds a directory without its initialization vector looks again with it.
//! 2. [`Inode::content`](inode::Inode::content), one for each inode however many have it open: a block is read, changed
//!    and written with it, and the file id is made with it.

mod attributes;
mod buffer;
mod content;
mod control;
mod damage;
mod dir;
mod edit;
mod file;
mod fits;
mod helpers;
mod inode;
mod internal;
mod long;
mod make;
mod node;
mod open;
mod redo;
mod remove;
mod rename;
mod write;
mod xattr;

use std::sync::Arc;

use gofer::extension::Claim;
use lisafs::backend::{Attachment, Backend, ControlBox, ControlFile, Error, FileType, Found, Options, Result};
use parking_lot::RwLock;
use rayon::ThreadPool;

pub(crate) use self::fits::fits;
pub(crate) use self::node::is_internal;
pub use self::open::OpenError;
pub(crate) use self::redo::{Mend, Mends, is_note, mends};

use self::buffer::Buffers;
use self::control::Control;
use self::damage::Damage;
use self::inode::Inodes;
use self::node::Node;
use self::redo::{Noted, Notes};
use crate::format::{Keys, NameEncryption};

/// The plain files of an encrypted volume.
pub struct CryptFs {
    inner: Claim,
    volume: Arc<Volume>,
}

/// What all files of a volume need.
struct Volume {
    keys: Keys,
    /// The entry of the root that is the configuration or that it is in, if it is not outside.
    config: Option<Vec<u8>>,
    inodes: Arc<Inodes>,
    /// See the [module's documentation](self).
    names: RwLock<()>,
    buffers: Buffers,
    damage: Damage,
    /// Where changes are noted; nowhere if there are none.
    notes: Option<Notes>,
    /// What earlier changes have left to do, if this is not to be done.
    mends: Mends,
    /// Threads that help with large requests.
    helpers: Option<&'static ThreadPool>,
    /// Whether the inner backend finds whole paths by itself.
    walks_paths: bool,
}

impl CryptFs {
    /// The files that `keys` are for, below `root`.
    fn new(inner: Claim, keys: Keys, config: Option<Vec<u8>>, root: ControlBox, mends: Mends) -> Self {
        let volume = Volume {
            notes: (!inner.options.read_only).then(|| Notes::new(root)),
            mends,
            helpers: helpers::helpers(),
            walks_paths: inner.options.walk_stat,
            buffers: Buffers::new(&keys.content),
            keys,
            config,
            inodes: Arc::default(),
            names: RwLock::default(),
            damage: Damage::default(),
        };
        CryptFs { inner, volume: Arc::new(volume) }
    }
}

impl std::fmt::Debug for CryptFs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CryptFs").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Backend for CryptFs {
    fn options(&self) -> Options {
        // A descriptor of the root would show what is encrypted.
        self.inner.options.clone().donates_root(false).walk_stat(true)
    }

    fn attach(&self) -> Result<Attachment> {
        let root = self.inner.backend.attach()?.root;
        if root.stat.file_type() != Some(FileType::Directory) {
            return Err(Error::NOTDIR);
        }
        Ok(Attachment::new(self.volume.found(root, Node::root)?))
    }

    fn detach(&self) {
        if let Some(notes) = &self.volume.notes {
            notes.clear();
        }
        self.inner.backend.detach();
    }
}

impl Volume {
    /// A file of the inner backend as one of the volume.
    fn found(self: &Arc<Self>, found: Found, node: impl FnOnce(Found) -> Node) -> Result<Found> {
        let stat = self.plain(found.stat, || found.file.read_link())?;
        let node = Arc::new(node(found));
        Ok(Found::new(Control { volume: self.clone(), node }, stat))
    }

    /// Notes a change, as long as the answer lives.
    fn note(&self, bytes: &[u8]) -> Option<Noted<'_>> {
        self.notes.as_ref().map(|notes| notes.note(bytes))
    }

    /// Whether the size of a link's target can be told from what is stored.
    fn knows_sizes_of_links(&self) -> bool {
        !matches!(self.keys.names.encryption(), NameEncryption::Eme { raw64: false, .. })
    }
}

/// `file` as one of this volume; `EXDEV` if it is another's.
fn neighbour<'a>(volume: &Arc<Volume>, file: &'a dyn ControlFile) -> Result<&'a Arc<Node>> {
    let other: &Control = file.downcast()?;
    if Arc::ptr_eq(volume, &other.volume) { Ok(&other.node) } else { Err(Error::XDEV) }
}
