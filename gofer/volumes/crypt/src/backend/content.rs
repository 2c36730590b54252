//! Content: plain bytes in, encrypted blocks out, and back.

use lisafs::backend::{AllocateFlags, Errno, Error, IoSource, IoTarget, OpenFile, Result};

use super::Volume;
use super::buffer::{BLOCKS, LEAD};
use super::inode::Inode;
use super::node::Node;
use super::redo::Note;
use crate::format::{BLOCK, FileId, HEADER_LEN, Layout};

/// Plain bytes of a block, as a number of bytes in a file.
pub(super) const PLAIN: u64 = BLOCK as u64;

/// A regular file that is open in the inner backend.
pub(super) struct Content<'a> {
    pub(super) volume: &'a Volume,
    pub(super) node: &'a Node,
    pub(super) inode: &'a Inode,
    pub(super) inner: &'a dyn OpenFile,
}

/// A file as it is before a change, and after each step of it.
#[derive(Debug)]
pub(super) struct State {
    /// `None` if there is no header yet.
    pub(super) id: Option<FileId>,
    /// Plain bytes.
    pub(super) size: u64,
    /// Bytes in the inner backend.
    pub(super) stored: u64,
    /// Whether not all of them have room of their own.
    is_sparse: bool,
}

impl Content<'_> {
    pub(super) fn layout(&self) -> Layout {
        self.volume.keys.content.layout()
    }

    /// Where block `number` begins.
    pub(super) fn position(&self, number: u64) -> Result<u64> {
        self.layout().position(number).ok_or(Error::FBIG)
    }

    /// Reads until `into` is full or the file ends.
    pub(super) fn read(&self, mut into: IoTarget<'_>, offset: u64) -> Result<usize> {
        let _content = self.inode.content.read();
        let Some(id) = self.inode.id(self.volume, self.inner)? else { return Ok(0) };
        let mut done = 0;
        while done < into.len() {
            let Some(at) = offset.checked_add(done as u64) else { break };
            let wanted = (into.len() - done).min(BLOCKS * BLOCK - within(at));
            let count = self.read_blocks(into.part(done, wanted), at, id)?;
            done += count;
            if count < wanted {
                break;
            }
        }
        Ok(done)
    }

    /// Reads what is in a buffer full of blocks.
    fn read_blocks(&self, mut into: IoTarget<'_>, at: u64, id: FileId) -> Result<usize> {
        let content = &self.volume.keys.content;
        let (size, skip) = (content.block(), within(at));
        let Some(position) = self.layout().position(at / PLAIN) else { return Ok(0) };
        let mut buffer = self.volume.buffers.take();
        let blocks = &mut buffer[..(skip + into.len()).div_ceil(BLOCK) * size];
        let len = self.inner.read_at((&mut *blocks).into(), position)?;
        let blocks = &mut blocks[..len];
        content.open_blocks(blocks, at / PLAIN, id).map_err(|number| self.damaged(number))?;
        let mut done = 0;
        for (index, block) in blocks.chunks(size).enumerate() {
            let plain = &block[content.nonce()..content.nonce() + block.len() - content.overhead()];
            let plain = plain.get(if index == 0 { skip } else { 0 }..).unwrap_or_default();
            let plain = &plain[..plain.len().min(into.len() - done)];
            into.put(done, plain);
            done += plain.len();
        }
        Ok(done)
    }

    /// Decrypts block `number` where it is to be in a buffer, and says how many plain bytes it has.
    pub(super) fn read_block(&self, block: &mut [u8], number: u64, id: FileId) -> Result<usize> {
        let len = self.inner.read_at((&mut *block).into(), self.position(number)?)?;
        self.open_block(&mut block[..len], number, id)
    }

    fn open_block(&self, block: &mut [u8], number: u64, id: FileId) -> Result<usize> {
        self.volume.keys.content.open_block(block, number, id).map(<[u8]>::len).map_err(|_| self.damaged(number))
    }

    pub(super) fn damaged(&self, number: u64) -> Error {
        self.volume.damage.error(|| self.inode.tell(format_args!("block {number} is damaged")))
    }

    /// Writes as much of `from` as there is room for.
    pub(super) fn write(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        if from.is_empty() {
            return Ok(0);
        }
        let end = offset.checked_add(from.len() as u64).filter(|end| self.layout().cipher_size(*end).is_some());
        let end = end.ok_or(Error::FBIG)?;
        let _content = self.inode.content.write();
        let mut state = self.state()?;
        self.reserve(&state, offset, end)?;
        self.close_gap(&mut state, offset)?;
        let mut done = 0;
        while done < from.len() {
            let at = offset + done as u64;
            let wanted = (from.len() - done).min(BLOCKS * BLOCK - within(at));
            match self.write_blocks(&mut state, &from.part(done, wanted), at) {
                Ok(count) => {
                    done += count;
                    if count < wanted {
                        break;
                    }
                }
                // What was written counts. Whoever writes the rest gets the error, since its cause lasts.
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// The file as it is now. With the content held for writing.
    pub(super) fn state(&self) -> Result<State> {
        let stat = self.inner.stat()?;
        if stat.size == 0 {
            self.inode.set_id(None);
        }
        Ok(State {
            id: self.inode.id(self.volume, self.inner)?,
            size: self.layout().plain_size(stat.size),
            stored: stat.size,
            is_sparse: stat.blocks.saturating_mul(512) < stat.size,
        })
    }

    /// Takes room for what is written into a hole: a block of which only a part finds room would be damaged. What is behind the
    /// end needs none, since it can be cut off again.
    fn reserve(&self, state: &State, start: u64, end: u64) -> Result<()> {
        if !state.is_sparse || start >= state.size {
            return Ok(());
        }
        let (from, to) = (self.position(start / PLAIN)?, self.position(end.min(state.size).div_ceil(PLAIN))?);
        match self.inner.allocate(AllocateFlags::KEEP_SIZE, from, to - from) {
            Err(error) if [Errno::NOSPC, Errno::DQUOT].contains(&error.errno()) => Err(error),
            // It was worth trying.
            _ => Ok(()),
        }
    }

    /// Makes the file such that what comes next can be written at `offset`: before a hole there are only whole blocks.
    pub(super) fn close_gap(&self, state: &mut State, offset: u64) -> Result<()> {
        let number = offset / PLAIN;
        if within(state.size) > 0 && number > state.size / PLAIN {
            let missing = BLOCK - within(state.size);
            self.write_zeros(state, state.size, missing)?;
        }
        if state.id.is_none() && number > 0 {
            let id = FileId::random();
            let (written, error) = self.put(&id.header(), 0);
            if let Some(error) = error {
                self.cut(written > 0, 0);
                return Err(error);
            }
            self.inode.set_id(Some(id));
            (state.id, state.stored) = (Some(id), HEADER_LEN as u64);
        }
        Ok(())
    }

    /// Writes zeros into one block.
    pub(super) fn write_zeros(&self, state: &mut State, at: u64, len: usize) -> Result<()> {
        const ZEROS: [u8; BLOCK] = [0; BLOCK];
        if len > 0 {
            self.write_blocks(state, &ZEROS[..len].into(), at)?;
        }
        Ok(())
    }

    /// Writes a buffer full of blocks, which begin at most where the file ends, or at a block behind it.
    fn write_blocks(&self, state: &mut State, from: &IoSource<'_>, at: u64) -> Result<usize> {
        let content = &self.volume.keys.content;
        let (size, nonce) = (content.block(), content.nonce());
        let (first, skip) = (at / PLAIN, within(at));
        let count = (skip + from.len()).div_ceil(BLOCK);
        let last = first + count as u64 - 1;
        let end = skip + from.len() - (count - 1) * BLOCK;

        let mut buffer = self.volume.buffers.take();
        let id = state.id.unwrap_or_else(FileId::random);
        // With the first block in one step, so that there is no header without it.
        let (head, position) = match state.id {
            Some(_) => (0, self.position(first)?),
            None => (HEADER_LEN, 0),
        };
        buffer[LEAD - HEADER_LEN..LEAD].copy_from_slice(&id.header());
        let blocks = &mut buffer[LEAD..];

        // How much of a block there is.
        let held =
            |number: u64| usize::try_from(state.size.saturating_sub(number * PLAIN)).map_or(BLOCK, |n| n.min(BLOCK));
        let (first_held, last_held) = (held(first), held(last));
        let needs_first = first_held > 0 && (skip > 0 || count == 1 && end < first_held);
        let is_end = (1..BLOCK).contains(&first_held);
        let mut before = None;
        if needs_first || is_end {
            let block = &mut blocks[..first_held + content.overhead()];
            let len = self.inner.read_at((&mut *block).into(), self.position(first)?)?;
            before = is_end.then(|| block[..len].to_vec());
            if needs_first && self.open_block(&mut block[..len], first, id)? != first_held {
                return Err(self.damaged(first));
            }
        }
        if let Some(gap) = blocks.get_mut(nonce + first_held..nonce + skip) {
            gap.fill(0);
        }
        if count > 1 && end < last_held {
            let block = &mut blocks[(count - 1) * size..][..last_held + content.overhead()];
            if self.read_block(block, last, id)? != last_held {
                return Err(self.damaged(last));
            }
        }
        let mut taken = 0;
        for (index, block) in blocks.chunks_mut(size).take(count).enumerate() {
            let start = if index == 0 { skip } else { 0 };
            let end = if index == count - 1 { end } else { BLOCK };
            from.get(taken, &mut block[nonce + start..nonce + end]);
            taken += end - start;
        }
        let sealed = (count - 1) * size + end.max(last_held) + content.overhead();
        content.seal_blocks(&mut blocks[..sealed], first, id);

        let there = usize::try_from(state.size.div_ceil(PLAIN).saturating_sub(first)).map_or(count, |n| n.min(count));
        let note = Note {
            ino: self.node.identity.2,
            id,
            first,
            before: state.stored,
            after: state.stored.max(position + (head + sealed) as u64),
            len: sealed.min(there * size) as u64,
        };
        let _noted = if there == 0 {
            self.volume.note(&note.to_bytes())
        } else {
            // There is a header, so its room is free.
            let start = LEAD - note.to_bytes().len();
            buffer[start..LEAD].copy_from_slice(&note.to_bytes());
            self.volume.note(&buffer[start..LEAD + sealed.min(there * size)])
        };
        let (written, error) = self.put(&buffer[LEAD - head..LEAD + sealed], position);
        let whole = if error.is_none() { count } else { written.saturating_sub(head) / size };
        if let Some(error) = error {
            tracing::debug!(%error, written, "a write has ended early");
            // A block that is there in part is worth less than none.
            let kept = if whole == 0 { state.stored } else { self.position(first + whole as u64)?.max(state.stored) };
            if let Some(before) = before.filter(|_| whole == 0) {
                let (_, error) = self.put(&before, position);
                if error.is_some() {
                    tracing::warn!("{}", self.inode.tell(format_args!("block {first} could not be restored")));
                }
            }
            self.cut(written > 0, kept);
            state.stored = kept;
            if whole == 0 {
                return Err(error);
            }
        } else {
            state.stored = state.stored.max(position + (head + sealed) as u64);
        }
        state.id = Some(id);
        self.inode.set_id(Some(id));
        let taken = (whole * BLOCK - skip).min(from.len());
        state.size = state.size.max(at + taken as u64);
        Ok(taken)
    }

    /// Writes `bytes` and says how many were written, and why not all.
    pub(super) fn put(&self, bytes: &[u8], position: u64) -> (usize, Option<Error>) {
        let mut done = 0;
        while done < bytes.len() {
            match self.inner.write_at(bytes[done..].into(), position + done as u64) {
                Ok(0) => return (done, Some(Error::IO)),
                Ok(count) => done += count,
                Err(error) => return (done, Some(error)),
            }
        }
        (done, None)
    }

    /// Takes back what was written beyond `size` bytes of the inner file.
    fn cut(&self, is_longer: bool, size: u64) {
        if !is_longer {
            return;
        }
        if let Err(error) = self.node.set_size(size) {
            tracing::warn!(%error, "{}", self.inode.tell("its last block is not whole"));
        }
    }
}

/// The place of a plain byte in its block.
pub(super) fn within(at: u64) -> usize {
    (at % PLAIN) as usize
}
