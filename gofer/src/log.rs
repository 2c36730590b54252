//! What a program reports, and where.

use std::ffi::{CString, OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Args, ValueEnum};
use syslog_tracing::{Facility, Options, Syslog};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::util::SubscriberInitExt;

/// What is reported, where and how: options that commands share.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Logging")]
pub struct LogArgs {
    /// Log level
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    pub log: LogLevel,

    /// Log levels by module, such as lisafs::client=trace,warn; instead of --log
    #[arg(long, value_name = "FILTER", conflicts_with = "log")]
    pub log_filter: Option<LogFilter>,

    /// Append the log to FILE instead of writing it to stderr
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// Send the log to syslog, or the journal that takes its place, instead of writing it to stderr
    #[arg(long, conflicts_with = "log_file")]
    pub syslog: bool,

    /// Format of the log on stderr and in a file
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub log_format: LogFormat,
}

/// How much is reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "their names say it")]
pub enum LogLevel {
    Off,
    Error,
    #[default]
    Warn,
    Info,
    Debug,
    Trace,
}

/// How it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// Levels by module: `LEVEL` or `MODULE=LEVEL`, with commas between them.
#[derive(Clone, Debug)]
pub struct LogFilter {
    text: String,
    targets: Targets,
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let level = |word: &str| match LogLevel::from_str(word, true) {
            Ok(level) => Ok(level.filter()),
            Err(_) => Err(format!("{word:?} is not a level: off, error, warn, info, debug or trace")),
        };
        let mut targets = Targets::new();
        for directive in text.split(',').map(str::trim) {
            targets = match directive.split_once('=') {
                None => targets.with_default(level(directive)?),
                Some((module, word)) => {
                    let is_module = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-');
                    if module.is_empty() || !module.bytes().all(is_module) || level(module).is_ok() {
                        return Err(format!("{module:?} is not a module; for example lisafs::client=trace"));
                    }
                    targets.with_target(module, level(word)?)
                }
            };
        }
        Ok(LogFilter { text: text.to_owned(), targets })
    }
}

impl LogLevel {
    fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Off => LevelFilter::OFF,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }
}

impl LogArgs {
    /// The same options once more, for a process that is to report in the same way.
    #[must_use]
    pub fn repeat(&self) -> Vec<OsString> {
        let word = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value().map(|value| value.get_name().to_owned()).unwrap_or_default()
        };
        let mut words: Vec<OsString> = match &self.log_filter {
            Some(filter) => vec!["--log-filter".into(), filter.text.clone().into()],
            None => vec!["--log".into(), word(&|| self.log.to_possible_value()).into()],
        };
        words.extend(["--log-format".into(), word(&|| self.log_format.to_possible_value()).into()]);
        if let Some(file) = &self.log_file {
            words.extend(["--log-file".into(), file.into()]);
        }
        if self.syslog {
            words.push("--syslog".into());
        }
        words
    }

    fn targets(&self) -> Targets {
        let targets = match &self.log_filter {
            Some(filter) => filter.targets.clone(),
            None => Targets::new().with_default(self.log.filter()),
        };
        // Somebody has asked for them.
        targets.with_target(STATISTICS, LevelFilter::INFO)
    }
}

/// What statistics are reported as.
const STATISTICS: &str = "statistics";

/// A log that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("--log-file {}: {source}", path.display())]
pub struct LogError {
    path: PathBuf,
    source: io::Error,
}

/// The log is not what a person at a terminal reads on stderr.
static IS_ELSEWHERE: AtomicBool = AtomicBool::new(false);

/// Reports from now on what happens, as `args` say.
pub fn init(args: &LogArgs) -> Result<(), LogError> {
    let layer = if args.syslog {
        // There is only one in each process, of which this is the first.
        let syslog = Syslog::new(own_name(), Options::LOG_PID, Facility::Daemon);
        syslog.map(|syslog| fmt::layer().with_writer(syslog).without_time().with_level(false).with_ansi(false).boxed())
    } else if let Some(path) = &args.log_file {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|source| LogError { path: path.clone(), source })?;
        Some(written(args.log_format, Arc::new(file), false))
    } else {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Some(written(args.log_format, io::stderr, io::stderr().is_terminal() && !no_color))
    };
    let elsewhere = args.syslog || args.log_file.is_some();
    // Fails only if somebody else has set one up, which then reports.
    let _ = tracing_subscriber::registry().with(layer.with_filter(args.targets())).try_init();
    if elsewhere && !IS_ELSEWHERE.swap(true, Ordering::Relaxed) {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            tracing::error!("{panic}");
            hook(panic);
        }));
    }
    Ok(())
}

/// The name by which this program was called, for syslog.
fn own_name() -> CString {
    let path = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().unwrap_or(OsStr::new("gofer"));
    // What comes from a command line has no NUL in it.
    CString::new(name.as_bytes()).unwrap_or_default()
}

fn written<W>(format: LogFormat, to: W, ansi: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // It would panic where nobody reads stderr any more, and end connections.
    let layer = fmt::layer().with_writer(to).with_ansi(ansi).log_internal_errors(false);
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().boxed(),
    }
}

/// Whether the log goes to a file or to syslog, so that stderr is not where to look for what happens later.
#[must_use]
pub fn is_elsewhere() -> bool {
    IS_ELSEWHERE.load(Ordering::Relaxed)
}

/// Writes figures that somebody has asked for to where the log goes, whatever its level.
pub fn report(text: &str) {
    if is_elsewhere() {
        tracing::info!(target: STATISTICS, "{}", text.trim_end());
    } else {
        // In one piece, so that nobody else's lines get in between. If nobody reads it, nobody wants it.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_have_levels_and_modules() {
        for good in ["warn", "lisafs::client=trace", "lisafs=debug, warn", "INFO", "off,slatedb=error"] {
            assert!(good.parse::<LogFilter>().is_ok(), "{good}");
        }
        for bad in ["", "warning", "inof", "debug=info", "lisafs", "lisafs=inof", "a=b=c", "=info", "a b=info"] {
            assert!(bad.parse::<LogFilter>().is_err(), "{bad}");
        }
    }

    #[test]
    fn another_process_reports_in_the_same_way() {
        #[derive(Debug, clap::Parser)]
        struct Command {
            #[command(flatten)]
            log: LogArgs,
        }
        let parse = |words: &[OsString]| {
            let words = std::iter::once(OsString::from("x")).chain(words.iter().cloned());
            <Command as clap::Parser>::try_parse_from(words).map(|command| command.log)
        };
        for line in ["", "--log=info --log-format=json", "--log-filter=lisafs=trace --log-file=f", "--syslog"] {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let log = parse(&words).unwrap();
            assert_eq!(parse(&log.repeat()).unwrap().repeat(), log.repeat(), "{line}");
        }
        for bad in ["--log=warning", "--log=debug --log-filter=info", "--syslog --log-file=f"] {
            let words: Vec<OsString> = bad.split_whitespace().map(OsString::from).collect();
            assert!(parse(&words).is_err(), "{bad}");
        }
    }
}
