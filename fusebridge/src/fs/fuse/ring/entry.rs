//! One entry of a queue.
#![allow(unsafe_code, reason = "its memory is shared with the kernel, and used by turns")]

use std::sync::Arc;

use lisafs::Errno;
use lisafs::iobuf::IoSource;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use super::area::Area;
use super::commands::Parts;
use super::reserve::Commits;
use crate::fs::fuse::abi::{InHeader, OutHeader, RingHeader};
use crate::fs::fuse::device::error_number;

/// Memory for one request and its answer. By turns it belongs to the kernel, until it holds a request, and to the one
/// thread that has the right to answer that, until it is committed.
#[derive(Debug)]
pub(in super::super) struct Entry {
    id: usize,
    queue: u16,
    area: Arc<Area>,
    index: usize,
    parts: Parts,
    commits: Arc<Commits>,
}

impl Entry {
    /// Entry `id` of `queue`, which is number `index` in `area`.
    pub(super) fn new(id: usize, queue: u16, (area, index): (&Arc<Area>, usize), commits: &Arc<Commits>) -> Arc<Self> {
        let parts = Parts::new(area.header(index), area.payload(index), area.payload_size());
        Arc::new(Entry { id, queue, area: area.clone(), index, parts, commits: commits.clone() })
    }

    /// Its number among all of the mount.
    pub(super) fn id(&self) -> usize {
        self.id
    }

    /// The number of its queue.
    pub(super) fn queue(&self) -> u16 {
        self.queue
    }

    /// Where its parts are.
    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The number by which the kernel knows the request that it holds.
    pub(super) fn commit(&self) -> u64 {
        self.read().commit
    }

    fn read(&self) -> RingHeader {
        // SAFETY: it holds a request, and only who has the right to answer that changes it.
        unsafe { self.area.read_header(self.index) }
    }

    /// Copies the request that it holds to `buffer`, as one read of the device would have brought it. Who gives the
    /// request up while a thread is at work on it lets the kernel have the entry back, with all that the request has
    /// been made of.
    pub(super) fn receive<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8] {
        let entry = self.read();
        // Any 40 bytes are a header.
        let header = InHeader::read_from_prefix(&entry.header).map_or(InHeader::new_zeroed(), |(header, _)| header);
        let before = size_of::<InHeader>();
        buffer[..before].copy_from_slice(header.as_bytes());
        match operation_len(&header, &entry, (self.area.payload_size(), buffer.len())) {
            Some(operation) => {
                let payload = before + operation;
                buffer[before..payload].copy_from_slice(&entry.operation[..operation]);
                let end = payload + entry.payload as usize;
                // SAFETY: as above.
                unsafe { self.area.read_payload(self.index, &mut buffer[payload..end]) };
                &buffer[..end]
            }
            // That is not what the header says.
            None => &buffer[..before],
        }
    }

    /// Puts the answer to request `unique` here.
    pub(in super::super) fn answer(&self, unique: u64, body: &IoSource<'_>) {
        if body.len() > self.area.payload_size() {
            tracing::warn!(bytes = body.len(), "an answer is longer than the kernel has room for");
            return self.refuse(unique, Errno::IO);
        }
        // SAFETY: it holds the request, which only this thread answers, and nobody reads it any more.
        unsafe { self.area.write_payload(self.index, body) };
        self.finish(unique, 0, body.len());
    }

    /// Puts an error here as the answer to request `unique`.
    pub(in super::super) fn refuse(&self, unique: u64, error: Errno) {
        self.finish(unique, -error_number(error), 0);
    }

    fn finish(&self, unique: u64, error: i32, len: usize) {
        let body = u32::try_from(len).unwrap_or(0);
        let whole = u32::try_from(size_of::<OutHeader>()).unwrap_or(0) + body;
        let header = OutHeader { len: whole, error, unique };
        let mut entry = RingHeader { payload: body, ..self.read() };
        entry.header[..size_of::<OutHeader>()].copy_from_slice(header.as_bytes());
        // SAFETY: as for `answer`.
        unsafe { self.area.write_header(self.index, entry) };
    }

    /// Has the reserve commit it.
    pub(in super::super) fn hand_over(self: &Arc<Self>) {
        self.commits.push(self.clone());
    }
}

/// How long the part of a request is that stands before names and data, which has been in a payload of one size and is
/// to go into a buffer of another. `None`: it does not fit together.
fn operation_len(header: &InHeader, entry: &RingHeader, (size, room): (usize, usize)) -> Option<usize> {
    let (len, payload) = (header.len as usize, entry.payload as usize);
    let operation = len.checked_sub(size_of::<InHeader>())?.checked_sub(payload)?;
    (operation <= entry.operation.len() && payload <= size && len <= room).then_some(operation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::fuse::abi::opcode;
    use crate::fs::fuse::request::{Malformed, Operation, Request};

    /// An entry that holds a request of type `opcode` that says that it is `len` bytes long.
    fn holding(opcode: u32, len: u32, operation: &[u8], payload: &[u8], said: u32) -> Arc<Entry> {
        let area = Arc::new(Area::new(2, 8192).unwrap());
        let entry = Entry::new(5, 1, (&area, 1), &Commits::new().unwrap());
        let header = InHeader { len, opcode, unique: 8, node: 1, ..InHeader::new_zeroed() };
        let mut bytes = RingHeader { commit: 8, payload: said, ..RingHeader::new_zeroed() };
        bytes.header[..size_of::<InHeader>()].copy_from_slice(header.as_bytes());
        bytes.operation[..operation.len()].copy_from_slice(operation);
        // SAFETY: there is no kernel, and no other thread.
        unsafe {
            area.write_header(1, bytes);
            area.write_payload(1, &payload.into());
        }
        entry
    }

    #[test]
    fn a_request_comes_as_it_would_from_the_device() {
        let mut buffer = vec![0; 8192];
        let entry = holding(opcode::LOOKUP, 45, &[], b"name\0", 5);
        let request = Request::decode(entry.receive(&mut buffer)).unwrap();
        assert_eq!(request.operation, Operation::Lookup { name: b"name" });
        let entry = holding(opcode::MKDIR, 40 + 8 + 2, &[0xed, 1, 0, 0, 0, 0, 0, 0], b"d\0", 2);
        let request = Request::decode(entry.receive(&mut buffer)).unwrap();
        assert!(matches!(request.operation, Operation::MkDir(dir, b"d") if dir.mode == 0o755));
    }

    #[test]
    fn a_request_whose_lengths_do_not_fit_together_is_malformed() {
        let mut buffer = vec![0; 8192];
        for (len, said) in [(0, 5), (39, 0), (45, 6), (40 + 129, 0), (u32::MAX, 5), (u32::MAX, u32::MAX), (9000, 8900)]
        {
            let entry = holding(opcode::LOOKUP, len, &[], b"name\0", said);
            let request = Request::decode(entry.receive(&mut buffer));
            assert!(matches!(request, Err(Malformed::Content(header)) if header.unique == 8), "{len} {said}");
        }
    }

    #[test]
    fn an_answer_takes_the_place_of_the_request() {
        let entry = holding(opcode::LOOKUP, 45, &[], b"name\0", 5);
        let out = |entry: &Entry| OutHeader::read_from_prefix(&entry.read().header).unwrap().0;
        entry.answer(8, &b"answer"[..].into());
        assert_eq!(out(&entry), OutHeader { len: 22, error: 0, unique: 8 });
        assert_eq!((entry.read().payload, entry.commit()), (6, 8));
        entry.answer(8, &vec![0; 8193][..].into());
        assert_eq!(out(&entry), OutHeader { len: 16, error: -libc::EIO, unique: 8 });
        entry.refuse(8, Errno::from_raw_os_error(100_000));
        assert_eq!((out(&entry).error, entry.read().payload), (-libc::EIO, 0));
    }
}
