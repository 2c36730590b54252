//! Asking people.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, tcgetpgrp};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;
use rustix::io::retry_on_intr;

use super::{From, SecretError, line};
use crate::secret::Password;

/// Signals that leave a terminal as it is, without echo, if nobody looks.
const SIGNALS: [Signal; 5] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP];

/// Asks at the process's terminal, whatever its standard streams are. Nothing of the answer is shown.
pub(super) fn ask(prompt: &str) -> Result<Password, SecretError> {
    let flags = i32::try_from((OFlags::NOCTTY | OFlags::CLOEXEC).bits()).unwrap_or_default();
    let terminal = OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/tty");
    let mut terminal = terminal.map_err(|_| SecretError::NoTerminal)?;
    // A process in the background would be stopped, and nobody knew why.
    if tcgetpgrp(&terminal) != Ok(getpgrp()) {
        return Err(SecretError::NoTerminal);
    }
    loop {
        match ask_once(&mut terminal, prompt).map_err(SecretError::Terminal)? {
            Answer::Password(password) => return password,
            // Stopped, and now continued.
            Answer::Signal(Signal::SIGTSTP) => {}
            Answer::Signal(_) => return Err(SecretError::Interrupted),
        }
    }
}

enum Answer {
    Password(Result<Password, SecretError>),
    /// One that has been dealt with, and has not ended the process.
    Signal(Signal),
}

fn ask_once(terminal: &mut File, prompt: &str) -> io::Result<Answer> {
    let signals = Blocked::new()?;
    let silent = Silent::new(terminal)?;
    (&*terminal).write_all(prompt.as_bytes())?;
    let mut fds = [PollFd::new(terminal, PollFlags::IN), PollFd::new(&signals.signals, PollFlags::IN)];
    retry_on_intr(|| poll(&mut fds, None))?;
    if fds[1].revents().is_empty() {
        // The kernel has a whole line.
        return Ok(Answer::Password(line::password(terminal, &From::Terminal)));
    }
    let signal = signals.take()?;
    drop(silent);
    (&*terminal).write_all(b"\n")?;
    drop(signals);
    // As if it came now, when the terminal is as it was.
    raise(signal)?;
    Ok(Answer::Signal(signal))
}

/// Keeps signals back.
struct Blocked {
    signals: SignalFd,
    before: SigSet,
}

impl Blocked {
    fn new() -> io::Result<Self> {
        let set: SigSet = SIGNALS.into_iter().collect();
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)?;
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Blocked { signals, before })
    }

    /// The one that has come.
    fn take(&self) -> io::Result<Signal> {
        let info = self.signals.read_signal()?.ok_or(io::ErrorKind::WouldBlock)?;
        let number = i32::try_from(info.ssi_signo).unwrap_or_default();
        Ok(Signal::try_from(number)?)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // It worked before.
        let _ = self.before.thread_set_mask();
    }
}

/// A terminal that shows nothing but newlines.
struct Silent {
    terminal: File,
    before: Termios,
}

impl Silent {
    fn new(terminal: &File) -> io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let before = tcgetattr(terminal.as_fd())?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        silent.local_flags.insert(LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::ISIG);
        tcsetattr(terminal.as_fd(), SetArg::TCSANOW, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        // It worked before; the terminal may be gone by now.
        let _ = tcsetattr(self.terminal.as_fd(), SetArg::TCSANOW, &self.before);
    }
}
