//! Who is connected.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::shared::Shared;

/// What `gofer-volumes status` shows.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The server's process.
    pub(crate) pid: u32,
    /// Its program's version.
    pub(crate) program: String,
    /// Who is connected, the longest one first.
    pub(crate) connections: Vec<Connected>,
}

/// One connection.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Connected {
    pub(crate) volume: String,
    pub(crate) container: Option<String>,
    pub(crate) path: String,
    pub(crate) read_only: bool,
    pub(crate) pid: i32,
    pub(crate) user: u32,
    /// In seconds since 1970.
    pub(crate) since: u64,
    pub(crate) calls: u64,
    pub(crate) errors: u64,
}

/// The status of this server.
pub(crate) fn now(shared: &Shared) -> Status {
    let mut connections = Vec::new();
    shared.connections.each(|about| {
        let (calls, errors) = about.stats.totals();
        connections.push(Connected {
            volume: about.volume.clone(),
            container: about.container.clone(),
            path: about.path.clone(),
            read_only: about.read_only,
            pid: about.peer.pid,
            user: about.peer.user,
            since: about.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            calls,
            errors,
        });
    });
    connections.sort_by(|a, b| (a.since, &a.volume).cmp(&(b.since, &b.volume)));
    Status { pid: std::process::id(), program: env!("CARGO_PKG_VERSION").to_owned(), connections }
}

impl Status {
    /// A table for people.
    pub(crate) fn table(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut rows = vec![
            ["VOLUME", "CONTAINER", "PATH", "MODE", "PID", "USER", "SECONDS", "CALLS", "ERRORS"].map(str::to_owned),
        ];
        rows.extend(self.connections.iter().map(|one| {
            [
                one.volume.clone(),
                one.container.clone().unwrap_or_else(|| "-".to_owned()),
                one.path.clone(),
                if one.read_only { "ro" } else { "rw" }.to_owned(),
                one.pid.to_string(),
                one.user.to_string(),
                now.saturating_sub(one.since).to_string(),
                one.calls.to_string(),
                one.errors.to_string(),
            ]
            // They are from strangers.
            .map(|text| text.escape_debug().to_string())
        }));
        let widths: [usize; 9] =
            std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default());
        let line = |row: &[String; 9]| {
            let cells = row.iter().zip(widths).map(|(text, width)| format!("{text:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        rows.iter().map(line).collect()
    }
}
