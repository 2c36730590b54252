//! Reports on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// A level that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("--log {level}: {source}")]
pub struct LogError {
    level: String,
    source: ParseError,
}

/// Reports what happens on stderr, as much as `level` says: a level, or filters by module.
pub fn init_log(level: &str) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(level).map_err(|source| LogError { level: level.to_owned(), source })?;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // Fails only if somebody else has set one up, which then reports.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !no_color)
        // It would panic where nobody reads stderr any more, and end connections.
        .log_internal_errors(false)
        .try_init();
    Ok(())
}
