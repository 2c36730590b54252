//! What `/proc` says about other processes, and ending them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

pub use subprocess::kill_group;

use crate::wait;

/// The number of open descriptors.
pub fn descriptors(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| format!("process {pid}"))?.count())
}

/// Memory in use, in KiB: the anonymous part, because file pages come and go with the page cache.
pub fn memory_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .with_context(|| format!("no RssAnon of process {pid}"))
}

/// Processor time that a process has used, its own and the kernel's for it, in clock ticks.
pub fn ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    // Behind the name, which is in parentheses and may have any in it.
    let (_, fields) = stat.rsplit_once(") ").context("no name")?;
    Ok(fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?)
}

/// The memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// All of it that is in memory.
    pub resident: u64,
    /// The same, where what several processes have counts in parts.
    pub proportional: u64,
    /// The part that it has alone.
    pub private: u64,
}

/// How much memory a process has.
pub fn memory(pid: u32) -> Result<Memory> {
    let map = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).with_context(|| format!("process {pid}"))?;
    let sum = |names: &[&str]| {
        let lines = map.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
    };
    Ok(Memory {
        resident: sum(&["Rss:"]),
        proportional: sum(&["Pss:"]),
        private: sum(&["Private_Clean:", "Private_Dirty:"]),
    })
}

/// The children of a process, over all its threads.
pub fn children(pid: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))? {
        // A thread may end while we look.
        let list = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        found.extend(list.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    Ok(found)
}

/// The process and everything below it.
pub fn family(pid: u32) -> Result<Vec<u32>> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(&member) = all.get(next) {
        all.extend(children(member).unwrap_or_default());
        next += 1;
    }
    Ok(all)
}

/// The child whose command line mentions `word`.
pub fn child_running(pid: u32, word: &str) -> Result<Option<u32>> {
    let below = family(pid)?.into_iter().skip(1);
    Ok(below.into_iter().find(|child| {
        let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(word)
    }))
}

/// Whether a process is there and not a zombie.
#[must_use]
pub fn alive(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with(['Z', 'X'])))
}

/// Sends SIGKILL to one process. One that has ended already is no error.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// Sends a signal to one process. One that has ended already is no error.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = number(pid) {
        _ = kill_process(pid, signal);
    }
}

/// Stops a process until it gets SIGCONT, and waits until all its threads stand still: one that is running on another
/// processor goes on for a moment.
pub fn stop(pid: u32) -> Result<()> {
    signal(pid, Signal::STOP);
    wait::until("all threads stand still", Duration::from_secs(10), || {
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
        threads.flatten().all(|thread| {
            // The state is behind the name, which is in parentheses and may have any in it.
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    })
}

/// `command` under hard and soft limits on the number of descriptors.
#[must_use]
pub fn with_descriptor_limit(command: &Command, limit: u32) -> Command {
    with_descriptor_limits(command, limit, limit)
}

/// `command` under a soft limit on the number of descriptors, which it may raise to the hard one.
#[must_use]
pub fn with_descriptor_limits(command: &Command, soft: u32, hard: u32) -> Command {
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--nofile={soft}:{hard}")).arg(command.get_program()).args(command.get_args());
    limited
}

fn number(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}
