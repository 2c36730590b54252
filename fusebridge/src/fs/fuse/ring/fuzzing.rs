//! What a ring makes of entries that no kernel fills so.
#![allow(unsafe_code, reason = "there is no kernel here, and memory of entries has one user")]

use std::sync::Arc;

use lisafs::Errno;
use zerocopy::{FromBytes, IntoBytes};

use super::area::Area;
use super::entry::Entry;
use super::reserve::Commits;
use crate::fs::fuse::abi::{LEAST_PAYLOAD, RingHeader};
use crate::fs::fuse::request::Request;

/// An entry of a ring between two others, for tests with bytes that no kernel sends.
#[doc(hidden)]
#[derive(Debug)]
pub struct FuzzedEntry {
    area: Arc<Area>,
    entry: Arc<Entry>,
}

/// Bytes of what an entry has besides data.
const HEADER: usize = size_of::<RingHeader>();
/// The place of the entry, and those of its neighbours.
const INDEX: usize = 1;
const NEIGHBOURS: [usize; 2] = [0, 2];
/// What the neighbours hold.
const FILLING: u8 = 0xa5;

impl FuzzedEntry {
    /// An entry with the smallest payload that there is.
    ///
    /// # Errors
    ///
    /// The system has no memory or descriptors.
    pub fn new() -> std::io::Result<Self> {
        let area = Arc::new(Area::new(NEIGHBOURS.len() + 1, LEAST_PAYLOAD)?);
        let entry = Entry::new(INDEX, 0, (&area, INDEX), &Commits::new()?);
        for index in NEIGHBOURS {
            // SAFETY: there is no kernel, and this thread is the only one that knows of the memory.
            unsafe {
                area.write_header(index, RingHeader::read_from_bytes(&[FILLING; HEADER]).expect("any bytes are one"));
                area.write_payload(index, &[FILLING; LEAST_PAYLOAD][..].into());
            }
        }
        Ok(FuzzedEntry { area, entry })
    }

    /// Has the entry hold `header` and `payload`, as much of them as there is room for, takes the request out into a
    /// buffer of `room` bytes, at least those of a request's header, and answers with `answer`. Says whether it was a
    /// request.
    ///
    /// # Panics
    ///
    /// Something was written outside of the entry, or is not what an entry should be.
    pub fn is_request(&self, header: &[u8], payload: &[u8], room: usize, answer: &[u8]) -> bool {
        let mut bytes = [0; HEADER];
        let len = header.len().min(HEADER);
        bytes[..len].copy_from_slice(&header[..len]);
        let payload = &payload[..payload.len().min(self.area.payload_size())];
        // SAFETY: as above.
        unsafe {
            self.area.write_header(INDEX, RingHeader::read_from_bytes(&bytes).expect("any bytes are one"));
            self.area.write_payload(INDEX, &payload.into());
        }
        let mut buffer = vec![FILLING; room];
        let request = self.entry.receive(&mut buffer);
        let (received, decoded) = (request.len(), Request::decode(request));
        let (is_request, unique) = (decoded.is_ok(), decoded.map_or(0, |request| request.header.unique));
        assert!(received <= room && buffer[received..].iter().all(|byte| *byte == FILLING), "within the request");
        let commit = self.entry.commit();
        match answer {
            [] => self.entry.refuse(unique, Errno::IO),
            answer => self.entry.answer(unique, &answer.into()),
        }
        assert_eq!(self.entry.commit(), commit, "by which the kernel knows it");
        self.check_neighbours();
        is_request
    }

    fn check_neighbours(&self) {
        let mut payload = [0; LEAST_PAYLOAD];
        for index in NEIGHBOURS {
            // SAFETY: as above.
            let header = unsafe {
                self.area.read_payload(index, &mut payload);
                self.area.read_header(index)
            };
            let is_left = header.as_bytes().iter().chain(&payload).all(|byte| *byte == FILLING);
            assert!(is_left, "entry {index} is another's");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fs::fuse::abi::InHeader;

    proptest! {
        #[test]
        fn any_bytes_are_taken_as_far_as_they_go(
            header in prop::collection::vec(any::<u8>(), HEADER),
            payload in prop::collection::vec(any::<u8>(), 0..2 * LEAST_PAYLOAD),
            room in size_of::<InHeader>()..20_000,
            (answer, length) in (prop::collection::vec(any::<u8>(), 0..2 * LEAST_PAYLOAD), any::<Option<u8>>()),
        ) {
            let mut header = header;
            if let Some(operation) = length {
                // As long as its parts are.
                let len = size_of::<InHeader>() + usize::from(operation) + payload.len();
                header[..4].copy_from_slice(&u32::try_from(len).unwrap().to_ne_bytes());
                let at = std::mem::offset_of!(RingHeader, payload);
                header[at..at + 4].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_ne_bytes());
            }
            FuzzedEntry::new().unwrap().is_request(&header, &payload, room, &answer);
        }
    }
}
