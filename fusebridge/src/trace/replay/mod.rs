//! Sending recorded requests again, and comparing the answers.
//!
//! Requests are sent one after the other in the order in which they were answered, with the FDs of the new connection
//! in place of the recorded ones. For each of two requests that were under way at the same time this may be another
//! order than that of their effects, so differences in their answers are marked.

mod attributes;
mod compare;
mod listing;
mod overlap;
mod report;
mod requests;
mod session;

pub use report::{Difference, Report};

use std::path::Path;

use lisafs::wire::Malformed;

use self::compare::Comparison;
use self::listing::Listings;
use self::requests::Fds;
use self::session::Session;
use super::describe;
use super::paths::Paths;
use super::reader::{Reader, TraceError};
use lisafs::client::{Client, Root};

/// What to report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayOptions {
    /// Also what is naturally different between two file systems: inode numbers, devices, times, blocks, sizes of
    /// directories, their order, statistics of the file system, whether descriptors are donated.
    pub strict: bool,
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
