//! Attributes: sizes are those of the plain files, everything else is the inner file's.

use lisafs::backend::{Error, FileType, Result, SetStat, SetStatFailure, Statx, StatxMask};

use super::Volume;
use super::control::Control;
use super::node::Node;

impl Volume {
    /// Attributes of the plain file. `target` reads what is stored of a link's.
    pub(super) fn plain(&self, mut stat: Statx, target: impl FnOnce() -> Result<Vec<u8>>) -> Result<Statx> {
        if stat.file_type() == Some(FileType::Symlink) && stat.mask.contains(StatxMask::SIZE) {
            stat.size = if self.knows_sizes_of_links() {
                self.keys.target_size(stat.size)
            } else {
                // A link that is damaged can still be looked at, and removed.
                self.keys.load_target(target()?).map_or(0, |target| target.len() as u64)
            };
        }
        Ok(self.plain_file(stat))
    }

    /// Attributes of the plain file, unless it is a link.
    pub(super) fn plain_file(&self, stat: Statx) -> Statx {
        let mut stat = self.mends.stat(stat);
        if stat.file_type() == Some(FileType::Regular) && stat.mask.contains(StatxMask::SIZE) {
            stat.size = self.keys.content.layout().plain_size(stat.size);
        }
        stat
    }
}

impl Node {
    /// Sets the size of the inner file.
    pub(super) fn set_size(&self, stored: u64) -> Result<()> {
        self.inner.set_stat(&SetStat::new().size(stored)).map_err(|failure| failure.error)
    }
}

impl Control {
    /// The size first: a change of it sets times.
    pub(super) fn apply(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        let size = change.size.filter(|_| self.node.kind == Some(FileType::Regular));
        let Some(size) = size else { return self.node.inner.set_stat(change) };
        let resized = self.resize(size);
        let mut rest = *change;
        rest.size = None;
        let others = if rest.mask().is_empty() { Ok(()) } else { self.node.inner.set_stat(&rest) };
        match (resized, others) {
            (Ok(()), others) => others,
            (Err(error), Ok(())) => Err(SetStatFailure::new(StatxMask::SIZE, error)),
            (Err(error), Err(others)) => Err(SetStatFailure::new(StatxMask::SIZE | others.mask, error)),
        }
    }

    fn resize(&self, size: u64) -> Result<()> {
        let file = self.open_inner(lisafs::backend::OpenHow::new(lisafs::backend::Access::ReadWrite))?;
        let inode = self.volume.inodes.get(self.node.identity);
        let content = super::content::Content { volume: &self.volume, node: &self.node, inode: &inode, inner: &*file };
        content.resize(size)
    }

    /// Where this link leads.
    pub(super) fn target(&self) -> Result<Vec<u8>> {
        if self.node.kind != Some(FileType::Symlink) {
            return Err(Error::INVAL);
        }
        let stored = self.node.inner.read_link()?;
        self.volume.keys.load_target(stored).map_err(|error| {
            self.volume.damage.error(|| format!("the link with inode number {}: {error}", self.node.identity.2))
        })
    }
}
