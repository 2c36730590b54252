//! `fusebridge trace replay`

use std::ffi::{OsStr, OsString};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use gofer::log::{self, LogArgs};

use super::{Failure, check};
use crate::cli::connection::connect;
use crate::cli::extensions::Extensions;
use crate::cli::options::time_limit;
use crate::launch::{BackendSpec, Launcher};
use crate::limits::Descriptors;
use crate::trace::{Facts, Reader, Recorder, RecorderOptions, ReplayOptions, replay};
use lisafs::client::ClientOptions;

const EXAMPLES: &str = "\
BACKEND must be in the state that the recorded one was in at first, or replies
differ for that reason alone. The requests CHANGE it: use a copy. Where data was
not recorded (--trace-data), a pattern is written, and only the length of what
is read is compared. A ~ marks a difference that may be due to ordering: another
request was in flight at the time. Names that are created or removed while their
directory is listed are compared by --strict only.

Exit status: 0 if no reply differs, 1 if one does, 2 if the trace or the backend
cannot be used.

Examples:
  fusebridge run --io rpc --trace t mem: -- ./test
      record everything ./test does
  fusebridge trace replay t 'fault:mem:?error=EIO@write'
      see how another backend replies";

/// Sends the requests of a trace to a backend, and reports answers that differ.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::cli) struct Replay {
    /// Also report what naturally differs: inode numbers, devices, times, blocks, order of names, file system
    /// statistics
    #[arg(long)]
    strict: bool,

    /// Maximum number of differences to print
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,

    /// Make the backend refuse all changes
    #[arg(long)]
    read_only: bool,

    /// Timeout for replies from the server
    #[arg(long, value_name = "SECONDS", value_parser = time_limit, default_value = "30")]
    time_limit: Duration,

    /// Record the replay as well
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// The trace
    file: PathBuf,

    /// A directory, NAME:ARGUMENT, unix:SOCKET, or exec:COMMAND
    backend: OsString,

    // Last: its heading is for all that follows.
    #[command(flatten)]
    log: LogArgs,
}

impl Replay {
    /// Where the requests go.
    pub(in crate::cli) fn backend(&self) -> &OsStr {
        &self.backend
    }

    /// As programs do that compare: differences are 1, trouble is 2.
    pub(super) fn run(&self, extensions: &Extensions) -> Result<ExitCode, Failure> {
        const TROUBLE: u8 = 2;
        match self.replay(extensions) {
            Ok(same) => Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
            Err(error) => {
                crate::cli::report_error(&error);
                Ok(ExitCode::from(TROUBLE))
            }
        }
    }

    /// Whether all answers were the same.
    fn replay(&self, extensions: &Extensions) -> Result<bool, Failure> {
        log::init(&self.log)?;
        let spec = BackendSpec::parse(&self.backend, &extensions.names)?;
        // Before a server is started for nothing.
        Reader::open(&self.file)?;
        Descriptors::raise();
        let trace = self.start_trace(&spec)?;
        let launcher = Launcher {
            gofer: ("/proc/self/exe".into(), vec![crate::cli::GOFER.into()]),
            read_only: self.read_only,
            no_atime: false,
            access: None,
            log: self.log.repeat(),
            flags: extensions.flags.clone(),
            hand_downs: extensions.hand_downs.clone(),
            relay: false,
            stats: false,
            in_process: None,
        };
        let options = ClientOptions::default().time_limit(self.time_limit).trace(trace.clone());
        let (client, root, mut server) = connect(&launcher, &spec, &options)?;

        let mut out = BufWriter::new(std::io::stdout().lock());
        let mut written = Ok(());
        let mut count = 0;
        let mut print = |difference: &crate::trace::Difference| {
            count += 1;
            if count <= self.limit && written.is_ok() {
                written = writeln!(out, "{difference}");
            }
        };
        let report = replay(&self.file, &client, &root, ReplayOptions { strict: self.strict }, &mut print)?;
        drop(client);
        server.finish();
        if let Some(trace) = trace {
            trace.finish()?;
        }
        if count > self.limit {
            written = written.and_then(|()| writeln!(out, "... and {} more; use --limit", count - self.limit));
        }
        match written.and_then(|()| write!(out, "{report}")).and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
        check(report.ending)?;
        // Else the answers that did not come are told.
        if report.lost && report.differences == 0 {
            return Err("the connection ended before the trace did".into());
        }
        Ok(report.differences == 0)
    }

    fn start_trace(&self, spec: &BackendSpec) -> Result<Option<std::sync::Arc<Recorder>>, Failure> {
        let Some(path) = &self.trace else { return Ok(None) };
        if let (Ok(recorded), Ok(wanted)) = (self.file.canonicalize(), path.canonicalize())
            && recorded == wanted
        {
            return Err("--trace would overwrite the trace being replayed; use another FILE".into());
        }
        let facts = Facts::new().with("backend", spec).with("replay-of", self.file.display());
        let recorder = Recorder::create(path, &facts, RecorderOptions::default());
        let recorder = recorder.map_err(|error| format!("cannot write the trace {}: {error}", path.display()))?;
        Ok(Some(recorder))
    }
}
