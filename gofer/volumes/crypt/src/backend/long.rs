//! Long names: what is too long when encrypted is in a file beside the one that it names.
//!
//! The file with the name is made before the file that has it, and removed after: so every file that there is has its
//! name, and what a crash leaves is a name too many, which nobody sees.

use lisafs::backend::{ControlFile, Errno, Name, Result, Unlink};

use super::control::Control;
use super::internal;
use super::node::{Node, entry};
use crate::format::{Entry, Stored};

/// Bytes of the longest encrypted name.
pub(super) const MAX_FULL: usize = 344;

impl Control {
    /// Makes an entry called `stored` by way of `make`, with all that belongs to the name.
    pub(super) fn named<T>(
        &self,
        stored: &Stored,
        owner: (u32, u32),
        make: impl FnOnce(Name<'_>) -> Result<T>,
    ) -> Result<T> {
        if !stored.is_long() {
            return make(entry(stored)?);
        }
        let _names = self.volume.names.write();
        named_locked(&self.node, stored, owner, make)
    }
}

/// The same with [`Volume::names`](super::Volume::names) held for writing.
pub(super) fn named_locked<T>(
    dir: &Node,
    stored: &Stored,
    owner: (u32, u32),
    make: impl FnOnce(Name<'_>) -> Result<T>,
) -> Result<T> {
    let Stored::Long { content, full } = stored else { return make(entry(stored)?) };
    let is_new = keep(&*dir.inner, content, full, owner)?;
    make(entry(stored)?).inspect_err(|_| {
        // A file that was there before still needs its name.
        if is_new && is_free(&*dir.inner, content) {
            forget(&*dir.inner, content);
        }
    })
}

/// Makes the file with the name `full` of `content`, unless it is there. Says whether it was made.
fn keep(dir: &dyn ControlFile, content: &[u8], full: &[u8], owner: (u32, u32)) -> Result<bool> {
    let file = Entry::name_file(content);
    match internal::create(dir, &file, full, owner) {
        Err(error) if error == Errno::EXIST => {}
        made => return made.map(|()| true),
    }
    // One that a crash left halfway is worth nothing.
    if internal::read::<MAX_FULL>(dir, &file)?.as_deref() != Some(full) {
        dir.unlink(Name::new(&file)?, Unlink::File)?;
        internal::create(dir, &file, full, owner)?;
    }
    Ok(false)
}

/// Whether no file has this long name.
pub(super) fn is_free(dir: &dyn ControlFile, content: &[u8]) -> bool {
    Name::new(content).is_ok_and(|name| dir.walk(name).is_err_and(|error| error == Errno::NOENT))
}

/// Removes the file with the name of `content`, which is gone.
pub(super) fn forget(dir: &dyn ControlFile, content: &[u8]) {
    let file = Entry::name_file(content);
    let removed = Name::new(&file).and_then(|name| dir.unlink(name, Unlink::File));
    if let Err(error) = removed
        && error != Errno::NOENT
    {
        // It is in nobody's way.
        tracing::debug!(%error, "the name of a file that is gone stays");
    }
}
