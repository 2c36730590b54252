//! Reading a trace, record by record.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lisafs::wire::message::{ErrorResp, PReadHead, PWriteHead};
use lisafs::wire::{MessageId, Wire};
use zerocopy::{FromZeros, IntoBytes};

use lisafs::trace::Facts;
use lisafs::trace::format::{
    BYTE_ORDER, END, FileHead, LONGEST_FACTS, LONGEST_RECORD, MAGIC, NoAnswer, OutcomeCode, RecordHead, VERSION,
    WITH_DATA,
};

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What the kernel says.
        #[source]
        source: io::Error,
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{} is not a trace file; make one: fusebridge run --trace FILE BACKEND -- COMMAND", .0.display())]
    NotATrace(PathBuf),
    /// It is from another machine.
    #[error("{} was recorded on a machine with another byte order; read it there", .0.display())]
    ByteOrder(PathBuf),
    /// It is from another version.
    #[error("{} has format {version}; this program reads only format {VERSION}", path.display())]
    Version {
        /// The file's format.
        version: u16,
        /// The file.
        path: PathBuf,
    },
}

/// How a trace ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As it should.
    Complete,
    /// After a whole record, but without an end: its mount is not finished, or has died.
    Unfinished,
    /// Within a record, for the same reasons.
    Truncated,
    /// At so many bytes there is something that is no record.
    Damaged(u64),
}

impl Ending {
    /// A line for people, unless everything is as it should be.
    pub fn warning(self) -> Option<String> {
        match self {
            Ending::Complete => None,
            Ending::Unfinished => Some("the trace has no end: its mount still runs, or has died".to_owned()),
            Ending::Truncated => {
                Some("the trace ends within a message, which is left out: its mount still runs, or has died".to_owned())
            }
            Ending::Damaged(at) => Some(format!("the trace is damaged at byte {at}; the rest is ignored")),
        }
    }
}

/// A trace that is being read.
pub struct Reader<R = BufReader<File>> {
    input: R,
    path: PathBuf,
    facts: Facts,
    started: SystemTime,
    with_data: bool,
    /// Bytes read so far.
    at: u64,
    number: u64,
    buffer: Vec<u8>,
    ending: Option<Ending>,
}

/// A message as it was recorded.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Counted from 1 in the order in which answers came.
    pub number: u64,
    /// The request's kind.
    pub message: MessageId,
    /// 0 is the socket, others are channels.
    pub communicator: u16,
    /// When the request was sent, counted from the start of recording.
    pub start: Duration,
    /// How long the answer took.
    pub duration: Duration,
    /// The request's bytes, for PWrite perhaps without data.
    pub request: &'a [u8],
    /// What became of it.
    pub outcome: Answer<'a>,
    /// How many descriptors came with the answer.
    pub donated: u8,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// The answer's bytes, for PRead perhaps without data.
    Answered(&'a [u8]),
    /// An errno.
    Refused(u32),
    /// Nothing.
    Unanswered(NoAnswer),
}

impl Record<'_> {
    /// When the answer came.
    pub fn end(&self) -> Duration {
        self.start + self.duration
    }

    /// The errno that it was refused with.
    pub fn errno(&self) -> Option<u32> {
        match self.outcome {
            Answer::Refused(errno) => Some(errno),
            _ => None,
        }
    }

    /// How much file data it moved, in bytes, whether that was recorded or not.
    pub fn bytes_moved(&self) -> u64 {
        let Answer::Answered(answer) = self.outcome else { return 0 };
        let count = match self.message {
            MessageId::PREAD => PReadHead::from_bytes(answer).map(|head| head.count),
            MessageId::PWRITE => PWriteHead::from_bytes(self.request).map(|head| head.count.into()),
            _ => Ok(0),
        };
        count.unwrap_or(0)
    }
}

impl Reader {
    /// Opens the trace `path`.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let file = File::open(path).map_err(|source| TraceError::Io { source, path: path.to_path_buf() })?;
        Reader::new(BufReader::with_capacity(256 << 10, file), path)
    }
}

impl<R: Read> Reader<R> {
    /// Reads a trace from `input`; `path` is what it is called.
    pub fn new(mut input: R, path: &Path) -> Result<Self, TraceError> {
        let path = path.to_path_buf();
        let not_a_trace = |error: io::Error, path: PathBuf| match error.kind() {
            io::ErrorKind::UnexpectedEof => TraceError::NotATrace(path),
            _ => TraceError::Io { source: error, path },
        };
        let mut head = FileHead::new_zeroed();
        if let Err(error) = input.read_exact(head.as_mut_bytes()) {
            return Err(not_a_trace(error, path));
        }
        let length = head.facts as usize;
        if head.magic != MAGIC {
            return Err(TraceError::NotATrace(path));
        }
        if head.byte_order != BYTE_ORDER {
            return Err(TraceError::ByteOrder(path));
        }
        if head.version != VERSION {
            return Err(TraceError::Version { version: head.version, path });
        }
        if length > LONGEST_FACTS {
            return Err(TraceError::NotATrace(path));
        }
        let mut facts = vec![0; length];
        if let Err(error) = input.read_exact(&mut facts) {
            return Err(not_a_trace(error, path));
        }
        let Ok(facts) = Facts::from_bytes(&facts) else { return Err(TraceError::NotATrace(path)) };
        Ok(Reader {
            input,
            path,
            facts,
            started: SystemTime::UNIX_EPOCH + Duration::from_nanos(head.started),
            with_data: head.flags & WITH_DATA != 0,
            at: (size_of::<FileHead>() + length) as u64,
            number: 0,
            buffer: Vec::new(),
            ending: None,
        })
    }

    /// What was recorded: the backend, how it was mounted, and so on.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// When recording began.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// Whether the data of PRead and PWrite was recorded.
    pub fn with_data(&self) -> bool {
        self.with_data
    }

    /// How the trace ends. Not known before [`next_record`](Self::next_record) has come to the end.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The next message, or `None` at the end, see [`ending`](Self::ending).
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, TraceError> {
        match self.read_record() {
            Ok(Ok(head)) => Ok(Some(self.record(head))),
            Ok(Err(ending)) => {
                self.ending = Some(ending);
                Ok(None)
            }
            Err(source) => Err(TraceError::Io { source, path: self.path.clone() }),
        }
    }

    /// Reads a record into the buffer, or finds out how the trace ends.
    fn read_record(&mut self) -> io::Result<Result<RecordHead, Ending>> {
        if let Some(ending) = self.ending {
            return Ok(Err(ending));
        }
        let mut head = RecordHead::default();
        let read = read_up_to(&mut self.input, head.as_mut_bytes())?;
        if read < RecordHead::SIZE {
            return Ok(Err(if read == 0 { Ending::Unfinished } else { Ending::Truncated }));
        }
        let (length, request) = (head.length as usize, head.request as usize);
        let body = length.checked_sub(RecordHead::SIZE).filter(|body| *body >= request && length <= LONGEST_RECORD);
        let (Some(body), Some(code)) = (body, OutcomeCode::from_byte(head.outcome)) else {
            return Ok(Err(Ending::Damaged(self.at)));
        };
        if head.message == END {
            let is_complete = body == 0 && head.start_nanos == self.number;
            return Ok(Err(if is_complete { Ending::Complete } else { Ending::Damaged(self.at) }));
        }
        self.buffer.resize(body, 0);
        if read_up_to(&mut self.input, &mut self.buffer)? < body {
            return Ok(Err(Ending::Truncated));
        }
        if code == OutcomeCode::Refused && ErrorResp::from_bytes(&self.buffer[request..]).is_err() {
            return Ok(Err(Ending::Damaged(self.at)));
        }
        self.at += u64::from(head.length);
        self.number += 1;
        Ok(Ok(head))
    }

    /// The record whose head is `head`, from the buffer.
    fn record(&self, head: RecordHead) -> Record<'_> {
        let (request, answer) = self.buffer.split_at(head.request as usize);
        let outcome = match OutcomeCode::from_byte(head.outcome) {
            Some(OutcomeCode::Refused) => Answer::Refused(ErrorResp::from_bytes(answer).map_or(0, |error| error.errno)),
            Some(OutcomeCode::Unanswered(why)) => Answer::Unanswered(why),
            Some(OutcomeCode::Answered) | None => Answer::Answered(answer),
        };
        Record {
            number: self.number,
            message: MessageId(head.message),
            communicator: head.communicator,
            start: Duration::from_nanos(head.start_nanos),
            duration: Duration::from_nanos(head.duration_nanos),
            request,
            outcome,
            donated: head.fds,
        }
    }
}

impl<R> std::fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("path", &self.path).field("number", &self.number).finish_non_exhaustive()
    }
}

/// Fills `buffer` as far as there is something to fill it with.
fn read_up_to(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match input.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
