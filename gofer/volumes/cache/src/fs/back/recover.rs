//! Finding what a process has left that has ended.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::{fs, io};

use lisafs::backend::{Access, Errno, Error, FileType, Mode, NO_ID, Name, NewFile, OpenHow, Result, SetStat, Statx};

use super::Back;
use super::pending::User;
use super::root::Root;
use crate::back::{Found, JOURNAL, Journal, LOST, Replayed};
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
    /// It is not the backend that the changes are for.
    #[error(
        "the backend is another directory than the one that the changes in the cache are for: is it mounted? If it was \
         restored, upload them with gofer-volumes cache flush --by-path"
    )]
    Elsewhere,
}

/// Journals that were found, by their numbers.
struct Left {
    journals: Vec<PathBuf>,
    /// Those that were set aside.
    lost: Vec<PathBuf>,
}

impl Back {
    fn left(&self) -> io::Result<Left> {
        let mut left = Left { journals: Vec::new(), lost: Vec::new() };
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            // Numbers of those that were set aside are not given again, either.
            if let Some(number) = Journal::number_of(&path) {
                self.numbers.fetch_max(number + 1, Ordering::Relaxed);
            }
            match path.extension().and_then(|ending| ending.to_str()) {
                Some(JOURNAL) => left.journals.push(path),
                Some(LOST) => left.lost.push(path),
                _ => {}
            }
        }
        // Their names are numbers.
        left.journals.sort();
        left.lost.sort();
        Ok(left)
    }
}

impl Volume {
    /// Takes up the changes that are on the disk, for files of `root`, whose attributes are `stat`.
    pub(in crate::fs) fn recover(
        self: &Arc<Self>,
        back: &Back,
        root: &Arc<Node>,
        stat: &Statx,
    ) -> std::result::Result<(), RecoverError> {
        let (Left { journals, lost }, by_path) = (back.left()?, self.options.recovers_by_path);
        let (here, known) = (Root::of(stat), Root::load(&back.directory));
        if !journals.is_empty() && !by_path && known.is_some_and(|known| known != here) {
            return Err(RecoverError::Elsewhere);
        }
        let mut all = Vec::<Replayed>::new();
        if by_path {
            for path in lost {
                match Journal::replay(&path)? {
                    Found::Changes(found) if !found.is_damaged => all.push(*found),
                    _ => tracing::error!(
                        "{} is damaged and stays set aside",
                        back.store.directory().shown(&path).display()
                    ),
                }
            }
        }
        for path in journals {
            match Journal::replay(&path)? {
                Found::Changes(found) => all.push(*found),
                Found::Nothing => fs::remove_file(&path)?,
                Found::Damaged => {
                    let shown = back.store.directory().shown(&path);
                    tracing::error!("{} is damaged: changes of some file are set aside", shown.display());
                    Journal::set_aside(&path)?;
                }
            }
        }
        all.sort_by_key(|found| found.journal.number());
        // What the last journal of a file ends with counts.
        let last = |ino| all.iter().rfind(|last| last.head.ino == ino).is_some_and(|last| last.is_unlinked);
        let unlinked: Vec<bool> = all.iter().map(|found| last(found.head.ino)).collect();
        for (found, is_unlinked) in all.into_iter().zip(unlinked) {
            self.take_up(back, root, found, is_unlinked)?;
        }
        if known != Some(here) {
            here.store(&back.directory)?;
        }
        Ok(())
    }

    /// Takes up the changes of one journal.
    fn take_up(
        self: &Arc<Self>,
        back: &Back,
        root: &Arc<Node>,
        found: Replayed,
        is_unlinked: bool,
    ) -> std::result::Result<(), RecoverError> {
        let name = name(&found);
        let is_missed = self.options.recovers_by_path && !is_unlinked;
        let mut node = self.find(root, &found);
        if is_missed && matches!(node, Ok(None)) {
            node = self.make(root, &found);
        }
        let node = match node {
            // Nobody gets at it, so nobody misses the changes.
            Err(error) if is_refusal(&error) => {
                tracing::error!("the cache has changes of {name:?} and cannot get there to upload them: {error}");
                return Ok(());
            }
            found => found.map_err(|error| RecoverError::Backend(name.clone(), error))?,
        };
        if node.is_some() && found.is_damaged {
            tracing::error!(
                "the last {} bytes of changes of {name:?} are damaged; all of them are set aside, and those before are \
                 uploaded",
                found.rest
            );
            found.journal.keep_copy()?;
        } else if found.rest > 0 {
            tracing::warn!("the last {} bytes of a journal of {name:?} were never finished", found.rest);
        }
        match node {
            Some(node) => {
                let reader = Arc::new(Reader::new(self.clone(), node.clone(), OpenHow::new(Access::Write)));
                if let Err(error) = open(&node, &reader) {
                    tracing::warn!("{name:?} cannot be opened to upload its changes, which is tried again: {error}");
                }
                let file = self.file(self.key(&node));
                let inode = node.inode.clone();
                inode.pending.restore(back, &inode, User { volume: self.clone(), node, reader, file }, found);
            }
            None if is_unlinked => found.journal.remove()?,
            None => {
                tracing::error!(
                    "{name:?} is gone, and with it changes that were not uploaded; they are set aside, and gofer-volumes \
                     cache flush --by-path makes them to what is there then"
                );
                Journal::set_aside(found.journal.path())?;
            }
        }
        Ok(())
    }

    /// The file that a journal is of, if it is still there.
    fn find(&self, root: &Arc<Node>, found: &Replayed) -> Result<Option<Arc<Node>>> {
        let Some(at) = self.walk_to(root, &found.head.path)? else { return Ok(None) };
        let is_it = self.options.recovers_by_path || at.inode.identity.2 == found.head.ino;
        Ok(Some(at).filter(|at| is_it && at.inode.kind == Some(FileType::Regular)))
    }

    /// Makes the file that a journal is of, if all that was in it is in the journal and nothing is in its place.
    fn make(&self, root: &Arc<Node>, found: &Replayed) -> Result<Option<Arc<Node>>> {
        let Some((last, above)) = found.head.path.split_last().filter(|_| found.overlay.base() == 0) else {
            return Ok(None);
        };
        let Some(dir) = self.walk_to(root, above)? else { return Ok(None) };
        let is_free = self.walk_to(&dir, std::slice::from_ref(last))?.is_none();
        if !is_free || dir.inode.kind != Some(FileType::Directory) {
            return Ok(None);
        }
        // Whose it was is not known.
        let new = NewFile::new(Mode::new(0o600), NO_ID, NO_ID);
        let made = dir.inner.create(Name::new(last)?, &new, Access::Write)?;
        self.names.remove(dir.inode.number, last);
        Ok(Some(self.node(made.found, Some((dir.clone(), last))).0))
    }

    /// Where the names of `path` lead from `from`, if they lead anywhere.
    fn walk_to(&self, from: &Arc<Node>, path: &[Box<[u8]>]) -> Result<Option<Arc<Node>>> {
        let mut at = from.clone();
        for name in path {
            at = match self.walk(&at, Name::new(name)?) {
                Ok((node, _)) => node,
                Err(error) if [Errno::NOENT, Errno::NOTDIR].contains(&error.errno()) => return Ok(None),
                Err(error) => return Err(error),
            };
        }
        Ok(Some(at))
    }
}

fn name(found: &Replayed) -> String {
    let path = found.head.path.join(&b'/');
    Path::new(std::ffi::OsStr::new(&*String::from_utf8_lossy(&path))).display().to_string()
}

fn is_refusal(error: &Error) -> bool {
    [Errno::ACCESS, Errno::PERM].contains(&error.errno())
}

/// Opens a file to be written, also one that its owner may not write any more.
fn open(node: &Node, reader: &Reader) -> Result<()> {
    match reader.opened() {
        Err(error) if is_refusal(&error) => {}
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
