//! Renames.

use std::sync::Arc;

use lisafs::backend::{Errno, NO_ID, Name, RenameFlags, Result};

use super::control::Control;
use super::long::{forget, is_free, named_locked};
use super::node::{Node, entry};
use super::remove::{check_empty, remove_dir_locked};
use crate::format::Stored;

/// What a rename over a directory with something in it is refused with.
const NOT_EMPTY: [Errno; 2] = [Errno::NOTEMPTY, Errno::EXIST];

impl Control {
    pub(super) fn rename_to(
        &self,
        name: Name<'_>,
        new_dir: &Arc<Node>,
        new_name: Name<'_>,
        flags: RenameFlags,
    ) -> Result<()> {
        let stored = self.node.stored(&self.volume, name)?;
        let new = new_dir.stored(&self.volume, new_name)?;
        let rename = |flags| self.node.inner.rename(entry(&stored)?, &*new_dir.inner, entry(&new)?, flags);
        // Both names stay, each with what belongs to it.
        if flags == RenameFlags::Exchange {
            return rename(flags);
        }
        if !stored.is_long() && !new.is_long() {
            match rename(flags) {
                Err(error) if self.may_be_empty(flags, error.errno()) => {}
                result => return result,
            }
        }
        let _names = self.volume.names.write();
        named_locked(new_dir, &new, (NO_ID, NO_ID), |_| match rename(flags) {
            Err(error) if self.may_be_empty(flags, error.errno()) => {
                self.replace_dir(&stored, new_dir, &new, flags, rename)
            }
            result => result,
        })?;
        if let Stored::Long { content, .. } = &stored
            // Two names of one file stay as they are, and so does a name that is its own new one.
            && is_free(&*self.node.inner, content)
        {
            forget(&*self.node.inner, content);
        }
        Ok(())
    }

    /// Whether what could not be replaced may be empty as a client sees it.
    fn may_be_empty(&self, flags: RenameFlags, error: Errno) -> bool {
        !flags.keeps_new_name() && NOT_EMPTY.contains(&error) && !self.volume.keys.has_plain_names()
    }

    /// Renames over a directory that is empty but for files of the format.
    fn replace_dir(
        &self,
        stored: &Stored,
        new_dir: &Node,
        new: &Stored,
        flags: RenameFlags,
        rename: impl Fn(RenameFlags) -> Result<()>,
    ) -> Result<()> {
        check_empty(&self.volume, new_dir, new)?;
        let remove_first = || {
            remove_dir_locked(&self.volume, new_dir, new)?;
            rename(flags)
        };
        // A whiteout is made by the rename itself.
        if flags.leaves_whiteout() {
            return remove_first();
        }
        // If it can be, so that the new name is there all the time.
        match rename(RenameFlags::Exchange) {
            Ok(()) => remove_dir_locked(&self.volume, &self.node, stored).inspect_err(|_| {
                if let Err(error) = rename(RenameFlags::Exchange) {
                    tracing::error!(%error, "two directories have changed places");
                }
            }),
            Err(error) if [Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS].contains(&error.errno()) => remove_first(),
            Err(error) => Err(error),
        }
    }
}
