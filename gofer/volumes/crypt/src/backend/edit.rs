//! Sizes and holes.

use std::cmp::Ordering;

use lisafs::backend::{AllocateFlags, Errno, Error, Result, SeekTo};

use super::buffer::LEAD;
use super::content::{Content, PLAIN, State, within};
use super::redo::{NOTE, Note};
use crate::format::HEADER_LEN;

impl Content<'_> {
    /// Makes the file `size` plain bytes long.
    pub(super) fn resize(&self, size: u64) -> Result<()> {
        self.layout().cipher_size(size).ok_or(Error::FBIG)?;
        let _content = self.inode.content.write();
        let mut state = self.state()?;
        match size.cmp(&state.size) {
            // Times change all the same.
            Ordering::Equal => self.node.set_size(state.stored),
            Ordering::Greater => self.grow(&mut state, size),
            Ordering::Less => self.shrink(&state, size),
        }
    }

    fn grow(&self, state: &mut State, size: u64) -> Result<()> {
        // Where the last block begins that is not a hole: the last one can be one only if it is whole.
        let start = size - size % PLAIN;
        self.close_gap(state, size)?;
        if size > state.size && within(size) == 0 {
            return self.node.set_size(self.position(size / PLAIN)?);
        }
        let start = start.max(state.size);
        self.write_zeros(state, start, within(size) - within(start))
    }

    fn shrink(&self, state: &State, size: u64) -> Result<()> {
        let Some(id) = state.id.filter(|_| size > 0) else {
            self.node.set_size(0)?;
            self.inode.set_id(None);
            return Ok(());
        };
        let (number, rest) = (size / PLAIN, within(size));
        let position = self.position(number)?;
        if rest == 0 {
            return self.node.set_size(position);
        }
        let content = &self.volume.keys.content;
        let mut buffer = self.volume.buffers.take();
        let block = &mut buffer[LEAD..LEAD + content.block()];
        if self.read_block(block, number, id)? < rest {
            return Err(self.damaged(number));
        }
        let sealed = rest + content.overhead();
        content.seal_blocks(&mut block[..sealed], number, id);
        let after = position + sealed as u64;
        let note =
            Note { ino: self.node.identity.2, id, first: number, before: state.stored, after, len: sealed as u64 };
        buffer[LEAD - NOTE..LEAD].copy_from_slice(&note.to_bytes());
        let _noted = self.volume.note(&buffer[LEAD - NOTE..LEAD + sealed]);
        if let (_, Some(error)) = self.put(&buffer[LEAD..LEAD + sealed], position) {
            return Err(error);
        }
        self.node.set_size(after)
    }

    /// Reserves or frees space, as `fallocate(2)`.
    pub(super) fn allocate(&self, flags: AllocateFlags, offset: u64, length: u64) -> Result<()> {
        let (keep, punch, zero) = (AllocateFlags::KEEP_SIZE, AllocateFlags::PUNCH_HOLE, AllocateFlags::ZERO_RANGE);
        if length == 0 {
            return Err(Error::INVAL);
        }
        let end = offset.checked_add(length).ok_or(Error::FBIG)?;
        let stored = self.layout().cipher_size(end).ok_or(Error::FBIG)?;
        let _content = self.inode.content.write();
        let mut state = self.state()?;
        match flags {
            _ if flags.is_empty() || flags == keep => {
                let start = self.position(offset / PLAIN)?;
                self.inner.allocate(keep, start, stored - start)?;
            }
            _ if flags == punch | keep || flags == zero | keep || flags == zero => {
                self.punch(&mut state, offset, end)?;
            }
            // What moves content moves it by whole blocks of the inner backend, which ours are not.
            _ => return Err(Error::OPNOTSUPP),
        }
        if !flags.contains(keep) && end > state.size { self.grow(&mut state, end) } else { Ok(()) }
    }

    /// Makes zeros of a range: of whole blocks a hole.
    fn punch(&self, state: &mut State, start: u64, end: u64) -> Result<()> {
        let end = end.min(state.size);
        if start >= end {
            return Ok(());
        }
        let (first, last) = (start.div_ceil(PLAIN), end / PLAIN);
        if first < last {
            let (from, to) = (self.position(first)?, self.position(last)?);
            self.inner.allocate(AllocateFlags::PUNCH_HOLE | AllocateFlags::KEEP_SIZE, from, to - from)?;
        }
        if within(start) > 0 {
            let len = (first * PLAIN).min(end) - start;
            self.write_zeros(state, start, usize::try_from(len).map_err(|_| Error::INVAL)?)?;
        }
        // In the block of the start it is done.
        if last >= first {
            self.write_zeros(state, last * PLAIN, within(end))?;
        }
        Ok(())
    }

    /// Where data or a hole is, as `lseek(2)` finds it. A hole is made of blocks that are whole and of which nothing is there.
    pub(super) fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        let _content = self.inode.content.read();
        let size = self.layout().plain_size(self.inner.stat()?.size);
        if offset >= size {
            return Err(Error::NXIO);
        }
        let mut number = offset / PLAIN;
        loop {
            number = match what {
                SeekTo::Data => self.next_data(number)?,
                SeekTo::Hole => self.next_hole(number)?,
            };
            // A block that is not whole is none of a hole.
            let is_last = number >= size / PLAIN;
            return match what {
                SeekTo::Data if is_last && within(size) == 0 => Err(Error::NXIO),
                SeekTo::Data if is_last => Ok(offset.max(size / PLAIN * PLAIN)),
                SeekTo::Hole if is_last => Ok(size),
                SeekTo::Hole if !self.is_hole(number)? => {
                    number += 1;
                    continue;
                }
                SeekTo::Data | SeekTo::Hole => Ok(offset.max(number * PLAIN)),
            };
        }
    }

    /// The first block from `number` on of which something is there.
    fn next_data(&self, number: u64) -> Result<u64> {
        match self.inner.seek(self.position(number)?, SeekTo::Data) {
            Ok(data) => Ok(data.saturating_sub(HEADER_LEN as u64) / self.layout().block()),
            Err(error) if error == Errno::NXIO => Ok(u64::MAX),
            Err(error) => Err(error),
        }
    }

    /// The first block from `number` on of whose first byte nothing is there.
    fn next_hole(&self, number: u64) -> Result<u64> {
        let hole = self.inner.seek(self.position(number)?, SeekTo::Hole)?;
        Ok(hole.saturating_sub(HEADER_LEN as u64).div_ceil(self.layout().block()))
    }

    /// Whether nothing of block `number` is there, of which the first byte is not.
    fn is_hole(&self, number: u64) -> Result<bool> {
        match self.inner.seek(self.position(number)?, SeekTo::Data) {
            Ok(data) => Ok(data >= self.position(number + 1)?),
            Err(error) if error == Errno::NXIO => Ok(true),
            Err(error) => Err(error),
        }
    }
}
