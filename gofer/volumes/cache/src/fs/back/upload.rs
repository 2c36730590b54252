//! Making changes of a journal in the backend.

use std::io;

use lisafs::backend::{Errno, IoSource, Result, SetStat};

use super::Back;
use super::pending::{Upload, User};
use crate::back::Journal;
use crate::fs::file::learn_version;
use crate::store::{BLOCK, index};

impl User {
    /// Makes all changes of a journal, and has the backend keep them.
    pub(super) fn upload(&self, upload: &Upload) -> Result<()> {
        let User { volume, node, reader, file } = self;
        let inner = reader.opened()?;
        let overlay = &upload.overlay;
        let mut size = node.inode.stat(volume, || inner.stat())?.size;
        let change = node.inode.change();
        let resize = |size| {
            let set = || node.inner.set_stat(&SetStat::new().size(size)).map_err(|failure| failure.error);
            file.resize(size, set)
        };
        if overlay.base() < size {
            size = overlay.base();
            resize(size)?;
        }
        upload.each(index(BLOCK), |start, bytes| {
            let mut done = 0;
            while done < bytes.len() {
                let (at, rest) = (start + done as u64, IoSource::from(&bytes[done..]));
                match file.write(rest, at, |from| inner.write_at(from, at))? {
                    0 => return Err(Errno::IO.because("the backend takes no bytes")),
                    count => done += count,
                }
            }
            size = size.max(start + bytes.len() as u64);
            Ok(())
        })?;
        if size != overlay.size() {
            resize(overlay.size())?;
        }
        // Where that cannot be, the file was changed when it was uploaded.
        let _ = node.inner.set_stat(&SetStat::new().mtime(upload.mtime));
        match inner.sync() {
            Err(error) if ![Errno::INVAL, Errno::OPNOTSUPP].contains(&error.errno()) => return Err(error),
            _ => {}
        }
        drop(change);
        // So that what is in the cache stays there. Who opens the file next finds out, too.
        learn_version(node, file, &**reader, || inner.stat())
    }
}

impl Back {
    /// Removes a journal, so that it stays removed.
    pub(super) fn remove(&self, journal: &Journal) -> io::Result<()> {
        journal.remove()?;
        match self.sync_directory() {
            // Somebody has removed the cache: no process will find a journal there.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        }
    }

    pub(super) fn sync_directory(&self) -> io::Result<()> {
        std::fs::File::open(&self.directory)?.sync_all()
    }
}
