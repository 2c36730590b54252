//! Finding what a process has left that has ended.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{fs, io};

use lisafs::backend::{Access, Errno, Error, FileType, Mode, Name, OpenHow, Result, SetStat};

use super::Back;
use super::pending::User;
use crate::back::{JOURNAL, Journal, Replayed};
use crate::fs::Volume;
use crate::fs::node::Node;
use crate::fs::reader::Reader;

/// Why what was left cannot be uploaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    /// The disk of the cache fails.
    #[error("cannot read changes that the backend does not have yet: {0}")]
    Disk(#[from] io::Error),
    /// The backend does.
    #[error("the cache has changes of {0:?} that the backend does not have, and cannot upload them: {1}")]
    Backend(String, #[source] Error),
}

impl Volume {
    /// Takes up the changes that are on the disk.
    pub(in crate::fs) fn recover(
        self: &Arc<Self>,
        back: &Back,
        root: &Arc<Node>,
    ) -> std::result::Result<(), RecoverError> {
        let mut journals = Vec::new();
        for entry in fs::read_dir(&back.directory)? {
            let path = entry?.path();
            // Numbers of those that were set aside are not given again, either.
            if let Some(number) = Journal::number_of(&path) {
                back.numbers.fetch_max(number + 1, Ordering::Relaxed);
            }
            if path.extension().is_some_and(|ending| ending == JOURNAL) {
                journals.push(path);
            }
        }
        // Their names are numbers.
        journals.sort();
        let mut all = Vec::<Replayed>::new();
        for path in journals {
            match Journal::replay(&path)? {
                Some(found) => all.push(found),
                None => fs::remove_file(&path)?,
            }
        }
        // What the last journal of a file ends with counts.
        let last = |ino| all.iter().rfind(|last| last.head.ino == ino).is_some_and(|last| last.is_unlinked);
        let unlinked: Vec<bool> = all.iter().map(|found| last(found.head.ino)).collect();
        for (found, is_unlinked) in all.into_iter().zip(unlinked) {
            let name = name(&found);
            if found.rest > 0 {
                tracing::warn!("the last {} bytes of a journal of {name:?} were never finished", found.rest);
            }
            match self.find(root, &found).map_err(|error| RecoverError::Backend(name.clone(), error))? {
                Some(node) => {
                    let reader = Arc::new(Reader::new(self.clone(), node.clone(), OpenHow::new(Access::Write)));
                    open(&node, &reader).map_err(|error| RecoverError::Backend(name, error))?;
                    let file = self.file(self.key(&node));
                    let inode = node.inode.clone();
                    inode.pending.restore(back, &inode, User { volume: self.clone(), node, reader, file }, found);
                }
                None if is_unlinked => found.journal.remove()?,
                None => {
                    tracing::error!("{name:?} is gone, and with it changes that were not uploaded; they are set aside");
                    found.journal.set_aside()?;
                }
            }
        }
        Ok(())
    }

    /// The file that a journal is of, if it is still there.
    fn find(&self, root: &Arc<Node>, found: &Replayed) -> Result<Option<Arc<Node>>> {
        let mut at = root.clone();
        for name in &found.head.path {
            at = match self.walk(&at, Name::new(name)?) {
                Ok((node, _)) => node,
                Err(error) if [Errno::NOENT, Errno::NOTDIR].contains(&error.errno()) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        let is_it = at.inode.identity.2 == found.head.ino && at.inode.kind == Some(FileType::Regular);
        Ok(is_it.then_some(at))
    }
}

fn name(found: &Replayed) -> String {
    let path = found.head.path.join(&b'/');
    Path::new(std::ffi::OsStr::new(&*String::from_utf8_lossy(&path))).display().to_string()
}

/// Opens a file to be written, also one that its owner may not write any more.
fn open(node: &Node, reader: &Reader) -> Result<()> {
    match reader.opened() {
        Err(error) if [Errno::ACCESS, Errno::PERM].contains(&error.errno()) => {}
        opened => return opened.map(drop),
    }
    const OWNER_WRITES: u16 = 0o200;
    let mode = node.inner.stat()?.mode;
    let set = |mode| node.inner.set_stat(&SetStat::new().mode(Mode::new(mode))).map_err(|failure| failure.error);
    set(mode | OWNER_WRITES)?;
    let opened = reader.opened().map(drop);
    set(mode)?;
    opened
}
