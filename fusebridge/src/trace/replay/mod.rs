//! Sending recorded requests again, and comparing the answers.
//!
//! Requests are sent one after the other in the order in which they were answered, with the FDs of the new connection in
//! place of the recorded ones. For each of two requests that were under way at the same time this may be another order than
//! that of their effects, so differences in their answers are marked.

mod compare;
mod listing;
mod overlap;
mod requests;

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use gofer::wire::message::MountResp;
use gofer::wire::{FdId, Malformed, MessageId, Wire};
use rustix::io::Errno;

use self::compare::Comparison;
use self::listing::Listings;
use self::requests::{Fds, NoRequest, translate};
use super::describe;
use super::describe::words::{duration, errno_name};
use super::granted::granted;
use super::paths::Paths;
use super::reader::{Answer, Ending, Reader, Record, TraceError};
use super::target::{Target, targets};
use crate::client::{Client, RawAnswer, RawFailure, Root, errno_from_wire};

/// What to report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayOptions {
    /// Also what is naturally different between two file systems: inode numbers, devices, times, blocks, sizes of
    /// directories, their order, statistics of the file system, whether descriptors are donated.
    pub strict: bool,
}

/// An answer that was another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which message of the trace, counted from 1.
    pub number: u64,
    /// When its request was sent, counted from the start of recording.
    pub start: Duration,
    /// The kind of the message.
    pub message: MessageId,
    /// What it was about.
    pub request: String,
    /// What is different.
    pub what: Vec<String>,
    /// Another request was under way at the same time when it was recorded: their order may be another one now.
    pub overlapped: bool,
}

/// What came of a replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests that were sent.
    pub sent: u64,
    /// Answers that were others.
    pub differences: u64,
    /// Of these, those to requests that were not alone when they were recorded.
    pub overlapped: u64,
    /// Requests that were not sent, since what they are about is not there: an answer before was another one.
    pub missing: u64,
    /// Requests that were not sent, since they are malformed or of an unknown kind.
    pub unknown: u64,
    /// Requests that had no answer when they were recorded. They were sent, but there is nothing to compare with.
    pub unanswered: u64,
    /// Answers that came with descriptors which were perhaps used when they were recorded: that is not in the trace.
    pub donated: u64,
    /// How long the answers took when they were recorded.
    pub recorded_time: Duration,
    /// How long they took now.
    pub time: Duration,
    /// How the trace ends.
    pub ending: Option<Ending>,
    /// The connection ended before the trace.
    pub lost: bool,
}

/// Sends the requests of the trace `path` over `client`, which is a new connection with the root `root`, and gives each
/// difference to `each`.
pub fn replay(
    path: &Path,
    client: &Client,
    root: &Root,
    options: ReplayOptions,
    each: &mut dyn FnMut(&Difference),
) -> Result<Report, TraceError> {
    let overlapping = overlap::overlapping(path)?;
    let mut reader = Reader::open(path)?;
    let comparison = Comparison { strict: options.strict };
    let uses_donated = reader.facts().get("io") != Some("rpc");
    let (fds, listings) = (Fds::default(), Listings::default());
    let mut session = Session { client, root, comparison, uses_donated, fds, listings };
    let mut paths = Paths::default();
    let mut report = Report::default();
    let mut at = 0;
    while let Some(record) = reader.next_record()? {
        let overlapped = overlapping.get(at).copied().unwrap_or(false);
        at += 1;
        let what =
            session.repeat(&record, &mut report).unwrap_or_else(|Malformed| vec!["an answer is malformed".to_owned()]);
        if !what.is_empty() {
            report.differences += 1;
            report.overlapped += u64::from(overlapped);
            let request = describe::request(&record, &paths);
            let (number, start, message) = (record.number, record.start, record.message);
            each(&Difference { number, start, message, request, what, overlapped });
        }
        paths.learn(&record);
        if client.is_dead() {
            report.lost = true;
            break;
        }
    }
    report.ending = reader.ending();
    Ok(report)
}

/// The new connection.
struct Session<'a> {
    client: &'a Client,
    root: &'a Root,
    comparison: Comparison,
    /// The recorded mount has perhaps used donated descriptors.
    uses_donated: bool,
    fds: Fds,
    listings: Listings,
}

impl Session<'_> {
    /// Sends the request of `record` again, and answers what is different about the answer.
    fn repeat(&mut self, record: &Record<'_>, report: &mut Report) -> Result<Vec<String>, Malformed> {
        match record.message {
            MessageId::MOUNT => return self.mounted(record),
            // This connection has made its own.
            MessageId::CHANNEL => return Ok(Vec::new()),
            message if message.name().is_none() => {
                report.unknown += 1;
                return Ok(Vec::new());
            }
            _ => {}
        }
        let request = match self.request(record) {
            Ok(request) => request,
            Err(NoRequest::Missing) => {
                report.missing += 1;
                return Ok(Vec::new());
            }
            Err(NoRequest::Malformed) => {
                report.unknown += 1;
                return Ok(Vec::new());
            }
        };
        let started = Instant::now();
        let answer = self.client.call_raw(record.message, &request);
        report.time += started.elapsed();
        report.recorded_time += record.duration;
        report.sent += 1;
        report.donated += u64::from(self.uses_donated && record.donated > 0);
        report.unanswered += u64::from(matches!(record.outcome, Answer::Unanswered(_)));

        self.forget_closed(record)?;
        self.take_granted(record, answer.as_ref().ok())?;
        self.compare(record, &answer)
    }

    /// The request with this connection's FDs.
    fn request(&self, record: &Record<'_>) -> Result<Vec<u8>, NoRequest> {
        if !matches!(record.message, MessageId::CLOSE | MessageId::FSYNC) {
            return translate(record.message, record.request, &self.fds);
        }
        // Those of many that are there: the others are of no account.
        let fds: Vec<FdId> = fds_of(record)?.into_iter().filter_map(|fd| self.fds.get(fd)).collect();
        if fds.is_empty() {
            return Err(NoRequest::Missing);
        }
        let mut request = Vec::new();
        let fds = gofer::wire::FdArray::new(&fds).map_err(|_| NoRequest::Malformed)?;
        fds.encode(&mut request).map_err(|_| NoRequest::Malformed)?;
        Ok(request)
    }

    /// The mount that was recorded, beside this connection's.
    fn mounted(&mut self, record: &Record<'_>) -> Result<Vec<String>, Malformed> {
        let Answer::Answered(answer) = record.outcome else { return Ok(Vec::new()) };
        let mount = MountResp::from_bytes(answer)?;
        self.fds.bind(mount.root.control_fd, self.root.inode.control_fd);
        Ok(self.comparison.mounts(&mount, self.root.inode.stat, |message| {
            // These two are not among those that a client asks for by itself.
            matches!(message, MessageId::MOUNT | MessageId::CHANNEL) || self.client.supports(message)
        }))
    }

    fn forget_closed(&mut self, record: &Record<'_>) -> Result<(), Malformed> {
        if record.message == MessageId::CLOSE {
            for fd in fds_of(record)? {
                self.listings.forget(fd);
            }
        }
        Ok(())
    }

    /// Notes which FD is which recorded one, and gives those back that the recorded connection did not have.
    fn take_granted(&mut self, record: &Record<'_>, answer: Option<&RawAnswer>) -> Result<(), Malformed> {
        let Some(answer) = answer else { return Ok(()) };
        let now = granted(record.message, &answer.payload)?;
        let recorded = match record.outcome {
            Answer::Answered(answer) => granted(record.message, answer)?,
            _ => Vec::new(),
        };
        for (at, fd) in now.into_iter().enumerate() {
            match recorded.get(at) {
                Some(recorded) => self.fds.bind(*recorded, fd),
                None => self.client.close(fd),
            }
        }
        Ok(())
    }

    fn compare(&mut self, record: &Record<'_>, now: &Result<RawAnswer, RawFailure>) -> Result<Vec<String>, Malformed> {
        let differs = |was: String, is: String| Ok(vec![format!("was {was}, is {is}")]);
        match (record.outcome, now) {
            (Answer::Unanswered(_), _) => Ok(Vec::new()),
            (Answer::Refused(recorded), Err(failure)) => {
                let recorded = errno_from_wire(recorded);
                if *failure == RawFailure::Refused(recorded) {
                    return Ok(Vec::new());
                }
                // What the server does not know, it was not asked, but would have refused like this.
                if *failure == RawFailure::Unsupported && matches!(recorded, Errno::OPNOTSUPP | Errno::NOSYS) {
                    return Ok(Vec::new());
                }
                differs(name(recorded), failed(*failure))
            }
            (Answer::Refused(recorded), Ok(_)) => differs(errno_name(recorded), "no error".to_owned()),
            (Answer::Answered(_), Err(failure)) => differs("no error".to_owned(), failed(*failure)),
            (Answer::Answered(recorded), Ok(now)) => {
                let mut found = if record.message == MessageId::GETDENTS64 {
                    let fd = fds_of(record)?.first().and_then(|fd| self.fds.get(*fd)).unwrap_or_default();
                    let (listings, client) = (&mut self.listings, self.client);
                    listings.answered(self.comparison, client, record.request, fd, recorded, &now.payload)?
                } else {
                    self.comparison.answers(record.message, recorded, &now.payload)?
                };
                if self.comparison.strict && usize::from(record.donated) != now.fds.len() {
                    found.push(format!("donated descriptors: {} before, {} now", record.donated, now.fds.len()));
                }
                Ok(found)
            }
        }
    }
}

/// The FDs in the request of `record`.
fn fds_of(record: &Record<'_>) -> Result<Vec<FdId>, Malformed> {
    let targets = targets(record.message, record.request)?;
    Ok(targets.iter().map(|(Target::Fd(fd) | Target::Entry(fd, _) | Target::Walk(fd, _))| *fd).collect())
}

fn name(errno: Errno) -> String {
    errno_name(errno.raw_os_error().unsigned_abs())
}

fn failed(failure: RawFailure) -> String {
    match failure {
        RawFailure::Refused(errno) => name(errno),
        RawFailure::Unsupported => "a message that the server does not support".to_owned(),
        RawFailure::TooLong => "too long for the server's messages".to_owned(),
        RawFailure::Unanswered(why) => describe::no_answer(why).to_owned(),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.overlapped { "~" } else { " " };
        let message = format!("{:?}", self.message);
        write!(f, "{:>12.6} {mark}{message:<14}{}: ", self.start.as_secs_f64(), self.request)?;
        f.write_str(&self.what.join("; "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { sent, differences, overlapped, missing, unknown, unanswered, donated, .. } = *self;
        write!(f, "{sent} requests sent again, {differences} answers differ; they took {}, ", duration(self.time))?;
        writeln!(f, "and {} when they were recorded", duration(self.recorded_time))?;
        if overlapped > 0 {
            writeln!(
                f,
                "~ {overlapped} of the differences may be due to order: other requests were under way as well"
            )?;
        }
        if missing > 0 {
            writeln!(
                f,
                "{missing} requests were not sent: what they are about is not there, due to differences before"
            )?;
        }
        if unknown > 0 {
            writeln!(f, "{unknown} requests were not sent: they are malformed or of an unknown kind")?;
        }
        if unanswered > 0 {
            writeln!(f, "{unanswered} requests had no answer when they were recorded, and were not compared")?;
        }
        if donated > 0 && differences > 0 {
            writeln!(
                f,
                "{donated} answers brought descriptors when they were recorded; what was written through these is not in \
                 the trace, and sizes may differ for this reason: record with --io rpc"
            )?;
        }
        if self.lost {
            writeln!(f, "the server ended the connection before the end of the trace")?;
        }
        Ok(())
    }
}
