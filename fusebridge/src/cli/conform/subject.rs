//! What is tested: a backend that is mounted for it, or a directory as it is.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use clap::ValueEnum;

use super::args::Conform;
use crate::cli::Failure;
use crate::cli::extensions::Extensions;
use crate::cli::options::{DEFAULT_THREADS, MountArgs};
use crate::cli::owners::OwnerArgs;
use crate::cli::signals::{Event, Interruption, events};
use crate::cli::up::Up;
use crate::fs::{Access, IoMode};
use crate::launch::BackendSpec;
use crate::mountpoint::Mountpoint;
use crate::unmount::{UnmountError, Unmounted};
use ::conform::{CaseResult, Cause, Clock, Mode, Outcome, Stop, SuiteRun, run_suites};
use conform::{Failure as CaseFailure, progress::Progress, report};

/// What stands before a directory that is to be tested without a mount.
const NATIVE: &str = "native:";

/// What is tested.
pub(super) enum Subject {
    /// It is mounted.
    Backend(BackendSpec),
    /// It is a directory already.
    Native(PathBuf),
}

/// What came of a mode.
pub(super) enum Tested {
    /// These suites ran.
    Suites(Vec<SuiteRun>),
    /// The backend cannot be mounted so.
    Impossible(io::Error),
    /// Somebody wanted an end.
    Interrupted,
}

impl Subject {
    /// Takes a command line argument apart.
    pub(super) fn parse(argument: &OsStr, extensions: &Extensions) -> Result<Self, Failure> {
        if let Some(directory) = argument.to_str().and_then(|text| text.strip_prefix(NATIVE)) {
            // The processes for tests have another working directory.
            let path = Path::new(directory).canonicalize().ok().filter(|path| path.is_dir());
            return path.map(Subject::Native).ok_or_else(|| format!("{NATIVE}{directory}: not a directory").into());
        }
        Ok(Subject::Backend(BackendSpec::parse(argument, &extensions.names)?))
    }

    /// The ways to have it: for a directory that is not mounted there is only one.
    pub(super) fn modes(&self, args: &Conform) -> Vec<(IoMode, Access)> {
        match self {
            Subject::Backend(_) => args.modes(),
            Subject::Native(_) => vec![(IoMode::Auto, Access::Shared)],
        }
    }

    /// What a mode is called in reports.
    pub(super) fn mode(&self, io: IoMode, access: Access) -> Mode {
        match self {
            Subject::Backend(_) => Mode { io: word(&io), access: word(&access) },
            Subject::Native(_) => Mode { io: report::NATIVE.to_owned(), access: report::NATIVE.to_owned() },
        }
    }

    /// Runs the suites on it in one mode, until there is an `interruption`. The mount is taken down whatever comes of
    /// that. A recording goes to `trace`.
    pub(super) fn test(
        &self,
        args: &Conform,
        (io, access): (IoMode, Access),
        extensions: &Extensions,
        trace: Option<&Path>,
        interruption: &Interruption,
    ) -> Result<Tested, Failure> {
        // New ones for each mode: what an earlier mount still has to say is of no interest.
        let (sender, receiver) = events()?;
        let progress = Progress::new(&self.mode(io, access));
        let spec = match self {
            Subject::Native(directory) => {
                return run(args, directory, &progress, &Clock::default(), (&sender, &receiver), interruption)
                    .map(|(suites, _)| suites);
            }
            Subject::Backend(spec) => spec,
        };
        let mount = mount_args(args, io, access, trace);
        let up = Up::bring(&mount, spec, extensions, Mountpoint::temporary()?, false, (&sender, &receiver))?;
        let clock = Clock::new(up.trace().map(Arc::clone));
        let tested = match possible(up.path(), io) {
            Ok(()) => run(args, up.path(), &progress, &clock, (&sender, &receiver), interruption),
            Err(error) => Ok((Tested::Impossible(error), None)),
        };
        let start = clock.now();
        let is_idle = up.becomes_idle();
        let unmounted = up.take_down();
        let (tested, cause) = tested?;
        let Tested::Suites(mut suites) = tested else { return Ok(tested) };
        let (lives, ended) = fate(cause, is_idle, &unmounted);
        let span = clock.since(start);
        let cases = vec![
            CaseResult::new("lifecycle::server_lives", lives, span).about("the server lives on until it is unmounted"),
            CaseResult::new("lifecycle::unmounts", ended, span)
                .about("the mount is idle in the end and can be taken down"),
        ];
        suites.push(SuiteRun { suite: report::LIFECYCLE.to_owned(), cases, seconds: span.duration().as_secs_f64() });
        Ok(Tested::Suites(suites))
    }
}

/// How the server and the mount have ended.
fn fate(cause: Option<Cause>, is_idle: bool, unmounted: &Result<Unmounted, UnmountError>) -> (Outcome, Outcome) {
    let lives = match cause {
        Some(Cause::ServerGone) => {
            mount_failure("a server that lives on", "the server exited; the remaining tests were not run")
        }
        Some(Cause::Interrupted | Cause::Unmounted) | None => Outcome::Passed,
    };
    let ended = match unmounted {
        _ if cause == Some(Cause::Unmounted) => {
            mount_failure("nobody who does it before the end", "it was unmounted; what came after that was not run")
        }
        // Without requests, it is only held: by a namespace that was made meanwhile, for example.
        Ok(Unmounted::Gone | Unmounted::Detached) if is_idle => Outcome::Passed,
        Ok(_) => mount_failure("an end of all requests", "some are still under way"),
        Err(error) => mount_failure("success", &error.to_string()),
    };
    (lives, ended)
}

fn mount_failure(expected: &str, actual: &str) -> Outcome {
    Outcome::Failed(CaseFailure::new("umount()", expected, actual))
}

/// Runs the suites in a thread, and hears what happens meanwhile.
fn run(
    args: &Conform,
    root: &Path,
    progress: &Progress,
    clock: &Clock,
    (sender, receiver): (&Sender<Event>, &Receiver<Event>),
    interruption: &Interruption,
) -> Result<(Tested, Option<Cause>), Failure> {
    let stop = Stop::default();
    // A signal may have come before there was anybody for its event.
    if interruption.has_come() {
        stop.stop(Cause::Interrupted);
    }
    let outcome = std::thread::scope(|scope| {
        let (end, stop) = (End(sender), &stop);
        let suites = scope.spawn(move || {
            let _end = end;
            run_suites(root, &args.possible_suites().0, &args.settings(), progress, stop, clock).map_err(Failure::from)
        });
        while let Ok(event) = receiver.recv() {
            match event {
                Event::CommandEnded => break,
                Event::Signal(_) => stop.stop(Cause::Interrupted),
                Event::Unmounted => stop.stop(Cause::Unmounted),
                Event::ServerGone => stop.stop(Cause::ServerGone),
                Event::Report | Event::Connected => {}
            }
        }
        // The mount is still to be taken down.
        suites.join().unwrap_or_else(|_| Err("the thread that runs the suites panicked".into()))
    });
    let suites = match outcome {
        // That a server ends at once is a finding too.
        Err(_) if stop.cause().is_none() && server_has_gone(receiver) => return Ok(nothing_but(Cause::ServerGone)),
        Err(error) => match stop.cause() {
            Some(cause @ (Cause::ServerGone | Cause::Unmounted)) => return Ok(nothing_but(cause)),
            Some(Cause::Interrupted) => return Ok((Tested::Interrupted, None)),
            None => return Err(error),
        },
        Ok(suites) => suites,
    };
    match stop.cause() {
        Some(Cause::Interrupted) => Ok((Tested::Interrupted, None)),
        cause => Ok((Tested::Suites(suites), cause)),
    }
}

/// Says that the suites have ended, in whichever way.
struct End<'a>(&'a Sender<Event>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        // The receiver lives until their thread has ended.
        let _ = self.0.send(Event::CommandEnded);
    }
}

/// No suite has run.
fn nothing_but(cause: Cause) -> (Tested, Option<Cause>) {
    (Tested::Suites(Vec::new()), Some(cause))
}

/// Whether the server's end is heard of, now or within a moment.
fn server_has_gone(receiver: &Receiver<Event>) -> bool {
    let moment = Duration::from_secs(3);
    std::iter::from_fn(|| receiver.recv_timeout(moment).ok()).any(|event| event == Event::ServerGone)
}

/// Fails if files cannot be opened in this mode.
fn possible(root: &Path, io: IoMode) -> io::Result<()> {
    if matches!(io, IoMode::Auto | IoMode::Rpc) {
        return Ok(());
    }
    let probe = root.join(format!("conform-probe-{}", std::process::id()));
    let opened = std::fs::write(&probe, "x");
    // It is there even if it could not be opened.
    let _ = std::fs::remove_file(&probe);
    match opened {
        Err(error) if error.raw_os_error() == Some(libc::EROFS) => one_opens(root),
        opened => opened,
    }
}

/// Fails if none of the files in `root` can be opened, unless there are none.
fn one_opens(root: &Path) -> io::Result<()> {
    let mut outcome = Ok(());
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            outcome = File::open(entry.path()).map(drop);
            if outcome.is_ok() {
                break;
            }
        }
    }
    outcome
}

fn mount_args(args: &Conform, io: IoMode, access: Access, trace: Option<&Path>) -> MountArgs {
    let is_root = nix::unistd::geteuid().is_root();
    MountArgs {
        read_only: false,
        access,
        io,
        allow_other: false,
        threads: DEFAULT_THREADS,
        transport: args.transport,
        server: args.server,
        suid: is_root,
        dev: is_root,
        noexec: false,
        fsname: None,
        auto_unmount: false,
        owners: OwnerArgs::default(),
        no_xattr: false,
        ttl: None,
        noatime: false,
        max_nodes: None,
        // Longer than a test may take: which test hangs is found out before the connection is given up.
        time_limit: args.timeout + Duration::from_secs(1),
        reconnect: false,
        stats: false,
        metrics: None,
        trace: trace.map(Path::to_path_buf),
        trace_data: false,
        log: args.log.clone(),
        offers_changes: true,
    }
}

/// The word on the command line.
fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mount_that_ends_in_order_is_well() {
        let passes = |cause, is_idle, unmounted| {
            let (lives, ended) = fate(cause, is_idle, &Ok(unmounted));
            (lives == Outcome::Passed, ended == Outcome::Passed)
        };
        assert_eq!(passes(None, true, Unmounted::Gone), (true, true));
        assert_eq!(passes(None, true, Unmounted::Detached), (true, true), "others hold it");
        assert_eq!(passes(None, false, Unmounted::Detached), (true, false));
        assert_eq!(passes(None, true, Unmounted::Unfinished), (true, false));
        assert_eq!(passes(Some(Cause::ServerGone), true, Unmounted::Gone), (false, true));
        assert_eq!(passes(Some(Cause::Unmounted), true, Unmounted::Gone), (true, false));
    }
}
