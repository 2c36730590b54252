//! Blocks of one file.

use std::io;
use std::os::fd::BorrowedFd;

use rayon::prelude::*;
use rustix::fs::{SeekFrom, Stat, seek};
use rustix::io::{Errno, pread, retry_on_intr};

use super::Problem;
use crate::backend::Mend;
use crate::format::{Content, FileId, HEADER_LEN, Layout};

/// Blocks that are read at once.
const AT_ONCE: usize = 256;

/// Damaged blocks in a row.
#[derive(Clone, Copy)]
struct Run {
    first: u64,
    last: u64,
}

/// A file as it is stored, and will be after the next mount.
pub(super) struct Stored<'a> {
    file: BorrowedFd<'a>,
    size: u64,
    mend: Option<&'a Mend>,
}

impl<'a> Stored<'a> {
    pub(super) fn new(file: BorrowedFd<'a>, stat: &Stat, mend: Option<&'a Mend>) -> Self {
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        Stored { file, size: mend.map_or(size, |mend| mend.size(size)), mend }
    }

    /// Fills `buffer` unless the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(mend) = self.mend else { return read_at(self.file, buffer, offset) };
        let len = usize::try_from(self.size.saturating_sub(offset)).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let bytes = &mut buffer[..len];
        let there = read_at(self.file, bytes, offset)?;
        bytes[there..].fill(0);
        mend.patch(bytes, offset);
        Ok(len)
    }
}

/// What is wrong with the content of `file`. `read` hears how many bytes were looked at; holes are none.
pub(super) fn problems(content: &Content, file: &Stored<'_>, read: &mut dyn FnMut(u64)) -> io::Result<Vec<Problem>> {
    let size = file.size;
    if size == 0 {
        return Ok(Vec::new());
    }
    let mut header = [0; HEADER_LEN];
    let len = file.read_at(&mut header, 0)?;
    read(len as u64);
    let id = match FileId::parse(&header[..len]) {
        Ok(id) => id,
        Err(reason) => return Ok(vec![Problem::Header { reason }]),
    };
    let layout = content.layout();
    let blocks = size.saturating_sub(HEADER_LEN as u64).div_ceil(layout.block());
    let mut buffer = vec![0; AT_ONCE * content.block()];
    let mut runs: Vec<Run> = Vec::new();
    let mut problems = Vec::new();
    let mut number = 0;
    while number < blocks {
        // The last block is looked at in any case: only whole ones can be holes.
        let data = next_data(file.file, position(layout, number)?);
        let data = data.map_or(blocks, |data| data.saturating_sub(HEADER_LEN as u64) / layout.block());
        number = data.clamp(number, blocks - 1);
        let len = file.read_at(&mut buffer, position(layout, number)?)?;
        if len == 0 {
            break;
        }
        read(len as u64);
        let open = |(at, block): (usize, &mut [u8])| {
            let is_cut_off = block.len() <= content.overhead();
            let number = number + at as u64;
            content.open_block(block, number, id).is_err().then_some((number, is_cut_off))
        };
        let damaged: Vec<_> = buffer[..len].par_chunks_mut(content.block()).enumerate().filter_map(open).collect();
        for (number, is_cut_off) in damaged {
            if is_cut_off {
                problems.push(Problem::CutOff { block: number });
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.last + 1 == number => run.last = number,
                _ => runs.push(Run { first: number, last: number }),
            }
        }
        number += AT_ONCE as u64;
        if len < buffer.len() {
            break;
        }
    }
    let count: u64 = runs.iter().map(|run| run.last - run.first + 1).sum();
    let blocks_of = |run: Run| Problem::Blocks { first: run.first, last: run.last, all: count == blocks };
    problems.splice(0..0, runs.into_iter().map(blocks_of));
    Ok(problems)
}

fn position(layout: Layout, number: u64) -> io::Result<u64> {
    layout.position(number).ok_or_else(|| io::ErrorKind::FileTooLarge.into())
}

/// Where data comes at or after `from`; `None` if there is only a hole. Where the file system cannot tell, all is data.
fn next_data(file: BorrowedFd<'_>, from: u64) -> Option<u64> {
    match seek(file, SeekFrom::Data(from)) {
        Ok(data) => Some(data),
        Err(Errno::NXIO) => None,
        Err(_) => Some(from),
    }
}

/// Fills `buffer` unless the file ends before.
fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match retry_on_intr(|| pread(file, &mut buffer[len..], offset + len as u64))? {
            0 => break,
            more => len += more,
        }
    }
    Ok(len)
}
