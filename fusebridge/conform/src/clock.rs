//! When things happen, on the clocks that results need.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lisafs::trace::{Mark, Recorder};

/// Tells the time, also that of a recording if there is one.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    recorder: Option<Arc<Recorder>>,
}

/// A point in time.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    instant: Instant,
    mark: Option<Mark>,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    start: Moment,
    end: Moment,
}

impl Clock {
    /// A clock whose moments can be found in a recording.
    pub fn new(recorder: Option<Arc<Recorder>>) -> Self {
        Clock { recorder }
    }

    /// The present.
    pub fn now(&self) -> Moment {
        Moment { instant: Instant::now(), mark: self.recorder.as_ref().map(|recorder| recorder.mark()) }
    }

    /// From `start` until now.
    pub fn since(&self, start: Moment) -> Span {
        Span { start, end: self.now() }
    }
}

impl Span {
    /// How long it is.
    pub fn duration(&self) -> Duration {
        self.end.instant - self.start.instant
    }

    /// Its ends in a recording, if there is one.
    pub fn marks(&self) -> Option<(Mark, Mark)> {
        Some((self.start.mark?, self.end.mark?))
    }
}
