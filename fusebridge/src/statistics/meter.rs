//! Counting requests.

use std::time::Duration;

use gofer::extensions::stats::{Counter, Snapshot, table};
use lisafs::client::Observer;
use lisafs::iobuf::IoSource;
use lisafs::wire::MessageId;

/// What the answers to PRead and PWrite begin with: a number of bytes.
const COUNT: usize = size_of::<u64>();

/// Counts and times the requests of a client. Takes no lock.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Apart from the counters, which are large: every request looks for its own.
    known: Vec<MessageId>,
    counters: Vec<Counter>,
}

impl Meter {
    /// Nothing so far.
    pub(crate) fn new() -> Self {
        let known: Vec<MessageId> = MessageId::ALL.iter().chain(MessageId::PRIVATE).copied().collect();
        let counters = known.iter().map(|_| Counter::default()).collect();
        Meter { known, counters }
    }

    /// What was counted, by the names of messages.
    pub(super) fn counted(&self) -> impl Iterator<Item = (&'static str, Snapshot)> {
        let all = self.known.iter().zip(&self.counters);
        let counted = all.map(|(id, counter)| (id.name().unwrap_or("unknown"), counter.snapshot()));
        counted.filter(|(_, counted)| counted.calls > 0)
    }

    /// A table of the requests, those first that took most of the time.
    pub(super) fn table(&self) -> String {
        table("request", self.counted().collect())
    }
}

impl Observer for Meter {
    fn answered(&self, message: MessageId, answer: Option<IoSource<'_>>, took: Duration) {
        let Some(at) = self.known.iter().position(|id| *id == message) else { return };
        self.counters[at].add(took, answer.map(|answer| moved(message, answer)));
    }
}

/// How many bytes of file data a request has moved.
fn moved(message: MessageId, answer: IoSource<'_>) -> u64 {
    match message {
        MessageId::PREAD => answer.len().saturating_sub(COUNT) as u64,
        MessageId::PWRITE if answer.len() == COUNT => {
            let mut count = [0; COUNT];
            answer.get(0, &mut count);
            u64::from_le_bytes(count)
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_with_what_they_move() {
        let meter = Meter::new();
        let took = Duration::from_micros(3);
        meter.answered(MessageId::PREAD, Some(IoSource::from(&[0; 108][..])), took);
        meter.answered(MessageId::PWRITE, Some(IoSource::from(&7u64.to_le_bytes()[..])), took);
        meter.answered(MessageId::PWRITE, None, took);
        meter.answered(MessageId::WALK, Some(IoSource::from(&[0; 50][..])), took);
        let counted: Vec<_> = meter.counted().map(|(name, of)| (name, of.calls, of.errors, of.bytes)).collect();
        assert_eq!(counted, [("Walk", 1, 0, 0), ("PWrite", 2, 1, 7), ("PRead", 1, 0, 100)]);
        assert!(meter.table().starts_with("request  calls  errors"), "{}", meter.table());
    }
}
