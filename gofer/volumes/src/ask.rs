//! Asking a running server.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gofer::volume::{Answer, LineError, VERSION, receive_line, send_line};

use crate::status::Status;

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest answer: some 50,000 connections.
const LONGEST: usize = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("cannot connect to {}: {source}", path.display())]
    Connect { path: PathBuf, source: std::io::Error },
    #[error("no answer from {}: {source}", path.display())]
    Line { path: PathBuf, source: LineError },
    #[error("{}: {text}", path.display())]
    Refused { path: PathBuf, text: String },
}

/// The status of the server that listens at `path`.
pub(crate) fn status(path: &Path) -> Result<Status, AskError> {
    let socket = UnixStream::connect(path).map_err(|source| AskError::Connect { path: path.to_owned(), source })?;
    let deadline = Instant::now() + LIMIT;
    let line = |source| AskError::Line { path: path.to_owned(), source };
    let request = format!("{{\"version\":{VERSION},\"command\":\"status\"}}\n");
    send_line(&socket, request.as_bytes(), None, deadline).map_err(line)?;
    let (answer, _) = receive_line(&socket, LONGEST, deadline).map_err(line)?;
    serde_json::from_slice(&answer).map_err(|error| {
        let refused = serde_json::from_slice::<Answer>(&answer).ok().and_then(|answer| answer.error);
        let text = refused.unwrap_or_else(|| format!("this is not an answer from gofer-volumes: {error}"));
        AskError::Refused { path: path.to_owned(), text }
    })
}
