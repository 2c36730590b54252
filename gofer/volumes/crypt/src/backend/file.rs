//! Open regular files.

use std::sync::Arc;

use lisafs::backend::{AllocateFlags, IoSource, IoTarget, OpenBox, OpenFile, Result, SeekTo, Statx};

use super::Volume;
use super::content::Content;
use super::inode::Inode;
use super::node::Node;

/// An open regular file. The inner one can be read, whatever this one is open for.
pub(super) struct CryptFile {
    pub(super) volume: Arc<Volume>,
    pub(super) node: Arc<Node>,
    pub(super) inode: Arc<Inode>,
    pub(super) inner: OpenBox,
}

impl CryptFile {
    fn content(&self) -> Content<'_> {
        Content { volume: &self.volume, node: &self.node, inode: &self.inode, inner: &*self.inner }
    }
}

impl OpenFile for CryptFile {
    fn stat(&self) -> Result<Statx> {
        Ok(self.volume.plain_file(self.inner.stat()?))
    }

    fn read_at(&self, into: IoTarget<'_>, offset: u64) -> Result<usize> {
        self.content().read(into, offset)
    }

    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        self.content().write(from, offset)
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn allocate(&self, flags: AllocateFlags, offset: u64, length: u64) -> Result<()> {
        self.content().allocate(flags, offset, length)
    }

    fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        self.content().seek(offset, what)
    }

    fn flush(&self) -> Result<()> {
        self.inner.flush()
    }
}
