//! A test of the tests: each defect that `fault:` knows is found, and by the test that the documentation names.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use e2e::{bins, check, command, conform, host, skip};

const CHAPTER: &str = "fusebridge/docs/conformance.md";

/// How many defects are tried at once.
const AT_ONCE: usize = 2;

/// What the documentation says: the parameter of each defect, and the test that finds it. Some are found by no test.
fn table() -> Result<BTreeMap<String, Option<String>>> {
    let text = fs::read_to_string(bins::workspace().join(CHAPTER))?;
    let table = text.split("<!-- defects -->").nth(1).context("no table of defects")?;
    let mut found = BTreeMap::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [defect, _, test] = cells.as_slice() else { bail!("a row of {} cells: {row}", cells.len()) };
        let test = test.strip_prefix('`').and_then(|test| test.strip_suffix('`')).map(str::to_owned);
        let defect = defect.trim_matches('`').to_owned();
        if found.insert(defect.clone(), test).is_some() {
            bail!("{defect} is there twice");
        }
    }
    Ok(found)
}

/// All defects that the wrapper knows, from what it says of one that it does not.
fn known() -> Result<Vec<String>> {
    let mut fusebridge = Command::new(bins::fusebridge()?);
    let outcome =
        command::run(fusebridge.args(["run", "fault:mem:?defect=unknown", "--", "true"]), Duration::from_secs(20))?;
    let list = outcome.stderr.split("known are ").nth(1).with_context(|| outcome.describe())?;
    Ok(list.trim().split(", ").map(str::to_owned).collect())
}

#[test]
fn each_defect_is_in_the_table() -> Result<()> {
    let table = table()?;
    for defect in known()? {
        check::holds(&defect, table.contains_key(&format!("defect={defect}")))?;
    }
    check::holds("twenty are found", table.values().flatten().count() >= 20)
}

#[test]
fn each_defect_is_found() -> Result<()> {
    if !host::is_root() {
        skip!("some defects show only to who acts as several users, which needs root");
    }
    let table: Vec<(String, String)> =
        table()?.into_iter().filter_map(|(defect, test)| Some((defect, test?))).collect();
    let part = table.len().div_ceil(AT_ONCE);
    std::thread::scope(|scope| {
        let threads: Vec<_> = table
            .chunks(part)
            .map(|rows| scope.spawn(|| rows.iter().try_for_each(|row| found(&row.0, &row.1))))
            .collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

fn found(defect: &str, test: &str) -> Result<()> {
    let (suite, case) = test.split_once('/').with_context(|| format!("{test} has no suite"))?;
    let backend = format!("fault:mem:?{defect}&seed=1");
    let run = conform::run(["--suite", suite, "--filter", case, "--timeout", "20", &backend])?;
    run.ended_with(1).with_context(|| format!("{defect} is not found by {test}"))?;
    check::holds(&format!("{defect} is found by {test}"), run.failed()?.iter().any(|failed| failed == test))
}

#[test]
fn without_a_defect_nothing_is_found() -> Result<()> {
    if !host::is_root() {
        skip!("some of the tests act as several users, which needs root");
    }
    // The tests that find defects pass without them.
    let cases: Vec<String> = table()?.into_values().flatten().collect();
    let filter: Vec<&str> = cases.iter().filter_map(|test| test.split_once('/')).map(|(_, case)| case).collect();
    let run = conform::run(["--suite", "mount", "--filter", &filter.join(","), "fault:mem:?defect=lost-write:0"])?;
    run.ended_with(0)?;
    check::holds("they are run", run.suite("mount")?.1.passed >= 20)
}
