//! Content: encrypted blocks in, plain bytes out. The way back is in [`write`](super::write).

use lisafs::backend::{Errno, Error, IoTarget, OpenFile, Result};
use parking_lot::Mutex;

use super::Volume;
use super::buffer::Parts;
use super::helpers::in_order;
use super::inode::Inode;
use super::node::Node;
use crate::format::{BLOCK, FileId, Layout};

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
    pub(super) is_sparse: bool,
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
        match self.read_parts(into.reborrow(), offset, id) {
            // Another process has made it anew.
            Err(error) if error == Errno::STALE => match self.inode.id(self.volume, self.inner)? {
                Some(now) if now != id => self.read_parts(into, offset, now),
                Some(_) => Err(error),
                None => Ok(0),
            },
            read => read,
        }
    }

    /// Reads what does not fit into one buffer on several threads.
    fn read_parts(&self, into: IoTarget<'_>, offset: u64, id: FileId) -> Result<usize> {
        let parts = Parts::new(offset, into.len());
        let count = parts.count();
        if count == 1 {
            return self.read_blocks(into, offset, id);
        }
        let mut targets = Vec::with_capacity(count);
        let mut rest = into;
        for number in 0..count {
            let (part, more) = rest.split_at(parts.get(number).0.len());
            targets.push(Mutex::new(Some(part)));
            rest = more;
        }
        let read = |number: usize| {
            let (range, at) = parts.get(number);
            let target = targets[number].lock().take();
            (range.len(), target.map_or(Ok(0), |target| self.read_blocks(target, at, id)))
        };
        let mut done = Ok(0);
        in_order(self.volume.helpers, count, read, |(wanted, read)| match (&mut done, read) {
            (Ok(done), Ok(count)) => {
                *done += count;
                // Behind the end there is nothing.
                count == wanted
            }
            (_, read) => {
                done = read;
                false
            }
        });
        done
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
        content.open_blocks(blocks, at / PLAIN, id).map_err(|number| self.unless_stale(number, id))?;
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

    pub(super) fn open_block(&self, block: &mut [u8], number: u64, id: FileId) -> Result<usize> {
        self.volume.keys.content.open_block(block, number, id).map(<[u8]>::len).map_err(|_| self.damaged(number))
    }

    /// `ESTALE` if the file has another id than `id` by now.
    fn unless_stale(&self, number: u64, id: FileId) -> Error {
        match self.inode.stored_id(self.volume, self.inner) {
            Ok(now) if now != Some(id) => Errno::STALE.into(),
            _ => self.damaged(number),
        }
    }

    pub(super) fn damaged(&self, number: u64) -> Error {
        self.volume.damage.error(|| self.inode.tell(format_args!("block {number} is damaged")))
    }

    /// The file as it is now. With the content held for writing.
    pub(super) fn state(&self) -> Result<State> {
        let stat = self.inner.stat()?;
        let id = if stat.size > 0 { self.inode.stored_id(self.volume, self.inner)? } else { None };
        self.inode.set_id(id);
        Ok(State {
            id,
            size: self.layout().plain_size(stat.size),
            stored: stat.size,
            is_sparse: stat.blocks.saturating_mul(512) < stat.size,
        })
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
    pub(super) fn cut(&self, is_longer: bool, size: u64) {
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
