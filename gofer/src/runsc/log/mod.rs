//! The log, where and how the caller wants it.

mod format;

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Mutex;

use jiff::Timestamp;
use tracing::Level;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use self::format::Lines;
use super::args::Globals;
use super::descriptors::LogFiles;

/// Begins every log: who wonders whether a container's gofer is this one looks for it.
pub(crate) const FIRST_LINE: &str = concat!("gofer ", env!("CARGO_PKG_VERSION"), " in place of runsc's own");

/// Where a failure is reported.
#[derive(Debug, Default)]
pub(super) struct Log {
    fatal: Option<File>,
}

impl Log {
    /// Starts the log of the process, and makes the file for details its stderr too.
    pub(super) fn start(globals: &Globals, files: LogFiles) -> Self {
        let LogFiles { fatal, debug, panic } = files;
        let stderr = panic.as_ref().or(debug.as_ref()).map(|file| rustix::stdio::dup2_stderr(file.as_fd()));
        let has_file = debug.is_some() || panic.is_some();
        let to: Option<BoxMakeWriter> = match debug {
            Some(file) => Some(BoxMakeWriter::new(Mutex::new(file))),
            None if globals.also_log_to_stderr && !has_file => Some(BoxMakeWriter::new(io::stderr)),
            None => None,
        };
        if let Some(to) = to {
            let level = if globals.is_debugged() { Level::DEBUG } else { Level::INFO };
            let lines = Lines::new(globals.log_format);
            // A log that cannot be written is no reason to fail a request, which the panic over a closed stderr would
            // do.
            let subscriber = tracing_subscriber::fmt().log_internal_errors(false);
            let subscriber = subscriber.with_max_level(level).event_format(lines).with_writer(to);
            // Fails only if somebody has started another one, which then gets it all.
            let _ = subscriber.try_init();
            tracing::info!("{FIRST_LINE}");
        }
        if let Some(Err(error)) = stderr {
            tracing::warn!("output on stderr does not appear in this log: {error}");
        }
        Log { fatal }
    }

    /// Says why the process ends, to whoever looks: in the log, on stderr, and to the caller.
    pub(super) fn fatal(&mut self, message: &str) {
        tracing::warn!("FATAL ERROR: {message}");
        let _ = writeln!(io::stderr(), "{message}");
        if let Some(file) = &mut self.fatal {
            let line = serde_json::json!({"msg": message, "level": "error", "time": Timestamp::now().to_string()});
            // There is nobody left to tell.
            let _ = file.write_all(line.to_string().as_bytes());
        }
    }
}
