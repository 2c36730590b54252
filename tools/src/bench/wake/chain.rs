//! The chain of an operation: who was woken, and on which processor each ran.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result, ensure};

/// What stands where an operation begins.
pub(super) const MARK: &str = "an operation begins";

/// Who takes part in an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// The program that uses the mount.
    Caller = 0,
    /// The process of the mount.
    Bridge = 1,
    /// The process of the server, if it has one of its own.
    Server = 2,
}

/// The figures of one operation, on average.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    /// How often each was woken, in the order of [`Role`].
    pub(super) wakes: [f64; 3],
    /// How many of these were from one processor to another.
    pub(super) across: f64,
    /// The share of the operations that the bridge, and the server, had on the caller's processor and no other one, of
    /// those that they took part in.
    pub(super) with_caller: [Option<f64>; 2],
    /// The share of the operations for which all ran on one processor.
    pub(super) together: f64,
    /// The requests of FUSE, by kind.
    pub(super) requests: BTreeMap<String, f64>,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
struct Event<'a> {
    /// On which processor.
    cpu: u32,
    /// The thread that ran there.
    thread: u32,
    kind: &'a str,
    details: &'a str,
}

impl<'a> Event<'a> {
    /// The event of a line: `COMMAND-THREAD [CPU] FLAGS TIME: KIND: DETAILS`. The command may have any of these in it.
    fn of(line: &'a str) -> Option<Self> {
        let (at, cpu, thread) = line.match_indices(" [").find_map(|(at, _)| {
            let (cpu, _) = line[at + 2..].split_once(']')?;
            let (_, thread) = line[..at].trim_end().rsplit_once('-')?;
            Some((at, cpu.parse().ok()?, thread.parse().ok()?))
        })?;
        let (_, rest) = line[at..].split_once(": ")?;
        let (kind, details) = rest.split_once(": ")?;
        Some(Event { cpu, thread, kind: kind.trim(), details })
    }

    fn number(&self, key: &str) -> Option<u32> {
        number(self.details, key)
    }

    /// Who has run so far, and who runs now, if it says that.
    fn switch(&self) -> Option<(u32, u32)> {
        let (previous, next) = self.details.rsplit_once(" ==> ")?;
        Some((number(previous, "prev_pid=")?, number(next, "next_pid=")?))
    }
}

/// The number behind the last `key`: in front of that may be the name of a thread, with anything in it.
fn number(details: &str, key: &str) -> Option<u32> {
    let (_, value) = details.rsplit_once(key)?;
    value.split(' ').next()?.trim().parse().ok()
}

/// Where everybody runs, and what has happened so far.
#[derive(Default)]
struct Follower {
    chain: Chain,
    /// Threads that are running, and where.
    running: HashMap<u32, u32>,
    /// Threads that are being woken, and from where.
    waking: HashMap<u32, u32>,
    operations: u32,
    /// Where each has run in this operation.
    seen: [HashSet<u32>; 3],
    /// For bridge and server: the operations that they took part in, and those of them that were on the caller's
    /// processor.
    parts: [[u32; 2]; 2],
    together: u32,
}

/// The chain of `count` operations in `events`. `roles` says who takes part; `has_server`, whether the server has a
/// process of its own.
pub(super) fn of(events: &str, roles: &HashMap<u32, Role>, count: u32) -> Result<Chain> {
    let mut follower = Follower::default();
    for event in events.lines().filter(|line| !line.starts_with('#')).filter_map(Event::of) {
        follower.follow(&event, roles).with_context(|| format!("an event that is not understood: {event:?}"))?;
    }
    follower.end_operation();
    ensure!(follower.operations == count, "{} of {count} operations are among the events", follower.operations);
    Ok(follower.average())
}

impl Follower {
    fn follow(&mut self, event: &Event<'_>, roles: &HashMap<u32, Role>) -> Option<()> {
        if event.kind == "tracing_mark_write" && event.details.trim() == MARK {
            self.end_operation();
            self.operations += 1;
            self.seen = Default::default();
            for (thread, cpu) in &self.running {
                if let Some(role) = roles.get(thread) {
                    self.seen[*role as usize].insert(*cpu);
                }
            }
        }
        self.ran(event.thread, event.cpu, roles);
        match event.kind {
            "sched_switch" => {
                let (previous, next) = event.switch()?;
                self.ran(previous, event.cpu, roles);
                self.running.remove(&previous);
                self.ran(next, event.cpu, roles);
            }
            "sched_waking" => _ = self.waking.insert(event.number("pid=")?, event.cpu),
            "sched_wakeup" => {
                let thread = event.number("pid=")?;
                let from = self.waking.remove(&thread);
                if let Some(role) = roles.get(&thread) {
                    self.chain.wakes[*role as usize] += 1.0;
                    let to = event.number("target_cpu=")?;
                    self.chain.across += f64::from(u8::from(from.is_some_and(|from| from != to)));
                }
            }
            "fuse_request_send" if roles.get(&event.thread) == Some(&Role::Caller) => {
                let (_, rest) = event.details.split_once("opcode ")?;
                let name = rest.split_once('(')?.1.split_once(')')?.0;
                // A kernel may not have a name for it.
                let name = name.strip_prefix("FUSE_").unwrap_or(name);
                *self.chain.requests.entry(name.to_owned()).or_default() += 1.0;
            }
            _ => {}
        }
        Some(())
    }

    fn ran(&mut self, thread: u32, cpu: u32, roles: &HashMap<u32, Role>) {
        if let Some(role) = roles.get(&thread) {
            self.running.insert(thread, cpu);
            self.seen[*role as usize].insert(cpu);
        }
    }

    fn end_operation(&mut self) {
        if self.operations == 0 {
            // What was before the first one counts for none.
            self.chain = Chain::default();
            return;
        }
        let [caller, others @ ..] = &self.seen;
        for (part, seen) in self.parts.iter_mut().zip(others) {
            if !seen.is_empty() {
                part[0] += 1;
                part[1] += u32::from(caller.len() == 1 && seen == caller);
            }
        }
        let all: HashSet<_> = self.seen.iter().flatten().collect();
        self.together += u32::from(all.len() == 1);
    }

    fn average(self) -> Chain {
        let count = f64::from(self.operations);
        let share = |[all, with_caller]: [u32; 2]| (all > 0).then(|| f64::from(with_caller) / f64::from(all));
        Chain {
            wakes: self.chain.wakes.map(|wakes| wakes / count),
            across: self.chain.across / count,
            with_caller: self.parts.map(share),
            together: f64::from(self.together) / count,
            requests: self.chain.requests.into_iter().map(|(kind, sent)| (kind, sent / count)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# tracer: nop\n#\n#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n";

    fn mark(cpu: u32) -> String {
        format!("           xtask-10      [{cpu:03}] .....  1.000: tracing_mark_write: {MARK}\n")
    }

    fn switch(cpu: u32, from: u32, to: u32) -> String {
        format!(
            "      odd [7] - n-{from}      [{cpu:03}] d..2.  1.000: sched_switch: prev_comm=odd [7] - n prev_pid={from} \
             prev_prio=120 prev_state=S ==> next_comm=x next_pid=1 next_pid={to} next_prio=120\n"
        )
    }

    fn wake(cpu: u32, by: u32, thread: u32, target: u32) -> String {
        let of = format!("comm=a pid=3 pid={thread} prio=120 target_cpu");
        format!(
            "    x-{by}   [{cpu:03}] d..3.  1.000: sched_waking: {of}=000\n\
             <idle>-0   [{target:03}] dN.3.  1.000: sched_wakeup: {of}={target:03}\n"
        )
    }

    fn request(cpu: u32) -> String {
        format!(
            "    xtask-10   [{cpu:03}] .....  1.000: fuse_request_send: connection 40 req 2 opcode 3 (FUSE_GETATTR) len 56 \n"
        )
    }

    #[test]
    fn a_line_of_the_kernel_is_taken_apart() {
        let line = switch(1, 20, 0);
        let event = Event::of(line.trim_end()).unwrap();
        assert_eq!((event.cpu, event.thread, event.kind), (1, 20, "sched_switch"));
        assert_eq!(event.switch(), Some((20, 0)));
        assert!(HEAD.lines().all(|line| Event::of(line).is_none()));
    }

    #[test]
    fn the_chain_is_what_each_operation_had() {
        let roles = HashMap::from([(10, Role::Caller), (20, Role::Bridge), (30, Role::Server)]);
        let near = [mark(0), request(0), wake(0, 10, 20, 0), switch(0, 10, 20), switch(0, 20, 10)].concat();
        let far = [mark(0), request(0), wake(0, 10, 20, 0), switch(0, 10, 20), wake(0, 20, 30, 1), switch(1, 0, 30)]
            .concat()
            + &[switch(1, 30, 0), switch(0, 20, 10), wake(1, 0, 10, 0)].concat();
        let before = [switch(1, 20, 0), wake(0, 10, 20, 1)].concat();
        let chain = of(&[HEAD, &before, &near, &far].concat(), &roles, 2).unwrap();
        assert_eq!(chain.wakes.map(|wakes| wakes.to_string()), ["0.5", "1", "0.5"]);
        assert_eq!(chain.across.to_string(), "1");
        assert_eq!(chain.with_caller, [Some(1.0), Some(0.0)]);
        assert_eq!(chain.together.to_string(), "0.5");
        assert_eq!(chain.requests, BTreeMap::from([("GETATTR".to_owned(), 1.0)]));
        assert!(of(&near, &roles, 2).is_err(), "one is missing");
    }
}
