//! `fusebridge run`

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{Receiver, Sender};

use clap::Args;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use signal_hook::consts::{SIGINT, SIGQUIT};

use super::Failure;
use super::extensions::Extensions;
use super::options::MountArgs;
use super::signals::{Event, events};
use super::up::Up;
use crate::launch::BackendSpec;
use crate::mountpoint::Mountpoint;
use crate::unmount::Unmounted;

const EXAMPLES: &str = "Examples:
  fusebridge run mem: -- sh -c 'echo hello > file; cat file'
  fusebridge run --io rpc --stats /srv/data -- find . -size +1M";

/// Mounts a backend on a temporary directory and runs a command there. Its exit status is that of the command.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Run {
    /// A directory, NAME:ARGUMENT, unix:SOCKET, or exec:COMMAND
    backend: OsString,

    /// The command and its arguments; it runs in the mount, whose path is in FUSEBRIDGE_MOUNT
    #[arg(last = true, required = true)]
    command: Vec<OsString>,

    // Last: its headings are for all that follows.
    #[command(flatten)]
    mount: MountArgs,
}

impl Run {
    /// What is mounted.
    pub(super) fn backend(&self) -> &OsStr {
        &self.backend
    }

    pub(super) fn run(&self, extensions: &Extensions) -> Result<ExitCode, Failure> {
        gofer::log::init(&self.mount.log)?;
        let spec = BackendSpec::parse(&self.backend, &extensions.names)?;
        let (sender, receiver) = events()?;
        let up = Up::bring(&self.mount, &spec, extensions, Mountpoint::temporary()?, false, (&sender, &receiver))?;
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).current_dir(up.path()).env("FUSEBRIDGE_MOUNT", up.path());
        up.descriptors().restore_in(&mut command);
        let outcome = command.spawn().and_then(|child| wait(child, &up, sender, &receiver));
        let path = up.path().to_path_buf();
        if up.take_down()? == Unmounted::Detached {
            eprintln!("fusebridge: the command left processes running in {}", path.display());
        }
        match outcome {
            Ok(status) => Ok(ExitCode::from(exit_code(status))),
            Err(error) => {
                eprintln!("fusebridge: cannot run {}: {error}", self.command[0].display());
                Ok(ExitCode::from(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE }))
            }
        }
    }
}

/// Waits for the command's end. Signals to end us are for the command; those of the terminal have reached it already.
fn wait(mut child: Child, up: &Up, sender: Sender<Event>, events: &Receiver<Event>) -> std::io::Result<ExitStatus> {
    let pid = Pid::from_child(&child);
    let waiter = std::thread::spawn(move || {
        // Until its status is collected the number is no other process's, and signals can be sent to it.
        let ended = || waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let ended = retry_on_intr(ended);
        // The receiver lives until this thread has ended.
        let _ = sender.send(Event::CommandEnded);
        ended
    });
    while let Ok(event) = events.recv() {
        match event {
            Event::CommandEnded => break,
            Event::Signal(SIGINT | SIGQUIT) | Event::Unmounted | Event::Connected => {}
            Event::Signal(signal) => {
                // The command may have ended meanwhile, which is just as well.
                let _ = Signal::from_named_raw(signal).map(|signal| kill_process(pid, signal));
            }
            Event::Report => up.report(),
            Event::ServerGone if !up.is_alive() => {}
            Event::ServerGone => super::notice("the server is gone; everything on the mount fails"),
        }
    }
    waiter.join().map_err(|_| std::io::Error::other("the waiting thread panicked"))??;
    child.wait()
}

/// What a shell returns for a command that does not exist.
const NOT_FOUND: u8 = 127;
/// What a shell returns for a command that cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// The exit status as a shell would give it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
