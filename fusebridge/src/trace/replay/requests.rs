//! Recorded requests made into requests of another connection.

use std::collections::HashMap;

use lisafs::wire::message::PWriteHead;
use lisafs::wire::{FdId, Malformed, MessageId, Wire};

use lisafs::trace::format::LONGEST_RECORD;

/// Which FDs of this connection stand for those of the recorded one. Those that are closed stay: no number is used
/// twice, and what is asked with one must be refused again.
#[derive(Debug, Default)]
pub(super) struct Fds(HashMap<FdId, FdId>);

impl Fds {
    /// `now` is what `recorded` was.
    pub(super) fn bind(&mut self, recorded: FdId, now: FdId) {
        self.0.insert(recorded, now);
    }

    /// What `recorded` is on this connection, if there is anything.
    pub(super) fn get(&self, recorded: FdId) -> Option<FdId> {
        self.0.get(&recorded).copied()
    }
}

/// A request that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// It is about something that this connection does not have, because a request before was answered in another way.
    Missing,
    /// It is none.
    Malformed,
}

impl From<Malformed> for NoRequest {
    fn from(Malformed: Malformed) -> Self {
        NoRequest::Malformed
    }
}

/// The recorded `request` of the kind `message` with the FDs of this connection, and with data for what a PWrite
/// request whose data was not recorded is to write.
pub(super) fn translate(message: MessageId, request: &[u8], fds: &Fds) -> Result<Vec<u8>, NoRequest> {
    let mut translated = request.to_vec();
    for at in places(message, request)? {
        let place = translated.get_mut(at..at + size_of::<FdId>()).ok_or(NoRequest::Malformed)?;
        let recorded = FdId::from_bytes(place)?;
        // Zero names nothing on any connection.
        let now = if recorded.is_valid() { fds.get(recorded).ok_or(NoRequest::Missing)? } else { recorded };
        place.copy_from_slice(&now.0.to_ne_bytes());
    }
    if message == MessageId::PWRITE {
        let head = PWriteHead::from_bytes(request)?;
        if head.count as usize > LONGEST_RECORD {
            return Err(NoRequest::Malformed);
        }
        let missing = translated.len() - PWriteHead::SIZE..head.count as usize;
        translated.extend(missing.map(|at| pattern(head.offset.wrapping_add(at as u64))));
    }
    Ok(translated)
}

/// What is written at `offset` in place of data that was not recorded: the same in each replay, and another after each
/// page.
fn pattern(offset: u64) -> u8 {
    (offset % 251).to_le_bytes()[0]
}

/// Where FDs stand in a request of the kind `message`.
fn places(message: MessageId, request: &[u8]) -> Result<Vec<usize>, Malformed> {
    const FD: usize = size_of::<FdId>();
    Ok(match message {
        MessageId::MOUNT | MessageId::CHANNEL => Vec::new(),
        // Behind the offset.
        MessageId::PREAD | MessageId::PWRITE => vec![FD],
        // Two directories, or a directory and a file.
        MessageId::RENAME_AT | MessageId::RENAME_AT2 | MessageId::LINK_AT => vec![0, FD],
        // Behind their number.
        MessageId::CLOSE | MessageId::FSYNC => {
            let count = u16::from_bytes(request)?;
            (0..usize::from(count)).map(|at| size_of::<u16>() + at * FD).collect()
        }
        _ => vec![0],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::target::{Target, targets};

    #[test]
    fn every_fd_of_every_request_is_translated() {
        let mut fds = Fds::default();
        for fd in 1..=2 {
            fds.bind(FdId(fd), FdId(fd + 100));
        }
        for message in
            MessageId::ALL.iter().chain(MessageId::PRIVATE).copied().filter(|message| *message != MessageId::ERROR)
        {
            let mut request = vec![0; 200];
            if matches!(message, MessageId::CLOSE | MessageId::FSYNC) {
                request[..2].copy_from_slice(&2_u16.to_ne_bytes());
            }
            for (fd, at) in (1_u64..).zip(places(message, &request).unwrap()) {
                request[at..at + 8].copy_from_slice(&fd.to_ne_bytes());
            }
            let translated = translate(message, &request, &fds).unwrap();
            let fds_of = |request| -> Vec<u64> {
                let targets = targets(message, request).unwrap();
                let mut fds: Vec<u64> =
                    targets.iter().map(|(Target::Fd(fd) | Target::Entry(fd, _) | Target::Walk(fd, _))| fd.0).collect();
                fds.sort_unstable();
                fds
            };
            let expected: Vec<u64> = fds_of(&request).iter().map(|fd| fd + 100).collect();
            assert_eq!(fds_of(&translated), expected, "{message:?}");
            let with_fds = !matches!(message, MessageId::MOUNT | MessageId::CHANNEL);
            assert_eq!(!expected.is_empty(), with_fds, "{message:?}");
        }
    }

    #[test]
    fn an_fd_that_is_not_there_is_told() {
        let request = 7_u64.to_ne_bytes();
        assert_eq!(translate(MessageId::FSTAT, &request, &Fds::default()), Err(NoRequest::Missing));
        assert_eq!(translate(MessageId::FSTAT, &request[..5], &Fds::default()), Err(NoRequest::Malformed));
        assert_eq!(translate(MessageId::FSTAT, &[0; 8], &Fds::default()), Ok(vec![0; 8]), "no FD at all");
    }

    #[test]
    fn data_that_was_not_recorded_depends_on_where_it_is_written() {
        let mut fds = Fds::default();
        fds.bind(FdId(1), FdId(2));
        let data = |offset, recorded: &[u8]| {
            let mut request = Vec::new();
            PWriteHead { offset, fd: FdId(1), count: 300 }.encode(&mut request).unwrap();
            request.extend_from_slice(recorded);
            translate(MessageId::PWRITE, &request, &fds).unwrap()[PWriteHead::SIZE..].to_vec()
        };
        let (first, second) = (data(0, b""), data(100, b""));
        assert_eq!(first.len(), 300);
        assert_eq!(first[100..], second[..200]);
        assert_eq!(data(0, &[9; 300]), [9; 300]);
    }
}
