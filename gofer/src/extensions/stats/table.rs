//! Numbers for people.

use super::counter::Snapshot;

const HEAD: [&str; 8] = ["calls", "errors", "bytes", "total", "mean", "p50", "p99", "max"];

/// A table of the calls that were made at least once, those first that took most of the time. `what` stands above their
/// names.
pub fn table(what: &str, mut counters: Vec<(&str, Snapshot)>) -> String {
    counters.retain(|(_, counted)| counted.calls > 0);
    counters.sort_by_key(|(_, counted)| std::cmp::Reverse(counted.nanos));
    let rows = counters.iter().map(|(name, counted)| {
        [
            (*name).to_owned(),
            counted.calls.to_string(),
            counted.errors.to_string(),
            if counted.bytes == 0 { "-".to_owned() } else { counted.bytes.to_string() },
            time(counted.nanos),
            time(counted.mean()),
            time(counted.percentile(50)),
            time(counted.percentile(99)),
            time(counted.max),
        ]
    });
    let [calls, errors, bytes, total, mean, p50, p99, max] = HEAD;
    let head = [what, calls, errors, bytes, total, mean, p50, p99, max].map(str::to_owned);
    let rows: Vec<[String; 9]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; 9] = std::array::from_fn(width);
    let mut table = String::new();
    for row in &rows {
        table.push_str(&format!("{:<1$}", row[0], widths[0]));
        for (cell, width) in row.iter().zip(widths).skip(1) {
            table.push_str(&format!("  {cell:>width$}"));
        }
        table.push('\n');
    }
    table
}

/// A time with three digits at least.
fn time(nanos: u64) -> String {
    let (unit, name) = match nanos {
        0..1_000 => return format!("{nanos}ns"),
        1_000..1_000_000 => (1_000, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (whole, rest) = (nanos / unit, nanos % unit * 100 / unit);
    match whole {
        0..10 => format!("{whole}.{rest:02}{name}"),
        10..100 => format!("{whole}.{}{name}", rest / 10),
        _ => format!("{whole}{name}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::counter::Counter;
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let (stat, read) = (Counter::default(), Counter::default());
        stat.add(Duration::from_nanos(700), Some(0));
        for _ in 0..10 {
            read.add(Duration::from_micros(1234), Some(4096));
        }
        read.add(Duration::from_micros(3), None);
        let counters = [("stat", &stat), ("sync", &Counter::default()), ("read", &read)];
        let table = table("call", counters.into_iter().map(|(name, counter)| (name, counter.snapshot())).collect());
        let expected = "\
call  calls  errors  bytes   total    mean     p50     p99     max
read     11       1  40960  12.3ms  1.12ms  1.23ms  1.23ms  1.23ms
stat      1       0      -   700ns   700ns   700ns   700ns   700ns
";
        assert_eq!(table, expected);
    }

    #[test]
    fn times_are_short() {
        let times = [0, 999, 1000, 12_345, 123_456, 1_999_999, 59_000_000_000, 3_600_000_000_000].map(time);
        assert_eq!(times, ["0ns", "999ns", "1.00us", "12.3us", "123us", "1.99ms", "59.0s", "3600s"]);
    }
}
