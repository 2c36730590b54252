//! The table of all chains.

use std::collections::BTreeMap;

use super::chain::Chain;
use crate::bench::table::median;
use crate::bench::usage::Usage;

/// What was seen of one operation on one mount, in one round. All is for one operation.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Microseconds from its beginning to its end.
    pub(super) microseconds: f64,
    /// What caller, bridge and server have used; no server if it is in the process of the bridge.
    pub(super) used: [Option<Used>; 3],
    /// The messages to the server, by kind.
    pub(super) messages: BTreeMap<String, f64>,
    /// What the kernel's events say.
    pub(super) chain: Chain,
}

/// [`Usage`] for one operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// Microseconds of processor time.
    cpu: f64,
    voluntary: f64,
    involuntary: f64,
    migrations: f64,
}

impl Used {
    /// `usage` was for `count` operations.
    pub(super) fn of(usage: Usage, count: u32) -> Self {
        let each = |number: u64| number as f64 / f64::from(count);
        Used {
            cpu: each(usage.cpu) / 1e3,
            voluntary: each(usage.voluntary),
            involuntary: each(usage.involuntary),
            migrations: each(usage.migrations),
        }
    }
}

/// The samples of all rounds, by operation and mount.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<(&'static str, String, Sample)>);

const HEADINGS: [&str; 12] = [
    "operation",
    "mount",
    "µs",
    "CPU µs",
    "sleeps",
    "preempted",
    "moved",
    "woken",
    "across",
    "with the caller",
    "requests",
    "messages",
];

/// What the headings mean.
pub(super) const LEGEND: &str = "\
All is for one operation. Three numbers with slashes are those of caller / bridge / server. CPU µs: processor time. Sleeps \
and preempted: voluntary and involuntary context switches. Moved: migrations to another processor, of all three. Woken: \
wake-ups; across: how many of them were from one processor to another. With the caller: the share of the operations that \
bridge, server and all of them together had on the caller's processor alone. Requests: of FUSE. Messages: of LisaFS. From \
\"woken\" to \"requests\", the kernel's events were counted in a pass of its own.";

impl Samples {
    /// Adds what was seen of `operation` on `mount`.
    pub(super) fn add(&mut self, operation: &'static str, mount: String, sample: Sample) {
        self.0.push((operation, mount, sample));
    }

    /// A row for each operation on each mount: medians of all rounds.
    pub(super) fn markdown(&self) -> String {
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        let mut places: Vec<(&'static str, &str)> = Vec::new();
        for (operation, mount, _) in &self.0 {
            if !places.contains(&(*operation, mount)) {
                places.push((operation, mount));
            }
        }
        // Of one operation beside each other, whatever the order in which they were measured.
        let mut operations: Vec<&str> = places.iter().map(|(operation, _)| *operation).collect();
        operations.dedup();
        places.sort_by_key(|(operation, _)| operations.iter().position(|other| other == operation));
        let mut last = "";
        for (operation, mount) in places {
            let of = self.0.iter().filter(|(of, on, _)| (*of, on.as_str()) == (operation, mount));
            let samples: Vec<&Sample> = of.map(|(_, _, sample)| sample).collect();
            let heading = if operation == last { "" } else { operation };
            rows.push(row(heading, mount, &samples));
            last = operation;
        }
        align(&rows)
    }
}

fn row(operation: &str, mount: &str, samples: &[&Sample]) -> [String; 12] {
    let middle = |value: &dyn Fn(&Sample) -> Option<f64>| {
        let values: Vec<f64> = samples.iter().filter_map(|sample| value(sample)).collect();
        (!values.is_empty()).then(|| median(values))
    };
    let number = |value: &dyn Fn(&Sample) -> Option<f64>, digits: usize| match middle(value) {
        Some(value) => format!("{value:.digits$}"),
        None => "–".to_owned(),
    };
    let of_each = |value: &dyn Fn(&Used) -> f64, digits: usize| {
        let each = [0, 1, 2].map(|role| number(&|sample| sample.used[role].as_ref().map(value), digits));
        each.join(" / ")
    };
    let of_all =
        |value: &dyn Fn(&Used) -> f64| number(&|sample| Some(sample.used.iter().flatten().map(value).sum::<f64>()), 2);
    let woken = [0, 1, 2].map(|role| number(&|sample| sample.used[role].map(|_| sample.chain.wakes[role]), 2));
    let share = |value: &dyn Fn(&Chain) -> Option<f64>| match middle(&|sample| value(&sample.chain)) {
        Some(share) => format!("{:.0} %", share * 100.0),
        None => "–".to_owned(),
    };
    let shares = [
        share(&|chain| chain.with_caller[0]),
        share(&|chain| chain.with_caller[1]),
        share(&|chain| Some(chain.together)),
    ];
    [
        operation.to_owned(),
        mount.to_owned(),
        number(&|sample| Some(sample.microseconds), 1),
        of_each(&|used| used.cpu, 1),
        of_each(&|used| used.voluntary, 2),
        of_all(&|used| used.involuntary),
        of_all(&|used| used.migrations),
        woken.join(" / "),
        number(&|sample| Some(sample.chain.across), 2),
        shares.join(" / "),
        kinds(samples, |sample| &sample.chain.requests),
        kinds(samples, |sample| &sample.messages),
    ]
}

/// How many there were of each kind, the most frequent ones first; without those of which there was hardly any.
fn kinds(samples: &[&Sample], of: impl Fn(&Sample) -> &BTreeMap<String, f64>) -> String {
    let mut names: Vec<&String> = samples.iter().flat_map(|sample| of(sample).keys()).collect();
    names.sort();
    names.dedup();
    let count =
        |name: &String| median(samples.iter().map(|sample| of(sample).get(name).copied().unwrap_or(0.0)).collect());
    let mut counts: Vec<(&String, f64)> = names.into_iter().map(|name| (name, count(name))).collect();
    counts.retain(|(_, count)| *count >= 0.005);
    counts.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let words: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count:.2}")).collect();
    if words.is_empty() { "–".to_owned() } else { words.join(", ") }
}

/// The rows, the first of which are headings, as a table that can be read as it is, too.
fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(widths) {
            text.push_str(&format!("| {cell:width$} "));
        }
        text.push_str("|\n");
        if number == 0 {
            text.extend(widths.map(|width| format!("|{}", "-".repeat(width + 2))));
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_the_medians_of_all_rounds() {
        let mut samples = Samples::default();
        for factor in [1, 3, 2] {
            let usage = Usage { cpu: 4000 * factor, voluntary: factor, involuntary: 0, migrations: 2 };
            let sample = Sample {
                microseconds: 10.0 * factor as f64,
                used: [Some(Used::of(usage, 2)), Some(Used::of(usage, 1)), None],
                messages: BTreeMap::from([("FStat".to_owned(), 1.0), ("Close".to_owned(), 0.001)]),
                chain: Chain { with_caller: [Some(0.5), None], together: 0.25, ..Chain::default() },
            };
            samples.add("stat", "in-process".to_owned(), sample.clone());
            samples.add("open", "in-process".to_owned(), sample);
        }
        let text = samples.markdown();
        let lines: Vec<&str> = text.lines().collect();
        let cells: Vec<&str> = lines[2].split('|').map(str::trim).collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(cells[1..6], ["stat", "in-process", "20.0", "4.0 / 8.0 / –", "1.00 / 2.00 / –"]);
        assert_eq!(cells[6..10], ["0.00", "3.00", "0.00 / 0.00 / –", "0.00"]);
        assert_eq!(cells[10..13], ["50 % / – / 25 %", "–", "FStat 1.00"]);
    }
}
