//! Measuring, and what came out.

use std::fmt::Write;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};

use super::client::Over;
use super::files::Files;
use super::operation::Operation;
use super::partner::Setting;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Passing control to a partner there, and back.
    PingPong(Setting),
    /// The system calls of an operation.
    Bare(Operation),
    /// An operation, with the server there.
    Call(Operation, Setting, Over),
}

impl Subject {
    fn id(self) -> BenchmarkId {
        match self {
            Subject::PingPong(setting) => BenchmarkId::new("futex ping-pong", setting),
            Subject::Bare(operation) => BenchmarkId::new(operation.name(), "bare system calls"),
            Subject::Call(operation, setting, over) => {
                BenchmarkId::new(operation.name(), format_args!("{}, {setting}", over.name()))
            }
        }
    }
}

/// One batch: how often something was done, and how long each time took on average.
#[derive(Clone, Copy, Debug)]
struct Batch {
    count: u64,
    each: Duration,
}

/// Keeps what criterion measures, since it answers no figures itself.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    batches: Vec<(Subject, Vec<Batch>)>,
}

impl Recorder {
    /// Lets criterion measure `routine`.
    pub(crate) fn bench(&mut self, criterion: &mut Criterion, subject: Subject, mut routine: impl FnMut()) {
        let mut batches = Vec::new();
        let id = subject.id();
        criterion.benchmark_group("round trips").bench_function(id, |bencher| {
            bencher.iter_custom(|count| {
                let start = Instant::now();
                for _ in 0..count {
                    routine();
                }
                let taken = start.elapsed();
                batches.push(Batch { count, each: taken.div_f64(count as f64) });
                taken
            });
        });
        self.batches.push((subject, batches));
    }

    /// The median in microseconds, if `subject` was measured. Long batches count more, so that those few and short ones
    /// before everything is warm do not matter.
    fn median(&self, subject: Subject) -> Option<f64> {
        let (_, batches) = self.batches.iter().find(|(measured, _)| *measured == subject)?;
        let mut batches = batches.clone();
        batches.sort_unstable_by_key(|batch| batch.each);
        let all: u64 = batches.iter().map(|batch| batch.count).sum();
        let mut so_far = 0;
        let median = batches.iter().find(|batch| {
            so_far += batch.count;
            2 * so_far >= all
        })?;
        Some(median.each.as_secs_f64() * 1e6)
    }

    /// Whether any operation was measured with the server there: a filter may have left it out.
    fn has(&self, setting: Setting) -> bool {
        let is_there = |subject: &Subject| matches!(subject, Subject::Call(_, there, _) if *there == setting);
        self.batches.iter().any(|(subject, batches)| is_there(subject) && !batches.is_empty())
    }

    /// All medians, with their ratios.
    pub(crate) fn table(&self, files: &Files) -> String {
        let mut text = String::new();
        self.write_table(files, &mut text).expect("strings take everything");
        text
    }

    fn write_table(&self, files: &Files, to: &mut String) -> std::fmt::Result {
        let memory = if files.are_in_memory() { "in memory" } else { "NOT IN MEMORY" };
        writeln!(to, "\nMedians in microseconds; the files are {memory}.")?;
        writeln!(to, "x calls: how many times the bare system calls.")?;
        writeln!(to, "x futex: how many times as many futex ping-pongs as the operation has round trips.\n")?;
        for setting in Setting::all().filter(|setting| self.has(*setting)) {
            let ping_pong = self.median(Subject::PingPong(setting));
            writeln!(to, "Server: {setting}; futex ping-pong {}\n", micros(ping_pong))?;
            writeln!(
                to,
                "{:30} {:>5} {:>9} {:>9} {:>8} {:>8} {:>9} {:>8} {:>8}",
                "", "trips", "calls", "socket", "x calls", "x futex", "channel", "x calls", "x futex"
            )?;
            for operation in Operation::ALL {
                let trips = operation.round_trips();
                let bare = self.median(Subject::Bare(operation));
                write!(to, "{:30} {trips:>5} {:>9}", operation.name(), micros(bare))?;
                for over in Over::ALL {
                    let taken = self.median(Subject::Call(operation, setting, over));
                    let floor = ping_pong.map(|one| one * f64::from(trips));
                    write!(to, " {:>9} {:>8} {:>8}", micros(taken), ratio(taken, bare), ratio(taken, floor))?;
                }
                writeln!(to)?;
            }
            writeln!(to)?;
        }
        Ok(())
    }
}

fn micros(time: Option<f64>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.2}"))
}

fn ratio(time: Option<f64>, base: Option<f64>) -> String {
    time.zip(base).map_or_else(|| "-".to_owned(), |(time, base)| format!("{:.2}", time / base))
}
