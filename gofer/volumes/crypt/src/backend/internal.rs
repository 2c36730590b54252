//! Small files of the format, which no client sees.

use arrayvec::ArrayVec;
use lisafs::backend::{
    Access, ControlFile, DirEntry, DirSink, Error, FileType, Mode, Name, NewFile, OpenFile, OpenHow, Result,
};

/// Everybody may read what is in them: it is not secret, and another user's gocryptfs needs it.
const MODE: Mode = Mode::new(0o444);

/// The content of the file `name` of `dir`; `None` if it has more than `N` bytes.
pub(super) fn read<const N: usize>(dir: &dyn ControlFile, name: &[u8]) -> Result<Option<ArrayVec<u8, N>>> {
    let file = dir.walk(Name::new(name)?)?.file.open(OpenHow::new(Access::Read).no_atime(true))?.file;
    let mut content = ArrayVec::from([0; N]);
    let mut len = 0;
    while len < N {
        match file.read_at((&mut content[len..]).into(), len as u64)? {
            0 => break,
            count => len += count,
        }
    }
    content.truncate(len);
    let has_more = len == N && file.read_at((&mut [0][..]).into(), N as u64)? > 0;
    Ok(if has_more { None } else { Some(content) })
}

/// Makes the file `name` in `dir`. It is not there if that fails.
pub(super) fn create(dir: &dyn ControlFile, name: &[u8], content: &[u8], owner: (u32, u32)) -> Result<()> {
    let name = Name::new(name)?;
    let created = dir.create(name, &NewFile::new(MODE, owner.0, owner.1), Access::Write)?;
    write(&*created.opened.file, content, 0).inspect_err(|_| {
        // The caller gets the first error.
        let _ = dir.unlink(name, lisafs::backend::Unlink::File);
    })
}

/// Writes all of `content` at byte `offset` of `file`.
pub(super) fn write(file: &dyn OpenFile, content: &[u8], offset: u64) -> Result<()> {
    let mut done = 0;
    while done < content.len() {
        match file.write_at(content[done..].into(), offset + done as u64)? {
            0 => return Err(Error::IO),
            count => done += count,
        }
    }
    Ok(())
}

/// Whether `dir` has no entry at all.
pub(super) fn is_empty(dir: &dyn ControlFile) -> Result<bool> {
    struct Any(bool);

    impl DirSink for Any {
        fn add(&mut self, entry: &DirEntry<'_>) -> bool {
            self.0 |= !matches!(entry.name, b"." | b"..");
            !self.0
        }
    }

    let mut any = Any(false);
    dir.open(OpenHow::new(Access::Read).no_atime(true))?.file.read_dir(0, &mut any)?;
    Ok(!any.0)
}

/// An entry of a directory of the inner backend.
pub(super) struct Listed {
    pub(super) name: Vec<u8>,
    pub(super) ino: u64,
    pub(super) file_type: Option<FileType>,
}

/// All entries of `dir`.
pub(super) fn list(dir: &dyn ControlFile) -> Result<Vec<Listed>> {
    struct All {
        entries: Vec<Listed>,
        next: u64,
    }

    impl DirSink for All {
        fn add(&mut self, entry: &DirEntry<'_>) -> bool {
            self.next = entry.next;
            if !matches!(entry.name, b"." | b"..") {
                let DirEntry { ino, file_type, .. } = *entry;
                self.entries.push(Listed { name: entry.name.to_vec(), ino, file_type });
            }
            true
        }
    }

    let dir = dir.open(OpenHow::new(Access::Read).no_atime(true))?.file;
    let mut all = All { entries: Vec::new(), next: 0 };
    loop {
        let from = all.next;
        dir.read_dir(from, &mut all)?;
        if all.next == from {
            return Ok(all.entries);
        }
    }
}
