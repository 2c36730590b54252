//! A volume as a backend: what clients ask for, in the volume's terms.

mod attributes;
mod control;
mod file;

use std::sync::Arc;

use lisafs::backend::{Attachment, Backend, Found, Options, Result, Statx, StatxMask, StatxTimestamp};

use self::control::Control;
use crate::node::{Node, ROOT};
use crate::open::Opened;
use crate::record::{Inode, S_IFDIR, Time};
use crate::volume::Volume;

/// Bytes that an entry adds to the size of its directory.
const ENTRY_SIZE: u64 = 32;

/// A volume that connections are served from. They all see the same files.
pub struct BlobFs {
    opened: Arc<Opened>,
}

impl BlobFs {
    /// Serves `opened`.
    pub fn new(opened: Opened) -> Self {
        BlobFs { opened: Arc::new(opened) }
    }

    #[cfg(test)]
    pub(crate) fn volume(&self) -> &Arc<Volume> {
        self.opened.volume()
    }
}

impl std::fmt::Debug for BlobFs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlobFs").finish_non_exhaustive()
    }
}

impl Backend for BlobFs {
    fn options(&self) -> Options {
        Options::default().read_only(self.opened.volume().options.read_only).walk_stat(true).fds_are_descriptors(false)
    }

    fn attach(&self) -> Result<Attachment> {
        let node = self.opened.volume().node(ROOT)?;
        Ok(Attachment::new(found(File::new(&self.opened, node))?))
    }
}

/// A file that a client has.
#[derive(Clone)]
struct File {
    /// Keeps the volume open.
    opened: Arc<Opened>,
    node: Arc<Node>,
}

impl File {
    fn new(opened: &Arc<Opened>, node: Arc<Node>) -> Self {
        File { opened: opened.clone(), node }
    }

    fn volume(&self) -> &Arc<Volume> {
        self.opened.volume()
    }

    /// Another file of the same volume.
    fn other(&self, node: Arc<Node>) -> File {
        Self::new(&self.opened, node)
    }

    fn stat(&self) -> Result<Statx> {
        let volume = self.volume();
        volume.refresh(&self.node)?;
        let state = self.node.lock();
        Ok(statx(volume, self.node.ino, &state.inode))
    }

    /// The end of a change: durable already, if the volume is used like that.
    fn acknowledge(&self) -> Result<()> {
        if self.volume().options.interval.is_zero() {
            self.volume().sync()?;
        }
        Ok(())
    }
}

fn found(file: File) -> Result<Found> {
    let stat = file.stat()?;
    Ok(Found::new(Control(file), stat))
}

fn statx(volume: &Volume, ino: u64, inode: &Inode) -> Statx {
    let size = if inode.is(S_IFDIR) { inode.size.saturating_mul(ENTRY_SIZE) } else { inode.size };
    Statx {
        mask: StatxMask::BASIC_STATS | StatxMask::BTIME,
        blksize: volume.superblock.block,
        nlink: inode.nlink,
        uid: inode.uid,
        gid: inode.gid,
        mode: inode.mode,
        ino,
        size,
        blocks: inode.held.div_ceil(512),
        atime: stamp(inode.atime),
        btime: stamp(inode.btime),
        ctime: stamp(inode.ctime),
        mtime: stamp(inode.mtime),
        rdev_major: inode.device.0,
        rdev_minor: inode.device.1,
        dev_minor: volume.device,
        ..Statx::default()
    }
}

fn stamp(time: Time) -> StatxTimestamp {
    StatxTimestamp::new(time.sec, time.nsec)
}
