//! Recording: threads that make calls add to a buffer, one thread of the recorder writes it to the file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::iobuf::IoSource;
use crate::wire::{DoesNotFit, MessageId, Sink, Wire};
use parking_lot::Mutex;
use zerocopy::IntoBytes;

use super::facts::Facts;
use super::format::{
    BYTE_ORDER, END, FileHead, MAGIC, NoAnswer, OutcomeCode, RecordHead, VERSION, WITH_DATA, data_begins,
};
use super::pending::{ENOUGH, Shared};

/// A time in a trace, see [`Recorder::mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(pub Duration);

/// What is recorded besides the messages themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderOptions {
    /// Record the data that is read and written, too, not only its length.
    pub data: bool,
}

impl RecorderOptions {
    /// The same with or without the data that is read and written.
    #[must_use]
    pub fn data(self, data: bool) -> Self {
        RecorderOptions { data, ..self }
    }
}

/// A request under way.
#[non_exhaustive]
pub struct Exchange {
    /// The request's number.
    pub message: MessageId,
    /// 0 is the socket, others are channels.
    pub communicator: u16,
    /// When it was sent.
    pub started: Instant,
    /// How long the answer took.
    pub duration: Duration,
}

impl Exchange {
    /// A request that was sent through `communicator` (0 is the socket) at `started` and took `duration`.
    pub fn new(message: MessageId, communicator: u16, started: Instant, duration: Duration) -> Self {
        Exchange { message, communicator, started, duration }
    }
}

/// What became of it.
pub enum Outcome<'a> {
    /// An answer, or an errno.
    Answered {
        /// It is an errno.
        refused: bool,
        /// Its content, which the server may still change.
        payload: IoSource<'a>,
        /// How many descriptors came with it.
        fds: usize,
    },
    /// Nothing.
    Unanswered(NoAnswer),
}

/// Writes a trace. Every thread may add to it.
///
/// A disk that is full or fails ends the recording, not the calls that are recorded: [`finish`](Self::finish) says so.
pub struct Recorder {
    started: Instant,
    with_data: bool,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Begins a trace in the file `path`, which is made or overwritten. `facts` are put in front, for people.
    pub fn create(path: &Path, facts: &Facts, options: RecorderOptions) -> io::Result<Arc<Self>> {
        let mut file = File::create(path)?;
        let (started, now) = (Instant::now(), SystemTime::now());
        let facts = facts.to_bytes().map_err(|DoesNotFit| io::Error::from(io::ErrorKind::InvalidInput))?;
        let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let head = FileHead {
            magic: MAGIC,
            byte_order: BYTE_ORDER,
            version: VERSION,
            flags: if options.data { WITH_DATA } else { 0 },
            started: nanos(since_1970),
            facts: u32::try_from(facts.len()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
            reserved: 0,
        };
        file.write_all(head.as_bytes())?;
        file.write_all(&facts)?;
        let shared = Arc::<Shared>::default();
        shared.pending.lock().bytes.reserve(2 * ENOUGH);
        let for_writer = shared.clone();
        let writer =
            std::thread::Builder::new().name("trace-writer".into()).spawn(move || for_writer.write_to(&mut file))?;
        Ok(Arc::new(Recorder { started, with_data: options.data, shared, writer: Mutex::new(Some(writer)) }))
    }

    /// When recording began, from which all times count.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The time now, as it stands in the trace.
    ///
    /// A message belongs to the time between two marks if it was under way at any moment of it. Threads that work at
    /// the same time have their messages there, too.
    pub fn mark(&self) -> Mark {
        Mark(self.started.elapsed())
    }

    /// How many messages have been recorded.
    pub fn records(&self) -> u64 {
        self.shared.pending.lock().records
    }

    /// Waits until what has been recorded so far is in the file. Fails as [`finish`](Self::finish) does.
    pub fn flush(&self) -> io::Result<()> {
        let mut pending = self.shared.pending.lock();
        while !pending.ended && pending.failure.is_none() && (pending.writing || !pending.bytes.is_empty()) {
            pending.hurry = true;
            self.shared.filled.notify_one();
            self.shared.written.wait(&mut pending);
        }
        pending.failure.as_ref().map_or(Ok(()), |failure| Err(copy(failure)))
    }

    /// Ends the trace; what is recorded from now on is left out. Fails if the file could not be written, and is then a
    /// trace up to where it could.
    pub fn finish(&self) -> io::Result<()> {
        self.end();
        let pending = self.shared.pending.lock();
        pending.failure.as_ref().map_or(Ok(()), |failure| Err(copy(failure)))
    }

    fn end(&self) {
        let mut pending = self.shared.pending.lock();
        if !pending.ended {
            pending.ended = true;
            let length = u32::try_from(RecordHead::SIZE).unwrap_or_default();
            let end = RecordHead { length, message: END, start_nanos: pending.records, ..RecordHead::default() };
            pending.bytes.extend_from_slice(end.as_bytes());
        }
        drop(pending);
        self.shared.filled.notify_one();
        let writer = self.writer.lock().take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the thread that writes the trace panicked");
        }
    }

    /// Adds a message. `request` is encoded once more, which is cheaper than to copy it from where the server could
    /// change it.
    pub fn record<'q>(&self, exchange: &Exchange, request: &impl Wire<'q>, outcome: &Outcome<'_>) {
        let (code, payload, fds) = match outcome {
            Outcome::Answered { refused, payload, fds } => {
                let code = if *refused { OutcomeCode::Refused } else { OutcomeCode::Answered };
                (code, Some(payload), *fds)
            }
            Outcome::Unanswered(why) => (OutcomeCode::Unanswered(*why), None, 0),
        };
        let (request_data, answer_data) = data_begins(exchange.message);
        let limit = |data: Option<usize>| data.filter(|_| !self.with_data).unwrap_or(usize::MAX);
        let mut head = RecordHead {
            message: exchange.message.0,
            outcome: code.to_byte(),
            fds: u8::try_from(fds).unwrap_or(u8::MAX),
            start_nanos: nanos(exchange.started.saturating_duration_since(self.started)),
            duration_nanos: nanos(exchange.duration),
            communicator: exchange.communicator,
            ..RecordHead::default()
        };

        let mut pending = self.shared.room();
        if pending.ended || pending.failure.is_some() {
            return;
        }
        let start = pending.bytes.len();
        let bytes = &mut pending.bytes;
        bytes.extend_from_slice(&[0; RecordHead::SIZE]);
        let mut sink = Beginning { bytes, room: limit(request_data) };
        let encoded = request.encode(&mut sink);
        let request = bytes.len() - start - RecordHead::SIZE;
        if let Some(payload) = payload {
            let length = payload.len().min(if code == OutcomeCode::Answered { limit(answer_data) } else { usize::MAX });
            let at = bytes.len();
            bytes.resize(at + length, 0);
            payload.get(0, &mut bytes[at..]);
        }
        let (length, request) = (u32::try_from(bytes.len() - start), u32::try_from(request));
        let (Ok(()), Ok(length), Ok(request)) = (encoded, length, request) else {
            // No message that was sent is like that.
            bytes.truncate(start);
            return;
        };
        (head.length, head.request) = (length, request);
        bytes[start..][..RecordHead::SIZE].copy_from_slice(head.as_bytes());
        pending.records += 1;
        let after = pending.bytes.len();
        drop(pending);
        if start == 0 || (start < ENOUGH && after >= ENOUGH) {
            self.shared.filled.notify_one();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("records", &self.records()).finish_non_exhaustive()
    }
}

/// Keeps the first bytes only.
struct Beginning<'a> {
    bytes: &'a mut Vec<u8>,
    room: usize,
}

impl Sink for Beginning<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), DoesNotFit> {
        let kept = &bytes[..bytes.len().min(self.room)];
        self.room -= kept.len();
        self.bytes.put(kept)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn copy(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
