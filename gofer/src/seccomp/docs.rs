//! The policy as people read it.

use std::fmt::Write;

use super::policy::{Entry, TABLE, When};
use super::rules::{Condition, Test};

/// The table of all system calls that are allowed, in Markdown: `docs/seccomp.md` is made of it.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for (when, title) in SECTIONS {
        let _ = write!(text, "\n## {title}\n\n| system call | arguments | what for |\n| --- | --- | --- |\n");
        for entry in TABLE.iter().filter(|entry| entry.when == when) {
            let _ = writeln!(text, "| `{}` | {} | {} |", name(entry), arguments(entry), entry.why);
        }
    }
    text
}

const HEAD: &str = "\
# System calls of the gofer that runsc starts

Any other system call kills the process (`SIGSYS`). Executable memory mappings are refused, whatever else a rule or an
extension allows. If a system call has several lines, or a line has several alternatives, any of them may match.

This file is generated from the same table as the filter, `src/seccomp/policy.rs`, by
`cargo run -p gofer --example seccomp_table > gofer/docs/seccomp.md`.
";

const SECTIONS: [(When, &str); 5] = [
    (When::Always, "Always"),
    (
        When::Lisafs,
        "If a client works through messages: `--directfs=false`, directfs off for some mount, an extension's mount",
    ),
    (When::Sockets, "With `--host-uds=open`, `create` or `all`"),
    (When::SocketsOpen, "With `--host-uds=open` or `all`"),
    (When::SocketsCreate, "With `--host-uds=create` or `all`"),
];

fn name(entry: &Entry) -> String {
    let name = entry.name.rsplit("::").next().unwrap_or(entry.name);
    name.strip_prefix("SYS_").unwrap_or(name).to_ascii_lowercase()
}

fn arguments(entry: &Entry) -> String {
    if entry.alternatives.is_empty() {
        return "any".to_owned();
    }
    let all = |conditions: &&[Condition]| conditions.iter().map(condition).collect::<Vec<_>>().join(", ");
    entry.alternatives.iter().map(all).collect::<Vec<_>>().join("; or ")
}

fn condition(condition: &Condition) -> String {
    let argument = condition.argument + 1;
    match condition.test {
        Test::Int(value) => format!("{argument}: {}", value.cast_signed()),
        Test::NotInt(value) => format!("{argument}: not {}", value.cast_signed()),
        Test::Long(value) => format!("{argument}: {value:#x}"),
        Test::Bits { mask, set: 0 } if mask.count_ones() > 16 => format!("{argument}: no bits but {:#x}", !mask),
        Test::Bits { mask, set: 0 } => format!("{argument}: without {mask:#x}"),
        Test::Bits { mask, set } => format!("{argument}: {set:#x}, perhaps with {:#x}", !mask),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_up_to_date() {
        let file = include_str!("../../docs/seccomp.md");
        assert!(file == markdown(), "run: cargo run -p gofer --example seccomp_table > gofer/docs/seccomp.md");
    }

    #[test]
    fn every_entry_is_there_with_its_reason() {
        let text = markdown();
        for entry in TABLE {
            assert!(text.contains(&format!("| `{}` |", name(entry))), "{}", entry.name);
            assert!(!entry.why.is_empty() && text.contains(entry.why), "{}", entry.name);
        }
    }
}
