//! Writing content: plain bytes in, encrypted blocks out.

use lisafs::backend::{AllocateFlags, Errno, Error, IoSource, Result};

use super::buffer::{Buffer, LEAD, Parts};
use super::content::{Content, PLAIN, State, within};
use super::helpers::in_order;
use super::redo::{NOTE, Note};
use crate::format::{BLOCK, FileId, HEADER_LEN};

/// Encrypted blocks, which begin at most where the file ends, or at a block behind it.
struct Ready<'a> {
    /// They are behind the [`LEAD`].
    buffer: Buffer<'a>,
    id: FileId,
    /// The number of the first, and how many there are.
    first: u64,
    count: usize,
    /// Their bytes.
    len: usize,
    /// The first plain byte that is written in the first.
    skip: usize,
    /// How many are.
    taken: usize,
    /// The block at the end of the file as it is, if it is not whole and will be changed.
    before: Option<(u64, Vec<u8>)>,
}

impl Content<'_> {
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
        let id = state.id.unwrap_or_else(FileId::random);
        // What comes after has nothing to do with what is changed before: the parts meet between blocks. So they are
        // encrypted on several threads, while this one writes those that are ready.
        let (parts, size) = (Parts::new(offset, from.len()), state.size);
        let prepare = |number| {
            let (range, at) = parts.get(number);
            self.prepare(size, id, from.part(range.start, range.len()), at)
        };
        let mut done = 0;
        let mut failed = None;
        in_order(self.volume.helpers, parts.count(), prepare, |ready| {
            let wanted = ready.as_ref().map_or(0, |ready| ready.taken);
            match ready.and_then(|ready| self.commit(&mut state, ready)) {
                Ok(count) => {
                    done += count;
                    count == wanted
                }
                Err(error) => {
                    failed = Some(error);
                    false
                }
            }
        });
        match failed {
            // What was written counts. Whoever writes the rest gets the error, since its cause lasts.
            Some(error) if done == 0 => Err(error),
            _ => Ok(done),
        }
    }

    /// Takes room for what is written into a hole: a block of which only a part finds room would be damaged. What is
    /// behind the end needs none, since it can be cut off again.
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
            let id = state.id.unwrap_or_else(FileId::random);
            let ready = self.prepare(state.size, id, ZEROS[..len].into(), at)?;
            self.commit(state, ready)?;
        }
        Ok(())
    }

    /// Encrypts a buffer full of blocks of a file with `plain_size` plain bytes.
    fn prepare(&self, plain_size: u64, id: FileId, from: IoSource<'_>, at: u64) -> Result<Ready<'_>> {
        let content = &self.volume.keys.content;
        let (size, nonce) = (content.block(), content.nonce());
        let (first, skip) = (at / PLAIN, within(at));
        let count = (skip + from.len()).div_ceil(BLOCK);
        let last = first + count as u64 - 1;
        let end = skip + from.len() - (count - 1) * BLOCK;

        let mut buffer = self.volume.buffers.take();
        let blocks = &mut buffer[LEAD..];
        // How much of a block there is.
        let held =
            |number: u64| usize::try_from(plain_size.saturating_sub(number * PLAIN)).map_or(BLOCK, |n| n.min(BLOCK));
        let (first_held, last_held) = (held(first), held(last));
        // It may get longer, for which there may be no room: then only what is there already would be new.
        let tail = plain_size / PLAIN;
        let is_changed = within(plain_size) > 0 && (first..=last).contains(&tail);
        let before = if is_changed { Some((tail, self.stored_block(tail, held(tail))?)) } else { None };
        let load = |block: &mut [u8], number: u64, wanted: usize| -> Result<()> {
            let len = match &before {
                Some((tail, stored)) if *tail == number => {
                    block[..stored.len()].copy_from_slice(stored);
                    self.open_block(&mut block[..stored.len()], number, id)?
                }
                _ => self.read_block(block, number, id)?,
            };
            if len == wanted { Ok(()) } else { Err(self.damaged(number)) }
        };
        if first_held > 0 && (skip > 0 || count == 1 && end < first_held) {
            load(&mut blocks[..first_held + content.overhead()], first, first_held)?;
        }
        if let Some(gap) = blocks.get_mut(nonce + first_held..nonce + skip) {
            gap.fill(0);
        }
        if count > 1 && end < last_held {
            load(&mut blocks[(count - 1) * size..][..last_held + content.overhead()], last, last_held)?;
        }
        let mut taken = 0;
        for (index, block) in blocks.chunks_mut(size).take(count).enumerate() {
            let start = if index == 0 { skip } else { 0 };
            let end = if index == count - 1 { end } else { BLOCK };
            from.get(taken, &mut block[nonce + start..nonce + end]);
            taken += end - start;
        }
        let len = (count - 1) * size + end.max(last_held) + content.overhead();
        content.seal_blocks(&mut blocks[..len], first, id);
        Ok(Ready { buffer, id, first, count, len, skip, taken, before })
    }

    /// Block `number`, which has `held` plain bytes, as it is stored.
    fn stored_block(&self, number: u64, held: usize) -> Result<Vec<u8>> {
        let mut block = vec![0; held + self.volume.keys.content.overhead()];
        let len = self.inner.read_at((&mut *block).into(), self.position(number)?)?;
        block.truncate(len);
        Ok(block)
    }

    /// Writes blocks, and says how many plain bytes have found their way.
    fn commit(&self, state: &mut State, ready: Ready<'_>) -> Result<usize> {
        let size = self.volume.keys.content.block();
        let Ready { mut buffer, id, first, count, len, skip, taken, before } = ready;
        // With the first block in one step, so that there is no header without it.
        let (head, position) = match state.id {
            Some(_) => (0, self.position(first)?),
            None => (HEADER_LEN, 0),
        };
        let there = usize::try_from(state.size.div_ceil(PLAIN).saturating_sub(first)).map_or(count, |n| n.min(count));
        let there = len.min(there * size);
        let after = state.stored.max(position + (head + len) as u64);
        let note =
            Note { ino: self.node.identity.2, id, first, before: state.stored, after, len: there as u64 }.to_bytes();
        let _noted = if there == 0 {
            buffer[LEAD - HEADER_LEN..LEAD].copy_from_slice(&id.header());
            self.volume.note(&note)
        } else {
            // There is a header already, so its room is free.
            buffer[LEAD - NOTE..LEAD].copy_from_slice(&note);
            self.volume.note(&buffer[LEAD - NOTE..LEAD + there])
        };
        // What is there already needs no room, but would fail with what does in one call: with all that is in one folio of
        // the host. The block at the end can be restored.
        let bytes = &buffer[LEAD - head..LEAD + len];
        let is_restored = before.as_ref().is_some_and(|(number, _)| *number == first);
        let in_place = if is_restored { 0 } else { state.stored.saturating_sub(position) };
        let (old, new) = bytes.split_at(usize::try_from(in_place).map_or(bytes.len(), |len| len.min(bytes.len())));
        let (written, error) = match self.put(old, position) {
            (len, None) => {
                let (more, error) = self.put(new, position + len as u64);
                (len + more, error)
            }
            failed => failed,
        };
        let whole = if error.is_none() { count } else { written.saturating_sub(head) / size };
        if let Some(error) = error {
            tracing::debug!(%error, written, "a write has ended early");
            // A block that is there in part is worth less than none.
            let reached = first + whole as u64;
            let kept = if whole == 0 { state.stored } else { self.position(reached)?.max(state.stored) };
            if let Some((number, before)) = before.filter(|(number, _)| *number == reached) {
                let (_, error) = self.put(&before, self.position(number)?);
                if error.is_some() {
                    tracing::warn!("{}", self.inode.tell(format_args!("block {number} could not be restored")));
                }
            }
            self.cut(written > 0, kept);
            state.stored = kept;
            if whole == 0 {
                return Err(error);
            }
        } else {
            state.stored = after;
        }
        state.id = Some(id);
        self.inode.set_id(Some(id));
        let taken = (whole * BLOCK - skip).min(taken);
        state.size = state.size.max(first * PLAIN + (skip + taken) as u64);
        Ok(taken)
    }
}
