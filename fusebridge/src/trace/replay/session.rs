//! A connection on which recorded requests are sent again.

use std::time::Instant;

use lisafs::Errno;
use lisafs::wire::message::MountResp;
use lisafs::wire::{FdId, Malformed, MessageId, Wire};

use super::super::describe::words::errno_name;
use super::super::granted::granted;
use super::super::reader::{Answer, Record};
use super::super::target::{Target, targets};
use super::Report;
use super::compare::Comparison;
use super::listing::Listings;
use super::requests::{Fds, NoRequest, translate};
use lisafs::client::{Client, RawAnswer, RawFailure, Root, errno_from_wire};

/// The new connection.
pub(super) struct Session<'a> {
    pub(super) client: &'a Client,
    pub(super) root: &'a Root,
    pub(super) comparison: Comparison,
    /// The recorded mount has perhaps used donated descriptors.
    pub(super) uses_donated: bool,
    pub(super) fds: Fds,
    pub(super) listings: Listings,
}

impl Session<'_> {
    /// Sends the request of `record` again, and returns what is different about the answer.
    pub(super) fn repeat(&mut self, record: &Record<'_>, report: &mut Report) -> Result<Vec<String>, Malformed> {
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
        for target in targets(record.message, record.request)? {
            // Only requests that change names have such a one.
            if let Target::Entry(_, name) = target {
                self.listings.changed(name);
            }
        }
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
        let fds = lisafs::wire::FdArray::new(&fds).map_err(|_| NoRequest::Malformed)?;
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
        other => other.to_string(),
    }
}
