//! Counts of requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lisafs::wire::MessageId;

/// Upper ends of the classes of latencies, in nanoseconds. One more class is for everything above.
pub(crate) const CLASSES: [u64; 11] =
    [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000, 25_000_000, 100_000_000, 1_000_000_000];

/// One more than the last message of the protocol, and those of our own.
const MESSAGES: usize = 34 + MessageId::PRIVATE.len();

/// What a response to `PRead` has besides the data.
const READ_HEAD: usize = 8;
/// What a `PWrite` has besides the data.
const WRITE_HEAD: usize = 20;

/// What was counted of one message.
#[derive(Debug, Default)]
pub(crate) struct Message {
    errors: AtomicU64,
    nanoseconds: AtomicU64,
    classes: [AtomicU64; CLASSES.len() + 1],
}

/// What was counted of a connection, or of all that a volume had.
#[derive(Debug)]
pub(crate) struct Stats {
    messages: [Message; MESSAGES],
    read: AtomicU64,
    written: AtomicU64,
}

/// The numbers of one message at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Requests.
    pub(crate) calls: u64,
    /// Requests that have failed.
    pub(crate) errors: u64,
    /// How long they took together.
    pub(crate) nanoseconds: u64,
    /// Requests by their latency; not summed up.
    pub(crate) classes: [u64; CLASSES.len() + 1],
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            messages: std::array::from_fn(|_| Message::default()),
            read: AtomicU64::default(),
            written: AtomicU64::default(),
        }
    }
}

/// Where a message is counted.
fn place(message: MessageId) -> usize {
    const PROTOCOL: usize = MESSAGES - MessageId::PRIVATE.len();
    match MessageId::PRIVATE.iter().position(|private| *private == message) {
        Some(index) => PROTOCOL + index,
        None => Some(usize::from(message.0)).filter(|place| *place < PROTOCOL).unwrap_or(0),
    }
}

impl Stats {
    /// Counts one request. `answer` is how long the answer is, if it is no error.
    pub(crate) fn count(&self, message: MessageId, received: usize, answer: Option<usize>, took: Duration) {
        // What nobody knows is counted as what it is answered with.
        let of = &self.messages[place(message)];
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let class = CLASSES.partition_point(|end| *end < took);
        add(&of.classes[class], 1);
        add(&of.nanoseconds, took);
        match answer {
            None => add(&of.errors, 1),
            Some(len) if message == MessageId::PREAD => add(&self.read, len.saturating_sub(READ_HEAD) as u64),
            Some(_) if message == MessageId::PWRITE => {
                add(&self.written, received.saturating_sub(WRITE_HEAD) as u64);
            }
            Some(_) => {}
        }
    }

    /// Adds what `other` has counted.
    pub(crate) fn absorb(&self, other: &Stats) {
        for (to, from) in self.messages.iter().zip(&other.messages) {
            add(&to.errors, get(&from.errors));
            add(&to.nanoseconds, get(&from.nanoseconds));
            for (to, from) in to.classes.iter().zip(&from.classes) {
                add(to, get(from));
            }
        }
        add(&self.read, get(&other.read));
        add(&self.written, get(&other.written));
    }

    /// Bytes that clients have read and written through messages.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (get(&self.read), get(&self.written))
    }

    /// The figures of each message that was ever used.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (MessageId, Figures)> {
        let ids = MessageId::ALL.iter().chain(MessageId::PRIVATE);
        ids.map(|id| (&self.messages[place(*id)], *id)).filter_map(|(message, id)| {
            let classes = std::array::from_fn(|index| get(&message.classes[index]));
            let figures = Figures {
                calls: classes.iter().sum(),
                errors: get(&message.errors),
                nanoseconds: get(&message.nanoseconds),
                classes,
            };
            (figures.calls > 0).then_some((id, figures))
        })
    }

    /// Requests, and those that have failed.
    pub(crate) fn totals(&self) -> (u64, u64) {
        self.messages().fold((0, 0), |(calls, errors), (_, figures)| (calls + figures.calls, errors + figures.errors))
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_message_and_latency() {
        let stats = Stats::default();
        stats.count(MessageId::PREAD, 20, Some(108), Duration::from_micros(7));
        stats.count(MessageId::PREAD, 20, None, Duration::from_secs(5));
        stats.count(MessageId::PWRITE, 70, Some(8), Duration::from_nanos(5_000));
        let total = Stats::default();
        total.absorb(&stats);
        total.absorb(&stats);
        assert_eq!((total.bytes(), total.totals()), ((200, 100), (6, 2)));
        let (message, figures) = stats.messages().next().unwrap();
        assert_eq!((message, figures.calls, figures.errors), (MessageId::PWRITE, 1, 0));
        assert_eq!(figures.classes[0], 1);
        let (_, figures) = stats.messages().nth(1).unwrap();
        assert_eq!((figures.classes[1], figures.classes[CLASSES.len()]), (1, 1));
    }
}
