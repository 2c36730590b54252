//! What can happen while a file system is mounted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

/// Something to react to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A signal that asks us to end.
    Signal(i32),
    /// A signal that asks for statistics.
    Report,
    /// There is a connection to the server, or none can be had.
    Connected,
    /// The file system was unmounted.
    Unmounted,
    /// The server has gone.
    ServerGone,
    /// The command that the mount was made for has ended.
    CommandEnded,
}

/// Whether a signal has asked us to end, at any time since this was made: also while nobody waits for events.
#[derive(Clone, Debug)]
pub(super) struct Interruption(Arc<AtomicBool>);

impl Interruption {
    /// Looks out for it from now on.
    pub(super) fn watch() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGQUIT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, flag.clone())?;
        }
        Ok(Interruption(flag))
    }

    /// Whether there was one.
    pub(super) fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Turns signals into events from now on.
pub(super) fn events() -> io::Result<(Sender<Event>, Receiver<Event>)> {
    let (sender, receiver) = channel();
    let mut signals = Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1])?;
    let for_signals = sender.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            let event = if signal == SIGUSR1 { Event::Report } else { Event::Signal(signal) };
            if for_signals.send(event).is_err() {
                return;
            }
        }
    })?;
    Ok((sender, receiver))
}
