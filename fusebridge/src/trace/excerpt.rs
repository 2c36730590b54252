//! Parts of a trace between two marks.

use std::collections::VecDeque;
use std::path::Path;

use lisafs::trace::Mark;

use super::paths::Paths;
use super::reader::{Reader, TraceError};
use super::show::line;

/// The messages between two marks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// One for each message, as [`show`](super::show()) writes them: the first half and the last half of those that
    /// there are, with a line in between that says how many are left out.
    pub lines: Vec<String>,
    /// How many messages are left out.
    pub left_out: usize,
}

/// The messages of the trace `path` that were under way between each pair of marks, `most` for each pair at most. Reads
/// the trace once, however many pairs there are. [Flush](super::Recorder::flush) a recorder before.
pub fn excerpts(path: &Path, windows: &[(Mark, Mark)], most: usize) -> Result<Vec<Excerpt>, TraceError> {
    let mut reader = Reader::open(path)?;
    let mut paths = Paths::default();
    let mut found: Vec<Ends> = windows.iter().map(|_| Ends::default()).collect();
    while let Some(record) = reader.next_record()? {
        let mut text = None;
        for ((from, until), ends) in windows.iter().zip(&mut found) {
            if record.end() >= from.0 && record.start < until.0 {
                ends.add(most, || text.get_or_insert_with(|| line(&record, &paths)).clone());
            }
        }
        paths.learn(&record);
    }
    Ok(found.into_iter().map(Ends::into_excerpt).collect())
}

/// The first and the last lines of many.
#[derive(Debug, Default)]
struct Ends {
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: usize,
}

impl Ends {
    fn add(&mut self, most: usize, line: impl FnOnce() -> String) {
        if self.first.len() < most.div_ceil(2) {
            self.first.push(line());
            return;
        }
        self.last.push_back(line());
        if self.last.len() > most / 2 {
            self.last.pop_front();
            self.left_out += 1;
        }
    }

    fn into_excerpt(self) -> Excerpt {
        let mut lines = self.first;
        if self.left_out > 0 {
            lines.push(format!("{:>12}  ({} messages omitted)", "...", self.left_out));
        }
        lines.extend(self.last);
        Excerpt { lines, left_out: self.left_out }
    }
}
