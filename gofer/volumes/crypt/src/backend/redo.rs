//! What makes a change of blocks whole if the process is killed in the middle of it.
//!
//! A kill ends a system call that writes between two pages of the host's cache (seen on tmpfs and ext4 of Linux 6.18,
//! with writes of a single block, too), and blocks are no pages: half of a block would be new, which is damage. So a
//! change is noted before it is made: blocks that are there already are written to a file of the format's own in the
//! root of the inner backend, and then to their place. Of blocks behind the end of a file only the fact is noted.
//! Whoever opens the volume next completes what was noted, or cuts off what is not whole; who may only read reads it as
//! if that were done. The other kinds of change are single system calls that do not end halfway.
//!
//! The file is called like one with a long name, which gocryptfs passes over. It is there only while a volume is in
//! use, or was until somebody was killed. What is in it is encrypted; a note is bound to its file by the file id, and
//! its blocks by their tags.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lisafs::backend::{
    Access, ControlBox, ControlFile, Error, FileType, Found, IoTarget, Mode, NO_ID, Name, NewFile, OpenBox, OpenFile,
    OpenHow, Result, Statx, Unlink,
};
use parking_lot::Mutex;

use super::buffer::BLOCKS;
use super::internal::{self, Listed};
use super::node::{Identity, Node, identity};
use crate::format::{Content, FileId, HEADER_LEN, random_bytes};

/// What the files with notes are called, with a number between.
const START: &[u8] = b"gocryptfs.longname.gofer-redo-";
const END: &[u8] = b".name";

/// Whether an entry of the root is such a file.
pub(crate) fn is_note(entry: &[u8]) -> bool {
    entry.strip_prefix(START).is_some_and(|rest| rest.ends_with(END))
}

/// Bytes of a note, before its blocks.
pub(super) const NOTE: usize = 64;

const MAGIC: &[u8; 8] = b"redo 1\n\0";

/// A change that is about to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) ino: u64,
    pub(super) id: FileId,
    /// The first block that is changed.
    pub(super) first: u64,
    /// Bytes of the inner file, before and after.
    pub(super) before: u64,
    pub(super) after: u64,
    /// Bytes of the blocks that follow: those that are there already.
    pub(super) len: u64,
}

impl Note {
    pub(super) fn to_bytes(self) -> [u8; NOTE] {
        let mut bytes = [0; NOTE];
        let numbers = [self.ino, self.first, self.before, self.after, self.len];
        let (head, rest) = bytes.split_at_mut(8 + HEADER_LEN);
        head[..8].copy_from_slice(MAGIC);
        head[8..].copy_from_slice(&self.id.header());
        // 38 bytes are left, of which a length takes six.
        for (room, number) in rest.chunks_mut(8).zip(&numbers[..4]) {
            room.copy_from_slice(&number.to_le_bytes());
        }
        rest[32..].copy_from_slice(&self.len.to_le_bytes()[..6]);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (header, rest) = rest.split_at_checked(HEADER_LEN)?;
        let numbers = rest.first_chunk::<32>()?.as_chunks::<8>().0;
        let number = |index: usize| u64::from_le_bytes(numbers[index]);
        let len = bytes.get(NOTE - 6..NOTE)?;
        let len = len.iter().rev().fold(0, |len, byte| len << 8 | u64::from(*byte));
        let id = FileId::parse(header).ok()?;
        let note = Note { ino: number(0), id, first: number(1), before: number(2), after: number(3), len };
        (magic == MAGIC).then_some(note)
    }
}

/// The files with notes.
pub(super) struct Notes {
    root: ControlBox,
    idle: Mutex<Vec<File>>,
    has_failed: AtomicBool,
}

struct File {
    name: Vec<u8>,
    file: OpenBox,
}

/// Keeps a note as long as it lives.
pub(super) struct Noted<'a> {
    notes: &'a Notes,
    file: Option<File>,
}

impl Notes {
    pub(super) fn new(root: ControlBox) -> Self {
        Notes { root, idle: Mutex::default(), has_failed: AtomicBool::new(false) }
    }

    /// Notes a change: a note and its blocks. If that fails, the change is made all the same.
    pub(super) fn note(&self, bytes: &[u8]) -> Noted<'_> {
        let file = self.idle.lock().pop();
        let noted = file.map_or_else(|| self.make(), Ok).and_then(|file| {
            // What is not whole is erased, and its file serves the next change.
            let noted = Noted { notes: self, file: Some(file) };
            noted.write(bytes).map(|()| noted)
        });
        noted.unwrap_or_else(|error| {
            if !self.has_failed.swap(true, Ordering::Relaxed) {
                tracing::warn!(%error, "changes cannot be noted: if this process is killed, blocks may be damaged");
            }
            Noted { notes: self, file: None }
        })
    }

    fn make(&self) -> Result<File> {
        let number = u64::from_ne_bytes(random_bytes());
        let name = [START, number.to_string().as_bytes(), END].concat();
        let new = NewFile::new(Mode::new(0o600), NO_ID, NO_ID);
        let created = self.root.create(Name::new(&name)?, &new, Access::ReadWrite)?;
        Ok(File { name, file: created.opened.file })
    }

    /// Removes the files that are not in use.
    pub(super) fn clear(&self) {
        for file in self.idle.lock().drain(..) {
            remove(&*self.root, &file.name);
        }
    }
}

impl Noted<'_> {
    fn write(&self, bytes: &[u8]) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| internal::write(&*file.file, bytes, 0))
    }
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        // A note that stays is about a change that is made: whoever finds it has nothing to do.
        let _ = self.write(&[0; MAGIC.len()]);
        self.notes.idle.lock().extend(self.file.take());
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        self.clear();
    }
}

fn remove(root: &dyn ControlFile, name: &[u8]) {
    if let Err(error) = Name::new(name).and_then(|name| root.unlink(name, Unlink::File)) {
        tracing::debug!(%error, "a file with notes stays");
    }
}

/// The notes that somebody who was killed has left, by the file that each is about.
type Left = HashMap<u64, Vec<(Note, Vec<u8>)>>;

/// Completes the changes that were noted and perhaps not made, since somebody was killed.
pub(super) fn recover(content: &Content, root: &dyn ControlFile) -> Result<()> {
    let files = files(root)?;
    let mut notes = Left::new();
    for file in &files {
        if let Some((note, blocks)) = read(content, root, &file.name)? {
            notes.entry(note.ino).or_default().push((note, blocks));
        }
    }
    find(root, notes, |found, notes| complete(content, found, notes))?;
    for file in &files {
        remove(root, &file.name);
    }
    Ok(())
}

/// What [`recover`] would change, for those who may not.
pub(crate) fn mends(content: &Content, root: &dyn ControlFile) -> Result<Mends> {
    let mut notes = Left::new();
    for file in files(root)? {
        match read(content, root, &file.name) {
            Ok(Some((note, blocks))) => notes.entry(note.ino).or_default().push((note, blocks)),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "cannot read what was noted of changes: blocks may seem damaged"),
        }
    }
    let mut mends = Mends::default();
    find(root, notes, |found, notes| {
        let node = Node::new(found);
        let mended = node.inner.open(OpenHow::new(Access::Read).no_atime(true)).and_then(|opened| {
            let mut mended = Mended { inner: opened.file, mend: Arc::default() };
            for (note, blocks) in notes {
                let next = mend(content, &mended, &note, blocks)?;
                mended.mend = Arc::new(mended.mend.and(next));
            }
            Ok(mended.mend)
        });
        match mended {
            Ok(mend) if mend.is_empty() => {}
            Ok(mend) => drop(mends.0.insert(node.identity, mend)),
            Err(error) => cannot_complete(&error, node.identity.2),
        }
    })?;
    Ok(mends)
}

fn files(root: &dyn ControlFile) -> Result<Vec<Listed>> {
    Ok(internal::list(root)?.into_iter().filter(|listed| is_note(&listed.name)).collect())
}

/// Gives each file that there are notes about to `visit`, with its notes.
fn find(root: &dyn ControlFile, mut notes: Left, mut visit: impl FnMut(Found, Vec<(Note, Vec<u8>)>)) -> Result<()> {
    let mut left: Vec<Option<ControlBox>> = vec![None];
    while let Some(dir) = left.pop() {
        if notes.is_empty() {
            break;
        }
        let dir: &dyn ControlFile = dir.as_deref().unwrap_or(root);
        for listed in internal::list(dir)? {
            let wanted = notes.contains_key(&listed.ino);
            if !wanted && listed.file_type != Some(FileType::Directory) {
                continue;
            }
            // Whoever else is here may have removed it.
            let Ok(found) = Name::new(&listed.name).and_then(|name| dir.walk(name)) else { continue };
            match found.stat.file_type() {
                Some(FileType::Directory) => left.push(Some(found.file)),
                Some(FileType::Regular) if wanted => visit(found, notes.remove(&listed.ino).unwrap_or_default()),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The note in a file, if there is one, and its blocks.
fn read(content: &Content, root: &dyn ControlFile, name: &[u8]) -> Result<Option<(Note, Vec<u8>)>> {
    let file = root.walk(Name::new(name)?)?.file.open(OpenHow::new(Access::Read))?.file;
    let mut bytes = vec![0; NOTE + BLOCKS * content.block()];
    let len = file.read_at((&mut bytes[..]).into(), 0)?;
    bytes.truncate(len);
    let Some(note) = Note::parse(&bytes) else { return Ok(None) };
    let mut blocks = bytes.split_off(NOTE);
    blocks.truncate(usize::try_from(note.len).unwrap_or(usize::MAX));
    Ok(Some((note, blocks)))
}

fn complete(content: &Content, found: Found, notes: Vec<(Note, Vec<u8>)>) {
    let node = Node::new(found);
    for (note, blocks) in notes {
        let is_changed = node.inner.open(OpenHow::new(Access::ReadWrite)).and_then(|opened| {
            let mend = mend(content, &*opened.file, &note, blocks)?;
            mend.apply(&node, &*opened.file)?;
            Ok(!mend.is_empty())
        });
        match is_changed {
            Ok(false) => {}
            Ok(true) => tracing::info!("completed a change of the file with inode number {}", note.ino),
            Err(error) => cannot_complete(&error, note.ino),
        }
    }
}

fn cannot_complete(error: &Error, ino: u64) {
    tracing::warn!(%error, "cannot complete a change of the file with inode number {ino}");
}

/// What is still to be done of the change `note` in the file `inner`.
fn mend(content: &Content, inner: &dyn OpenFile, note: &Note, mut blocks: Vec<u8>) -> Result<Mend> {
    let mut mend = Mend::default();
    let mut size = inner.stat()?.size;
    if note.before == 0 && size < HEADER_LEN as u64 {
        mend.size = (size > 0).then_some(0);
        return Ok(mend);
    }
    let mut header = [0; HEADER_LEN];
    let len = inner.read_at((&mut header[..]).into(), 0)?;
    if FileId::parse(&header[..len]) != Ok(note.id) {
        // Another file by now.
        return Ok(mend);
    }
    let (layout, whole) = (content.layout(), content.block());
    let position = |number: u64| layout.position(number).ok_or(Error::FBIG);
    let is_damaged = |number: u64, size: u64| -> Result<bool> {
        let position = position(number)?;
        let len = usize::try_from(size.saturating_sub(position)).map_or(whole, |len| len.min(whole));
        let mut block = vec![0; len];
        let len = inner.read_at((&mut block[..]).into(), position)?;
        Ok(len == 0 || content.open_block(&mut block[..len], number, note.id).is_err())
    };
    for (number, block) in (note.first..).zip(blocks.chunks_mut(whole)) {
        if !is_damaged(number, size)? {
            continue;
        }
        // If the note is not whole either, the change was not begun.
        if content.open_block(&mut block.to_vec(), number, note.id).is_err() {
            return Ok(mend);
        }
        let position = position(number)?;
        mend.blocks.push((position, block.to_vec()));
        size = size.max(position + block.len() as u64);
    }
    if note.after < note.before {
        mend.size = (!mend.blocks.is_empty() && size > note.after).then_some(note.after);
        return Ok(mend);
    }
    // Behind the former end, only the last block can have come halfway.
    if size > note.before && size > HEADER_LEN as u64 {
        let last = layout.plain_size(size).saturating_sub(1) / super::content::PLAIN;
        let at = position(last)?;
        if mend.blocks.iter().all(|(position, _)| *position != at) && is_damaged(last, size)? {
            mend.size = Some(at);
        }
    }
    Ok(mend)
}

/// What is to be different in a file: blocks by where they begin, and then its size.
#[derive(Debug, Default)]
pub(crate) struct Mend {
    blocks: Vec<(u64, Vec<u8>)>,
    size: Option<u64>,
}

impl Mend {
    fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.size.is_none()
    }

    fn apply(&self, node: &Node, inner: &dyn OpenFile) -> Result<()> {
        self.blocks.iter().try_for_each(|(position, block)| internal::write(inner, block, *position))?;
        self.size.map_or(Ok(()), |size| node.set_size(size))
    }

    /// Both, this one first.
    fn and(&self, next: Self) -> Self {
        let mut blocks = self.blocks.clone();
        blocks.extend(next.blocks);
        Mend { blocks, size: next.size.or(self.size) }
    }

    /// Makes `bytes`, which are in the file from `offset` on, what they are to be.
    pub(crate) fn patch(&self, bytes: &mut [u8], offset: u64) {
        for (position, block) in &self.blocks {
            for (byte, at) in block.iter().zip(*position..) {
                let place = at.checked_sub(offset).and_then(|at| bytes.get_mut(usize::try_from(at).ok()?));
                if let Some(place) = place {
                    *place = *byte;
                }
            }
        }
    }

    /// How many bytes a file has that has `size` without this.
    pub(crate) fn size(&self, size: u64) -> u64 {
        let end = self.blocks.iter().map(|(position, block)| position + block.len() as u64).max();
        self.size.unwrap_or(size.max(end.unwrap_or(0)))
    }
}

/// What is to be different in files that may not be changed.
#[derive(Debug, Default)]
pub(crate) struct Mends(HashMap<Identity, Arc<Mend>>);

impl Mends {
    /// What is to be different in the file `identity`.
    pub(crate) fn of(&self, identity: Identity) -> Option<&Mend> {
        self.0.get(&identity).map(|mend| &**mend)
    }

    /// The attributes of an encrypted file.
    pub(super) fn stat(&self, stat: Statx) -> Statx {
        match self.0.get(&identity(&stat)) {
            Some(mend) => Statx { size: mend.size(stat.size), ..stat },
            None => stat,
        }
    }

    /// The encrypted file `inner`, which is `identity`.
    pub(super) fn open(&self, identity: Identity, inner: OpenBox) -> OpenBox {
        match self.0.get(&identity) {
            Some(mend) => OpenBox::new(Mended { inner, mend: mend.clone() }),
            None => inner,
        }
    }
}

/// A file that is read as if it were mended.
struct Mended {
    inner: OpenBox,
    mend: Arc<Mend>,
}

impl OpenFile for Mended {
    fn stat(&self) -> Result<Statx> {
        let stat = self.inner.stat()?;
        Ok(Statx { size: self.mend.size(stat.size), ..stat })
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn read_at(&self, mut into: IoTarget<'_>, offset: u64) -> Result<usize> {
        let size = self.stat()?.size;
        let len = usize::try_from(size.saturating_sub(offset)).map_or(into.len(), |rest| rest.min(into.len()));
        let mut bytes = vec![0; len];
        let mut done = 0;
        while done < len {
            match self.inner.read_at((&mut bytes[done..]).into(), offset + done as u64)? {
                0 => break,
                count => done += count,
            }
        }
        self.mend.patch(&mut bytes, offset);
        into.put(0, &bytes);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back() {
        let id = FileId::random();
        let note = Note { ino: u64::MAX, id, first: 1 << 60, before: 3, after: u64::MAX - 1, len: 132_096 };
        let bytes = note.to_bytes();
        assert_eq!(Note::parse(&bytes), Some(note));
        assert_eq!(Note::parse(&[&bytes[..], b"blocks"].concat()), Some(note));
        for len in 0..NOTE {
            assert_eq!(Note::parse(&bytes[..len]), None);
        }
        assert_eq!(Note::parse(&[0; NOTE]), None);
        let mut erased = bytes;
        erased[..8].fill(0);
        assert_eq!(Note::parse(&erased), None);
    }

    #[test]
    fn only_files_with_notes_are_such() {
        assert!(is_note(b"gocryptfs.longname.gofer-redo-17.name"));
        assert!(!is_note(b"gocryptfs.longname.17.name") && !is_note(b"gocryptfs.longname.gofer-redo-17"));
    }
}
