//! What threads have used so far, as /proc has it.

use std::collections::HashMap;
use std::fs;
use std::ops::{Add, Sub};
use std::path::Path;

use anyhow::{Context, Result};

/// What one thread or several have used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time, in nanoseconds.
    pub(crate) cpu: u64,
    /// How often they have gone to sleep.
    pub(crate) voluntary: u64,
    /// How often another thread took the processor from them.
    pub(crate) involuntary: u64,
    /// How often they have gone to another processor.
    pub(crate) migrations: u64,
}

impl Add for Usage {
    type Output = Usage;

    fn add(self, other: Usage) -> Usage {
        self.with(other, u64::saturating_add)
    }
}

impl Sub for Usage {
    type Output = Usage;

    /// A thread that has ended meanwhile has taken what it used with it.
    fn sub(self, before: Usage) -> Usage {
        self.with(before, u64::saturating_sub)
    }
}

impl Usage {
    fn with(self, other: Usage, of: impl Fn(u64, u64) -> u64) -> Usage {
        Usage {
            cpu: of(self.cpu, other.cpu),
            voluntary: of(self.voluntary, other.voluntary),
            involuntary: of(self.involuntary, other.involuntary),
            migrations: of(self.migrations, other.migrations),
        }
    }

    /// That of all threads of `processes`.
    pub(crate) fn of_processes(processes: &[u32]) -> Result<Usage> {
        let mut sum = Usage::default();
        for pid in processes {
            for thread in threads(*pid)? {
                // It may end while we look.
                sum = sum + Usage::of_thread(*pid, thread).unwrap_or_default();
            }
        }
        Ok(sum)
    }

    /// That of `thread` of process `pid`.
    pub(crate) fn of_thread(pid: u32, thread: u32) -> Result<Usage> {
        let directory = format!("/proc/{pid}/task/{thread}");
        let read = |name: &str| fs::read_to_string(Path::new(&directory).join(name)).with_context(|| directory.clone());
        let status = read("status")?;
        // Kernels without debugging of the scheduler do not have it.
        let sched = read("sched").unwrap_or_default();
        Ok(Usage {
            cpu: nanoseconds(pid, thread)?,
            voluntary: number(&status, "voluntary_ctxt_switches").context("status")?,
            involuntary: number(&status, "nonvoluntary_ctxt_switches").context("status")?,
            migrations: number(&sched, "se.nr_migrations").unwrap_or(0),
        })
    }
}

/// What each thread of some processes has used, for those whose threads come and go.
#[derive(Debug)]
pub(crate) struct Usages(HashMap<u32, Usage>);

impl Usages {
    /// Those of `processes`, which may end while we look.
    pub(crate) fn of_processes(processes: &[u32]) -> Self {
        let of_process = |pid: &u32| {
            let pid = *pid;
            let threads = threads(pid).unwrap_or_default().into_iter();
            threads.filter_map(move |thread| Some((thread, Usage::of_thread(pid, thread).ok()?)))
        };
        Self(processes.iter().flat_map(of_process).collect())
    }

    /// What those that are still there have used since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Usage {
        let since = |(thread, now): (&u32, &Usage)| *now - earlier.0.get(thread).copied().unwrap_or_default();
        self.0.iter().map(since).fold(Usage::default(), Add::add)
    }
}

/// Processor time of `thread` of process `pid`. The clock of processes ticks too seldom for what takes microseconds.
pub(crate) fn nanoseconds(pid: u32, thread: u32) -> Result<u64> {
    let schedstat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat"))?;
    schedstat.split(' ').next().and_then(|word| word.parse().ok()).context("schedstat")
}

/// The threads of process `pid`.
pub(crate) fn threads(pid: u32) -> Result<Vec<u32>> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// What stands behind `key` and a colon.
fn number(text: &str, key: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix(key)?.trim_start().strip_prefix(':')?.trim().parse().ok();
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_whole_names() {
        let status = "voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t2\n";
        assert_eq!(number(status, "voluntary_ctxt_switches"), Some(7));
        assert_eq!(number(status, "nonvoluntary_ctxt_switches"), Some(2));
        assert_eq!(number("se.nr_migrations           :       3\n", "se.nr_migrations"), Some(3));
        assert_eq!(number(status, "migrations"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let pid = std::process::id();
        let usage = Usage::of_processes(&[pid]).unwrap();
        assert!(usage.cpu > 0, "{usage:?}");
        assert_eq!(Usage::default() - usage, Usage::default());
    }

    #[test]
    fn a_thread_that_has_ended_takes_nothing_from_others() {
        let usage = |cpu| Usage { cpu, ..Usage::default() };
        let earlier = Usages(HashMap::from([(1, usage(5)), (2, usage(100))]));
        let later = Usages(HashMap::from([(1, usage(15)), (3, usage(7))]));
        assert_eq!(later.since(&earlier), usage(17));
    }
}
