//! Staying in the background.
//!
//! The process that stays is this program started once more, before any thread exists that a fork would lose. Its
//! stdout is a pipe on which it says where it has mounted; if it ends without a word, it has said on stderr why.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use command_fds::CommandFdExt;

use super::Failure;
use super::extensions::Extensions;
use crate::launch::hand_down;

/// Starts the process that stays, and waits until its mount answers.
pub(super) fn start(extensions: &Extensions) -> Result<ExitCode, Failure> {
    let arguments = std::env::args_os().skip(1).map(|argument| match argument.to_str() {
        Some("--daemon") => "--background".into(),
        _ => argument,
    });
    let mut command = Command::new("/proc/self/exe");
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
    std::io::Write::write_all(&mut std::io::stdout(), &mountpoint)?;
    Ok(ExitCode::SUCCESS)
}

/// Leaves the terminal's session.
pub(super) fn detach() -> Result<(), Failure> {
    nix::unistd::setsid()?;
    Ok(())
}

/// Gives stdout and stderr back, so that nobody waits for their end.
pub(super) fn silence() -> Result<(), Failure> {
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
