//! Staying in the background.
//!
//! The process that stays is this program started once more, before any thread exists that a fork would lose. Its
//! stdout is a pipe on which it says where it has mounted; if it ends without a word, it has said on stderr why.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use command_fds::CommandFdExt;
use rustix::io::{Errno, FdFlags};
use rustix::process::{Pid, Signal, kill_process};

use super::Failure;
use super::extensions::Extensions;
use crate::launch::hand_down;

/// Starts the process that stays, with the `arguments` that this one has been given, and waits until its mount answers.
/// Says where it is, unless it `is_quiet`.
pub(super) fn start(extensions: &Extensions, arguments: &[OsString], is_quiet: bool) -> Result<ExitCode, Failure> {
    let arguments = arguments.iter().map(|argument| match argument.to_str() {
        Some("--daemon") => "--background".into(),
        _ => argument.clone(),
    });
    // What the caller has open is the caller's: a lock on it would be held for as long as the mount lives.
    close_on_exec()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("fusebridge");
    // Flags stand behind the command's name, where a BACKEND may end them.
    let mut arguments = arguments.collect::<Vec<_>>();
    let (flags, descriptors) = hand_down(&extensions.hand_downs)?;
    let behind = arguments.len().min(1);
    arguments.splice(behind..behind, flags);
    command.args(arguments).fd_mappings(descriptors).map_err(io::Error::other)?;
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut mountpoint = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_until(b'\n', &mut mountpoint)?;
    }
    if mountpoint.is_empty() {
        let code = child.wait()?.code().and_then(|code| u8::try_from(code).ok());
        return Ok(code.filter(|code| *code != 0).map_or(ExitCode::FAILURE, ExitCode::from));
    }
    if !is_quiet && let Err(error) = std::io::stdout().write_all(&mountpoint) {
        // Whoever hears that this has failed takes nothing for mounted, as without --daemon.
        kill_process(Pid::from_child(&child), Signal::TERM)?;
        child.wait()?;
        return Err(super::no_stdout(&error));
    }
    Ok(ExitCode::SUCCESS)
}

/// Leaves the terminal's session.
pub(super) fn detach() -> Result<(), Failure> {
    nix::unistd::setsid()?;
    // Not "exe", which is what was executed.
    rustix::thread::set_name(c"fusebridge")?;
    Ok(())
}

/// Leaves the caller's directory, so that it can be removed or unmounted.
pub(super) fn leave() -> Result<(), Failure> {
    Ok(std::env::set_current_dir("/")?)
}

/// Keeps all descriptors but the standard streams from programs that are started.
fn close_on_exec() -> io::Result<()> {
    let numbers =
        std::fs::read_dir("/proc/self/fd")?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    for number in numbers.iter().filter_map(|name| name.to_str()?.parse().ok()).filter(|number| *number > 2) {
        #[expect(unsafe_code, reason = "descriptors that the caller has passed on are known by their numbers")]
        // SAFETY: used for this call only, which says so if it is not open any more.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        match rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC) {
            // The directory that was read.
            Ok(()) | Err(Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Gives stdout and stderr back, so that nobody waits for their end.
pub(super) fn silence() -> Result<(), Failure> {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
