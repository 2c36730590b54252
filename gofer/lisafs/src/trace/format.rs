//! The file: a header, then one record for each message, in the order in which they were completed.
//!
//! | part | content |
//! |---|---|
//! | [`FileHead`] | magic number, byte order, version, when recording began, length of the facts |
//! | facts | names and values in turn, as a string array of the protocol: what was mounted and how |
//! | records | a [`RecordHead`], the request's bytes, the answer's bytes |
//! | end | a [`RecordHead`] with the message [`END`], if recording was finished |
//!
//! Requests and answers stand as they did on the wire, without their headers, except for file data: the bytes behind
//! the head of a PWrite request and of a PRead answer are left out unless they were asked for. The heads have the
//! lengths. Numbers are in the byte order of the machine, as they are on the wire.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::wire::MessageId;
use crate::wire::message::{PReadHead, PWriteHead};

/// The first bytes of every trace.
pub const MAGIC: [u8; 8] = *b"lisatrc\n";

/// Reads differently on machines of the other byte order.
pub const BYTE_ORDER: u32 = 0x0102_0304;

/// Of what is described here.
pub const VERSION: u16 = 1;

/// In place of a message: no record follows. `start_nanos` is the number of records.
pub const END: u16 = u16::MAX;

/// No record is longer: two messages of the largest size that a client sends or takes.
pub const LONGEST_RECORD: usize = 17 << 20;

/// No header is longer.
pub const LONGEST_FACTS: usize = 1 << 20;

/// Begins the file.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct FileHead {
    /// What a trace file begins with, [`MAGIC`].
    pub magic: [u8; 8],
    /// [`BYTE_ORDER`].
    pub byte_order: u32,
    /// The version of the format, [`VERSION`].
    pub version: u16,
    /// Bit 0: file data was recorded.
    pub flags: u16,
    /// Nanoseconds from 1970 to the time that all others count from.
    pub started: u64,
    /// Bytes that follow.
    pub facts: u32,
    /// 0.
    pub reserved: u32,
}

/// In [`FileHead::flags`]: file data was recorded.
pub const WITH_DATA: u16 = 1;

/// Begins a record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RecordHead {
    /// Bytes of the record, with this head.
    pub length: u32,
    /// The request's number.
    pub message: u16,
    /// See [`OutcomeCode`].
    pub outcome: u8,
    /// How many descriptors came with the answer.
    pub fds: u8,
    /// When the request was sent, counted from the start of recording.
    pub start_nanos: u64,
    /// How long the answer took.
    pub duration_nanos: u64,
    /// Bytes of the request; the answer has the rest.
    pub request: u32,
    /// 0 is the socket, others are channels.
    pub communicator: u16,
    /// 0.
    pub reserved: u16,
}

impl RecordHead {
    /// In bytes.
    pub const SIZE: usize = size_of::<RecordHead>();
}

const _: () = assert!(size_of::<FileHead>() == 32 && RecordHead::SIZE == 32);

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeCode {
    /// An answer of the request's kind.
    Answered,
    /// An errno.
    Refused,
    /// Nothing.
    Unanswered(NoAnswer),
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAnswer {
    /// The connection ended.
    #[error("no answer: the connection ended")]
    ShutDown,
    /// It did not come in time.
    #[error("no answer in time")]
    TimedOut,
    /// The server broke the protocol.
    #[error("no answer: the server broke the protocol")]
    Protocol,
    /// A system call failed.
    #[error("no answer: a system call failed")]
    System,
}

impl From<crate::transport::Ended> for NoAnswer {
    fn from(ended: crate::transport::Ended) -> Self {
        use crate::transport::Ended;
        match ended {
            Ended::ShutDown => NoAnswer::ShutDown,
            Ended::TimedOut => NoAnswer::TimedOut,
            Ended::Protocol(_) => NoAnswer::Protocol,
            Ended::System(_) => NoAnswer::System,
        }
    }
}

const CODES: [OutcomeCode; 6] = [
    OutcomeCode::Answered,
    OutcomeCode::Refused,
    OutcomeCode::Unanswered(NoAnswer::ShutDown),
    OutcomeCode::Unanswered(NoAnswer::TimedOut),
    OutcomeCode::Unanswered(NoAnswer::Protocol),
    OutcomeCode::Unanswered(NoAnswer::System),
];

impl OutcomeCode {
    /// As it stands in the file.
    pub fn to_byte(self) -> u8 {
        match self {
            OutcomeCode::Answered => 0,
            OutcomeCode::Refused => 1,
            OutcomeCode::Unanswered(NoAnswer::ShutDown) => 2,
            OutcomeCode::Unanswered(NoAnswer::TimedOut) => 3,
            OutcomeCode::Unanswered(NoAnswer::Protocol) => 4,
            OutcomeCode::Unanswered(NoAnswer::System) => 5,
        }
    }

    /// The reverse; `None` for a byte that means nothing.
    pub fn from_byte(byte: u8) -> Option<Self> {
        CODES.get(usize::from(byte)).copied()
    }
}

/// Where file data begins in requests and in answers of `message`; messages without file data have none.
pub fn data_begins(message: MessageId) -> (Option<usize>, Option<usize>) {
    match message {
        MessageId::PWRITE => (Some(PWriteHead::SIZE), None),
        MessageId::PREAD => (None, Some(PReadHead::SIZE)),
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_go_to_a_byte_and_back() {
        for code in CODES {
            assert_eq!(OutcomeCode::from_byte(code.to_byte()), Some(code));
        }
        assert_eq!(OutcomeCode::from_byte(6), None);
    }
}
