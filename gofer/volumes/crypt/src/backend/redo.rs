//! What makes a change of blocks whole if the process is killed in the middle of it.
//!
//! A kill ends a system call that writes between two pages of the host's cache (seen on tmpfs and ext4 of Linux 6.18, with writes of a
//! single block, too), and blocks are no pages: half of a block would be new, which is damage. So a change is noted before it is made:
//! blocks that are there already are written to a file of the format's own in the root of the inner backend, and then to their place.
//! Of blocks behind the end of a file only the fact is noted. Whoever opens the volume next completes what was noted, or cuts off what
//! is not whole. The other kinds of change are single system calls that do not end halfway.
//!
//! The file is called like one with a long name, which gocryptfs passes over. It is there only while a volume is in use, or was
//! until somebody was killed. What is in it is encrypted; a note is bound to its file by the file id, and its blocks by their tags.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lisafs::backend::{
    Access, ControlBox, ControlFile, FileType, Found, Mode, NO_ID, Name, NewFile, OpenBox, OpenHow, Result, Unlink,
};
use parking_lot::Mutex;

use super::Volume;
use super::buffer::BLOCKS;
use super::content::Content;
use super::internal::{self, Listed};
use super::node::Node;
use crate::format::{FileId, HEADER_LEN, random_bytes};

/// What the files with notes are called, with a number between.
const START: &[u8] = b"gocryptfs.longname.gofer-redo-";
const END: &[u8] = b".name";

/// Whether an entry of the root is such a file.
pub(super) fn is_note(entry: &[u8]) -> bool {
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

    /// The root of the inner backend.
    pub(super) fn root(&self) -> &dyn ControlFile {
        &*self.root
    }

    /// Notes a change: a note and its blocks. If that fails, the change is made all the same.
    pub(super) fn note(&self, bytes: &[u8]) -> Noted<'_> {
        let file = self.idle.lock().pop();
        let file = file.map_or_else(|| self.make(), Ok);
        let noted = file.and_then(|file| internal::write(&*file.file, bytes).map(|()| file));
        if let Err(error) = &noted
            && !self.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "changes cannot be noted: if this process is killed, blocks may be damaged");
        }
        Noted { notes: self, file: noted.ok() }
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

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        // A note that stays is about a change that is made: whoever finds it has nothing to do.
        let _ = internal::write(&*file.file, &[0; MAGIC.len()]);
        self.notes.idle.lock().push(file);
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

/// Completes the changes that were noted and perhaps not made, since somebody was killed.
pub(super) fn recover(volume: &Arc<Volume>, root: &dyn ControlFile) -> Result<()> {
    let files: Vec<Listed> = internal::list(root)?.into_iter().filter(|listed| is_note(&listed.name)).collect();
    let mut notes: HashMap<u64, Vec<(Note, Vec<u8>)>> = HashMap::new();
    for file in &files {
        if let Some((note, blocks)) = read(volume, root, &file.name)? {
            notes.entry(note.ino).or_default().push((note, blocks));
        }
    }
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
                Some(FileType::Regular) if wanted => complete(volume, found, notes.remove(&listed.ino)),
                _ => {}
            }
        }
    }
    for file in &files {
        remove(root, &file.name);
    }
    Ok(())
}

/// The note in a file, if there is one, and its blocks.
fn read(volume: &Volume, root: &dyn ControlFile, name: &[u8]) -> Result<Option<(Note, Vec<u8>)>> {
    let file = root.walk(Name::new(name)?)?.file.open(OpenHow::new(Access::Read))?.file;
    let mut bytes = vec![0; NOTE + BLOCKS * volume.keys.content.block()];
    let len = file.read_at((&mut bytes[..]).into(), 0)?;
    bytes.truncate(len);
    let Some(note) = Note::parse(&bytes) else { return Ok(None) };
    let mut blocks = bytes.split_off(NOTE);
    blocks.truncate(usize::try_from(note.len).unwrap_or(usize::MAX));
    Ok(Some((note, blocks)))
}

fn complete(volume: &Arc<Volume>, found: Found, notes: Option<Vec<(Note, Vec<u8>)>>) {
    let node = Node::new(found);
    for (note, blocks) in notes.unwrap_or_default() {
        match redo(volume, &node, &note, blocks) {
            Ok(false) => {}
            Ok(true) => tracing::info!("completed a change of the file with inode number {}", note.ino),
            Err(error) => {
                tracing::warn!(%error, "cannot complete a change of the file with inode number {}", note.ino);
            }
        }
    }
}

/// Completes one change, and says whether there was something to do.
fn redo(volume: &Arc<Volume>, node: &Node, note: &Note, mut blocks: Vec<u8>) -> Result<bool> {
    let inner = node.inner.open(OpenHow::new(Access::ReadWrite))?.file;
    let inode = volume.inodes.get(node.identity);
    let content = Content { volume, node, inode: &inode, inner: &*inner };
    let _content = inode.content.write();
    let mut size = inner.stat()?.size;
    if note.before == 0 && size < HEADER_LEN as u64 {
        node.set_size(0)?;
        return Ok(size > 0);
    }
    if inode.id(volume, &*inner)? != Some(note.id) {
        // Another file by now.
        return Ok(false);
    }
    let whole = volume.keys.content.block();
    let is_damaged = |number: u64, size: u64| -> Result<bool> {
        let position = content.position(number)?;
        let len = usize::try_from(size.saturating_sub(position)).map_or(whole, |len| len.min(whole));
        let mut block = vec![0; len];
        let len = inner.read_at((&mut block[..]).into(), position)?;
        Ok(len == 0 || volume.keys.content.open_block(&mut block[..len], number, note.id).is_err())
    };
    let mut has_changed = false;
    for (number, block) in (note.first..).zip(blocks.chunks_mut(whole)) {
        if !is_damaged(number, size)? {
            continue;
        }
        // If the note is not whole either, the change was not begun.
        if volume.keys.content.open_block(&mut block.to_vec(), number, note.id).is_err() {
            return Ok(has_changed);
        }
        if let (_, Some(error)) = content.put(block, content.position(number)?) {
            return Err(error);
        }
        has_changed = true;
        size = size.max(content.position(number)? + block.len() as u64);
    }
    if note.after < note.before {
        if has_changed && size > note.after {
            node.set_size(note.after)?;
        }
        return Ok(has_changed);
    }
    // Behind the former end, only the last block can have come halfway.
    if size > note.before && size > HEADER_LEN as u64 {
        let last = content.layout().plain_size(size).saturating_sub(1) / super::content::PLAIN;
        if is_damaged(last, size)? {
            node.set_size(content.position(last)?)?;
            has_changed = true;
        }
    }
    Ok(has_changed)
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
