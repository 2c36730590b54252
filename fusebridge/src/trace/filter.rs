//! Choosing messages.

use std::time::Duration;

use lisafs::wire::MessageId;

use super::paths::Paths;
use super::reader::{Answer, Record};
use super::target::targets;

/// Which messages are wanted. All conditions must hold; an empty list is no condition.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// One of these kinds.
    pub messages: Vec<MessageId>,
    /// About one of these, or something below it: paths from the root of the mount, beginning with a slash.
    pub paths: Vec<Vec<u8>>,
    /// Refused, or, for SetStat, not wholly done, with one of these.
    pub errnos: Vec<u32>,
    /// Refused or not answered.
    pub failed: bool,
    /// Took longer.
    pub slower_than: Option<Duration>,
    /// Under way at this time, counted from the start of recording, or later.
    pub from: Option<Duration>,
    /// Under way before this time.
    pub until: Option<Duration>,
}

impl Filter {
    /// Whether `record` is wanted.
    pub(super) fn accepts(&self, record: &Record<'_>, paths: &Paths) -> bool {
        (self.messages.is_empty() || self.messages.contains(&record.message))
            && self.slower_than.is_none_or(|limit| record.duration > limit)
            && self.from.is_none_or(|from| record.end() >= from)
            && self.until.is_none_or(|until| record.start < until)
            && (!self.failed || error(record).is_some() || matches!(record.outcome, Answer::Unanswered(_)))
            && (self.errnos.is_empty() || error(record).is_some_and(|errno| self.errnos.contains(&errno)))
            && (self.paths.is_empty() || self.is_about(record, paths))
    }

    fn is_about(&self, record: &Record<'_>, paths: &Paths) -> bool {
        let Ok(targets) = targets(record.message, record.request) else { return false };
        let mut about = targets.iter().map(|target| paths.path_of(target));
        about.any(|path| self.paths.iter().any(|wanted| path.is_within(wanted)))
    }
}

/// The errno in the answer: the error message's, or that of attributes that could not be set.
pub(super) fn error(record: &Record<'_>) -> Option<u32> {
    use lisafs::wire::Wire;
    use lisafs::wire::message::SetStatResp;
    match record.outcome {
        Answer::Answered(answer) if record.message == MessageId::SET_STAT => SetStatResp::from_bytes(answer)
            .ok()
            .filter(|answer| !answer.failure_mask.is_empty())
            .map(|answer| answer.failure_errno),
        _ => record.errno(),
    }
}
