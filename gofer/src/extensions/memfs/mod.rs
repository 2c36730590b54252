//! A file system in memory.
//!
//! Everything of a local file system is there: all types of files, hard links, sparse files, preallocation, extended
//! attributes, access control lists, quotas. What differs from others, or is left open by POSIX:
//!
//! * **Space** is counted as memory that is held, not as bytes of files: holes cost nothing. Small files are counted in
//!   bytes, larger ones in pages, as `tmpfs` does. Extended attributes and the targets of symbolic links count too.
//!   Files themselves are limited in number; each further link of a file counts as one, since it costs as much.
//! * **Reserved space** (`fallocate`) is set aside within the limit. The machine's memory is only taken by writing.
//! * **Access times** are updated as with `relatime`: if the file was changed since it was last read, or once a day.
//! * **Special files** can be made and looked at, not opened: that is for the client's kernel. A sandbox's kernel asks
//!   the server to open them, and does better with [`MemOptions::special`] off: then it uses FIFOs and sockets of its
//!   own.
//! * **Identity**: inode numbers count upwards from 1, the root's, and are never used again. Each file system has a
//!   device number of its own, outside of what the host's kernel uses.
//! * **Who asks** does not matter. Permissions, sticky directories, the clearing of set-id bits by writing and the
//!   inheritance of groups are the client's business, which has the credentials.
//!
//! What it expects from the process is that `SIGXFSZ` is ignored if there is an `RLIMIT_FSIZE`: content is in files of
//! the kernel's, to which the limit applies.
//!
//! # Locks
//!
//! Each inode has a lock, which guards all that changes of it: attributes, content, entries. A thread takes locks in
//! this order only:
//!
//! 1. the mutex of the file system that lets one rename run at a time;
//! 2. directories, each before its children;
//! 3. one file that is no directory; only a rename, of which there is one at a time, takes two;
//! 4. the list of free slots, under which nothing else is done.
//!
//! A child is locked while its directory is, so that it is still the child. A rename may need two directories: if one
//! is below the other it comes second, and else the order does not matter. Only renames move directories, so what a
//! rename finds out about the way from one directory to another stays true while it runs. A directory that is to be
//! moved, or replaced, is never above one of the two: that is an error, and found out without locking it. So whoever
//! waits for a directory holds only directories that are not below it, whatever the tree looks like, but for a rename
//! between unrelated directories, and a circle of waiting threads would need two of these.
//!
//! What is dropped under a lock takes at most the last one, and nothing here is recursive: clients make trees as deep
//! as they like.

mod allocate;
mod attributes;
mod content;
mod control;
mod dir;
mod extension;
mod inode;
mod make;
mod open;
mod options;
mod remove;
mod rename;
mod slot;
mod small;
mod space;
mod store;
#[cfg(test)]
mod tests;
mod time;
mod xattr;

pub use extension::MemExtension;
pub use options::{MemOptions, MemOptionsError};

use std::collections::hash_map::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use self::control::MemControl;
use self::inode::{Inode, Owner};
use self::space::Space;
use self::store::Store;
use lisafs::backend::{Attachment, Backend, Found, Mode, NO_ID, NewFile, Options, Result};

/// A file system in memory. Connections that serve the same one see the same files.
pub struct MemFs {
    root: Arc<Inode>,
}

/// What all files of one [`MemFs`] share.
struct Shared {
    options: MemOptions,
    space: Space,
    store: Store,
    /// Held while a file is renamed.
    renames: Mutex<()>,
    /// Makes the positions of entries in directories, so that clients cannot make them collide.
    hasher: RandomState,
    next_ino: AtomicU64,
    /// Minor number of the device.
    device: u32,
}

/// The kernel's own minor numbers have 20 bits; ours are beyond, so that a client which sees host files besides never
/// takes one for the other.
static NEXT_DEVICE: AtomicU32 = AtomicU32::new(1 << 20);

impl MemFs {
    /// An empty file system. Fails if the process may not have the descriptors that hold its memory.
    pub fn new(options: MemOptions) -> Result<Self> {
        let root = NewFile::new(Mode::new(options.mode), options.uid, options.gid);
        let fs = Arc::new(Shared {
            space: Space::new(options.size, options.inodes),
            store: Store::new()?,
            options,
            renames: Mutex::new(()),
            hasher: RandomState::new(),
            next_ino: AtomicU64::new(1),
            device: NEXT_DEVICE.fetch_add(1, Ordering::Relaxed),
        });
        Ok(MemFs { root: Inode::root(&fs, &root) })
    }
}

impl Shared {
    /// The owner of a new file.
    fn owner(&self, new: &NewFile) -> Owner {
        let or = |id, own| if id == NO_ID { own } else { id };
        Owner { uid: or(new.uid, self.options.uid), gid: or(new.gid, self.options.gid) }
    }
}

impl Backend for MemFs {
    fn options(&self) -> Options {
        Options::default().read_only(self.root.fs().options.read_only).walk_stat(true).fds_are_descriptors(false)
    }

    fn attach(&self) -> Result<Attachment> {
        let stat = self.root.stat();
        Ok(Attachment::new(Found::new(MemControl::new(self.root.clone()), stat)))
    }
}
