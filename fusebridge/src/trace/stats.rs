//! How many messages there were, and how long they took.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use lisafs::wire::MessageId;

use super::describe::words::{duration, errno_name};
use super::filter::{self, Filter};
use super::paths::Paths;
use super::reader::{Answer, Ending, Reader, Record, TraceError};

/// Figures of the messages of a trace. [`Display`](fmt::Display) makes a table of them.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    messages: BTreeMap<MessageId, Times>,
    errors: BTreeMap<u32, u64>,
    communicators: BTreeMap<u16, u64>,
    /// When the first request was sent, and when the last answer came.
    span: Option<(Duration, Duration)>,
    ending: Option<Ending>,
}

/// Figures of one kind of message.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// How many were refused with an errno or not answered.
    pub errors: u64,
    /// File data that was moved, in bytes.
    pub bytes: u64,
    /// Of each one, in nanoseconds, in ascending order.
    nanos: Vec<u64>,
}

impl Stats {
    /// Counts the messages of `reader` that `filter` accepts.
    pub fn of<R: std::io::Read>(reader: &mut Reader<R>, filter: &Filter) -> Result<Self, TraceError> {
        let mut stats = Stats::default();
        let mut paths = Paths::default();
        while let Some(record) = reader.next_record()? {
            if filter.accepts(&record, &paths) {
                stats.add(&record);
            }
            paths.learn(&record);
        }
        stats.messages.values_mut().for_each(|times| times.nanos.sort_unstable());
        stats.ending = reader.ending();
        Ok(stats)
    }

    fn add(&mut self, record: &Record<'_>) {
        let times = self.messages.entry(record.message).or_default();
        times.nanos.push(u64::try_from(record.duration.as_nanos()).unwrap_or(u64::MAX));
        times.bytes = times.bytes.saturating_add(record.bytes_moved());
        let error = filter::error(record);
        if error.is_some() || matches!(record.outcome, Answer::Unanswered(_)) {
            times.errors += 1;
        }
        if let Some(errno) = error {
            *self.errors.entry(errno).or_default() += 1;
        }
        *self.communicators.entry(record.communicator).or_default() += 1;
        let (first, last) = self.span.unwrap_or((record.start, record.end()));
        self.span = Some((first.min(record.start), last.max(record.end())));
    }

    /// The figures of one kind of message, if there was any.
    pub fn of_message(&self, message: MessageId) -> Option<&Times> {
        self.messages.get(&message)
    }

    /// How many messages there were.
    pub fn count(&self) -> usize {
        self.messages.values().map(Times::count).sum()
    }

    /// The figures for programs, with times in seconds.
    pub fn to_json(&self) -> String {
        let seconds = |time: Duration| time.as_secs_f64();
        let message = |(message, times): (&MessageId, &Times)| {
            serde_json::json!({
                "message": format!("{message:?}"),
                "count": times.count(),
                "errors": times.errors,
                "bytes": times.bytes,
                "total": seconds(times.total()),
                "mean": seconds(times.mean()),
                "p50": seconds(times.percentile(50)),
                "p90": seconds(times.percentile(90)),
                "p99": seconds(times.percentile(99)),
                "max": seconds(times.percentile(100)),
            })
        };
        let errors = self.errors.iter().map(|(errno, count)| (errno_name(*errno), *count));
        let (first, last) = self.span.unwrap_or_default();
        let figures = serde_json::json!({
            "messages": self.messages.iter().map(message).collect::<Vec<_>>(),
            "errors": errors.collect::<BTreeMap<_, _>>(),
            "seconds": seconds(last.saturating_sub(first)),
        });
        figures.to_string()
    }

    /// How the trace ends.
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }
}

impl Times {
    /// How many messages there were.
    pub fn count(&self) -> usize {
        self.nanos.len()
    }

    /// All durations together.
    pub fn total(&self) -> Duration {
        self.nanos.iter().copied().map(Duration::from_nanos).sum()
    }

    /// The shortest duration that `percent` of all messages did not exceed; 100 is the longest of all.
    pub fn percentile(&self, percent: u32) -> Duration {
        let rank = (self.nanos.len() * percent as usize).div_ceil(100).max(1);
        Duration::from_nanos(self.nanos.get(rank - 1).copied().unwrap_or(0))
    }

    fn mean(&self) -> Duration {
        u32::try_from(self.count()).ok().filter(|count| *count > 0).map_or(Duration::ZERO, |count| self.total() / count)
    }

    /// How many messages took up to 1, 2, 4, 8, .. times as long as 2 to the power of `from` nanoseconds.
    fn histogram(&self, from: u32, columns: usize) -> Vec<u64> {
        let mut counts = vec![0; columns];
        for nanos in &self.nanos {
            counts[(octave(*nanos).saturating_sub(from) as usize).min(columns - 1)] += 1;
        }
        counts
    }
}

/// The power of two that `nanos` begins with.
fn octave(nanos: u64) -> u32 {
    nanos.max(1).ilog2()
}

/// Most columns of a histogram: from one microsecond they go up to a second.
const MOST_COLUMNS: usize = 20;

const HEAD: [&str; 9] = ["message", "count", "errors", "bytes", "total", "mean", "p50", "p90", "p99"];

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, last)) = self.span else { return writeln!(f, "no messages") };
        let mut messages: Vec<(&MessageId, &Times)> = self.messages.iter().collect();
        messages.sort_by_key(|(_, times)| std::cmp::Reverse(times.total()));

        let shortest = messages.iter().map(|(_, times)| octave(times.nanos[0])).min().unwrap_or(0);
        let longest = messages.iter().map(|(_, times)| octave(times.nanos[times.count() - 1])).max().unwrap_or(0);
        let columns = ((longest - shortest + 1) as usize).min(MOST_COLUMNS);
        // The longest times are those of interest.
        let from = longest + 1 - u32::try_from(columns).unwrap_or(1);

        let row = |(message, times): &(&MessageId, &Times)| {
            [
                format!("{message:?}"),
                times.count().to_string(),
                if times.errors == 0 { "-".to_owned() } else { times.errors.to_string() },
                if times.bytes == 0 { "-".to_owned() } else { times.bytes.to_string() },
                duration(times.total()),
                duration(times.mean()),
                duration(times.percentile(50)),
                duration(times.percentile(90)),
                duration(times.percentile(99)),
                duration(times.percentile(100)),
                bars(&times.histogram(from, columns)),
            ]
        };
        let at = |octave: u32| duration(Duration::from_nanos(1 << octave.min(63)));
        // The first column has all shorter ones as well.
        let less = if from > shortest { "<" } else { "" };
        let scale = format!("{less}{} .. {}", at(from), at(longest + 1));
        let [a, b, c, d, e, g, h, i, j] = HEAD.map(str::to_owned);
        let head = [a, b, c, d, e, g, h, i, j, "max".to_owned(), scale];
        let rows: Vec<[String; 11]> = std::iter::once(head).chain(messages.iter().map(row)).collect();
        let widths: [usize; 11] =
            std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
        for row in &rows {
            write!(f, "{:<1$}", row[0], widths[0])?;
            for (cell, width) in row.iter().zip(widths).take(10).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f, "  {}", row[10].trim_end())?;
        }

        let span = last.saturating_sub(first);
        writeln!(f, "\n{} messages in {}", self.count(), duration(span))?;
        let name = |number: &u16| if *number == 0 { "sock".to_owned() } else { format!("ch{number}") };
        let parts = self.communicators.iter().map(|(number, count)| format!("{} {count}", name(number)));
        writeln!(f, "communicators: {}", parts.collect::<Vec<_>>().join(", "))?;
        if !self.errors.is_empty() {
            let mut errors: Vec<(&u32, &u64)> = self.errors.iter().collect();
            errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
            let parts = errors.iter().map(|(errno, count)| format!("{} {count}", errno_name(**errno)));
            writeln!(f, "errors: {}", parts.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

/// Counts as bars, the highest of full height. Only zero has none.
fn bars(counts: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = counts.iter().copied().max().unwrap_or(0).max(1);
    let bar = |count: &u64| match *count {
        0 => ' ',
        count => {
            let height = usize::try_from((count * BARS.len() as u64).div_ceil(highest)).unwrap_or(1);
            BARS[height.clamp(1, BARS.len()) - 1]
        }
    };
    counts.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_counts() {
        assert_eq!(bars(&[0, 1, 100, 50, 0]), " ▁█▄ ");
        assert_eq!(bars(&[3]), "█");
        assert_eq!(bars(&[0]), " ");
    }

    #[test]
    fn percentiles_are_durations_that_occurred() {
        let times = Times { nanos: (1..=200).collect(), ..Times::default() };
        let percentiles = [0, 1, 50, 90, 99, 100].map(|percent| times.percentile(percent).as_nanos());
        assert_eq!(percentiles, [1, 2, 100, 180, 198, 200]);
        let one = Times { nanos: vec![7], ..Times::default() };
        assert_eq!([1, 50, 100].map(|percent| one.percentile(percent).as_nanos()), [7; 3]);
        assert_eq!(Times::default().percentile(50), Duration::ZERO);
    }

    #[test]
    fn columns_are_octaves() {
        let times = Times { nanos: vec![1, 1023, 1024, 2047, 2048, 1 << 30], ..Times::default() };
        assert_eq!(times.histogram(10, 3), [4, 1, 1]);
    }
}
