//! The tables of what containers do.

use std::fmt::Write as _;
use std::time::Duration;

use super::kinds::Row;
use super::messages::Counts;
use crate::bench::runsc::table::Way;
use crate::bench::table::median;
use crate::bench::usage::Usage;

/// What a row took once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(super) time: Duration,
    /// Of the gofer and the volume server.
    pub(super) servers: Usage,
    /// Of all processes of the sandbox.
    pub(super) sentry: Usage,
}

/// What came of a row, by way.
#[derive(Debug)]
struct Entry<T> {
    name: String,
    operations: u32,
    way: Way,
    result: Result<T, String>,
}

/// What came of all rows in all rounds.
#[derive(Debug)]
pub(crate) struct Rows<T>(Vec<Entry<T>>);

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Rows<T> {
    /// Adds what came of a row.
    pub(super) fn add(&mut self, row: &Row, way: Way, result: Result<T, String>) {
        self.0.push(Entry { name: row.name.clone(), operations: row.operations, way, result });
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each row once, with the number of its operations.
    fn rows(&self) -> Vec<(&str, f64)> {
        let mut rows: Vec<(&str, f64)> = Vec::new();
        for entry in &self.0 {
            if rows.iter().all(|(name, _)| *name != entry.name) {
                rows.push((&entry.name, entry.operations.into()));
            }
        }
        rows
    }

    /// What came of a row, unless it ever failed.
    fn of(&self, name: &str, way: Way) -> Option<Vec<&T>> {
        let entries = self.0.iter().filter(|entry| entry.name == name && entry.way == way);
        entries.map(|entry| entry.result.as_ref().ok()).collect()
    }

    /// A line for each that failed.
    fn failures(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for entry in &self.0 {
            let Err(why) = &entry.result else { continue };
            let line = format!("* {}, {}: {why}\n", entry.name, entry.way.name());
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        if lines.is_empty() { String::new() } else { format!("\nWhat fails:\n\n{}", lines.concat()) }
    }
}

impl Rows<Turn> {
    /// A row for each of the work, in the order in which they came first.
    pub(crate) fn markdown(&self) -> String {
        let mut text = HEAD.to_owned();
        for (name, operations) in self.rows() {
            _ = write!(text, "| {name} |");
            let cells = Way::ALL.map(|way| Cells::of(self.of(name, way)));
            let [stock, ours, volume] = &cells;
            for column in [Cells::time, Cells::processor] {
                text.push_str(&pair(stock, ours, column));
            }
            for cells in [stock, ours] {
                text.push_str(&cell(cells, |cells| cells.switches(operations)));
            }
            for column in [Cells::time, Cells::processor] {
                text.push_str(&cell(volume, |cells| column(cells).0));
                text.push_str(&ratio(ours, volume, column));
            }
            text.push_str(&cell(volume, |cells| cells.switches(operations)));
            text.push('\n');
        }
        text + &self.failures()
    }
}

const HEAD: &str = "\
|  | runsc's own gofer, ms | ours | ratio | processor: runsc's own, ms | ours | ratio | switches: runsc's own | ours | \
volume server, ms | ratio to ours | processor, ms | ratio to ours | switches |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
";

/// Where there is nothing to say.
const NONE: &str = "–";

/// Medians.
struct Cells {
    time: f64,
    servers: Medians,
    sentry: Medians,
}

/// The same of a usage.
struct Medians {
    time: f64,
    voluntary: f64,
    involuntary: f64,
}

impl Medians {
    fn of(usages: &[Usage]) -> Self {
        let of = |value: fn(&Usage) -> f64| median(usages.iter().map(value).collect());
        Self {
            time: of(|usage| usage.cpu as f64 / 1e6),
            voluntary: of(|usage| usage.voluntary as f64),
            involuntary: of(|usage| usage.involuntary as f64),
        }
    }
}

impl Cells {
    fn of(turns: Option<Vec<&Turn>>) -> Option<Self> {
        let turns = turns.filter(|turns| !turns.is_empty())?;
        let usages = |side: fn(&Turn) -> Usage| Medians::of(&turns.iter().map(|turn| side(turn)).collect::<Vec<_>>());
        Some(Self {
            time: median(turns.iter().map(|turn| turn.time.as_secs_f64() * 1e3).collect()),
            servers: usages(|turn| turn.servers),
            sentry: usages(|turn| turn.sentry),
        })
    }

    /// Text, and what ratios are made of.
    fn time(&self) -> (String, f64) {
        (format!("{:.0}", self.time), self.time)
    }

    fn processor(&self) -> (String, f64) {
        let (servers, sentry) = (self.servers.time, self.sentry.time);
        (format!("{servers:.0} + {sentry:.0}"), servers + sentry)
    }

    fn switches(&self, operations: f64) -> String {
        let text = |side: &Medians| format!("{:.2}/{:.2}", side.voluntary / operations, side.involuntary / operations);
        format!("{} + {}", text(&self.servers), text(&self.sentry))
    }
}

fn cell(cells: &Option<Cells>, text: impl Fn(&Cells) -> String) -> String {
    format!(" {} |", cells.as_ref().map_or_else(|| NONE.to_owned(), text))
}

fn ratio(of: &Option<Cells>, to: &Option<Cells>, column: fn(&Cells) -> (String, f64)) -> String {
    let ratio = of.as_ref().zip(to.as_ref()).map(|(of, to)| column(to).1 / column(of).1);
    format!(" {} |", ratio.map_or_else(|| NONE.to_owned(), |ratio| format!("{ratio:.2}")))
}

fn pair(stock: &Option<Cells>, ours: &Option<Cells>, column: fn(&Cells) -> (String, f64)) -> String {
    let [stock_cell, ours_cell] = [stock, ours].map(|cells| cell(cells, |cells| column(cells).0));
    format!("{stock_cell}{ours_cell}{}", ratio(stock, ours, column))
}

impl Rows<Counts> {
    /// What was sent for one operation of each row.
    pub(crate) fn markdown(&self) -> String {
        let mut text = "|  | runsc's own gofer | ours | volume server |\n|---|---|---|---|\n".to_owned();
        for (name, operations) in self.rows() {
            let [stock, ours, volume] = Way::ALL.map(|way| {
                let counts = self
                    .of(name, way)
                    .and_then(|rounds| rounds.first().map(|counts| per_operation(counts, operations)));
                counts.unwrap_or_else(|| NONE.to_owned())
            });
            let [ours, volume] =
                [ours, volume].map(|text| if text == stock && text != NONE { "the same".to_owned() } else { text });
            _ = writeln!(text, "| {name} | {stock} | {ours} | {volume} |");
        }
        text + &self.failures()
    }
}

/// Those first of which there are most. What is sent for less than one of a hundred operations is left out.
fn per_operation(counts: &Counts, operations: f64) -> String {
    let mut kinds: Vec<(&str, f64)> =
        counts.iter().map(|(kind, count)| (kind.as_str(), *count as f64 / operations)).collect();
    kinds.sort_by(|one, other| other.1.total_cmp(&one.1));
    let all = kinds.iter().fold(0.0, |all, (_, count)| all + count);
    let kinds: Vec<String> =
        kinds.iter().filter(|(_, count)| *count >= 0.01).map(|(kind, count)| format!("{kind} {count:.2}")).collect();
    if kinds.is_empty() { format!("{all:.2}") } else { format!("{all:.2}: {}", kinds.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> Row {
        Row { name: name.to_owned(), operations: 10, turns: 1, script: String::new(), afterwards: "true" }
    }

    #[test]
    fn times_and_what_they_took() {
        let mut rows = Rows::default();
        for (way, factor) in [(Way::Stock, 4), (Way::Ours, 2), (Way::Volume, 1)] {
            let usage =
                |ms| Usage { cpu: ms * u64::from(factor) * 1_000_000, voluntary: 10, involuntary: 5, migrations: 0 };
            let turn = Turn { time: Duration::from_millis(100) * factor, servers: usage(10), sentry: usage(20) };
            rows.add(&row("find"), way, Ok(turn));
        }
        let text = rows.markdown();
        let switches = "1.00/0.50 + 1.00/0.50";
        let expected = format!(
            "| find | 400 | 200 | 0.50 | 40 + 80 | 20 + 40 | 0.50 | {switches} | {switches} | 100 | 0.50 | 10 + 20 | 0.50 | {switches} |\n"
        );
        assert!(text.ends_with(&expected), "{text}");
        let columns = |line: &str| line.matches('|').count();
        assert!(text.lines().all(|line| columns(line) == columns(HEAD.lines().next().unwrap())), "{text}");
    }

    #[test]
    fn what_fails_has_a_reason_and_no_figures() {
        let mut rows = Rows::default();
        for way in Way::ALL {
            let counts = Counts::from([("Walk".to_owned(), 30), ("OpenAt".to_owned(), 40)]);
            rows.add(
                &row("git"),
                way,
                if way == Way::Ours { Err("exit status 127: no git".to_owned()) } else { Ok(counts) },
            );
        }
        let text = rows.markdown();
        assert!(text.contains("\n| git | 7.00: OpenAt 4.00, Walk 3.00 | – | the same |\n"), "{text}");
        assert!(text.ends_with("\n* git, ours: exit status 127: no git\n"), "{text}");
    }
}
