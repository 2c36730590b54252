//! Servers that end in the middle of a call.

use std::net::Shutdown;

use gofer::extensions::wrap::{Call, Layer};
use lisafs::backend::{ControlBox, Errno, Result};

use super::Restarted;

/// When a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// It has been asked, and has done nothing yet.
    Before,
    /// It has done what it was asked, and has not answered.
    After,
}

/// What others do as it ends, with their root of the files.
pub(super) type Meanwhile = Box<dyn FnOnce(&ControlBox) + Send>;

/// An end that is to come.
pub(super) struct End {
    pub(super) call: Call,
    pub(super) moment: Moment,
    pub(super) meanwhile: Meanwhile,
}

/// Ends the connection to a server when that is due.
pub(super) struct Dying(pub(super) Restarted);

impl Dying {
    /// Whether the end is now. If so, the server has been restarted when this returns.
    fn ends(&self, call: Call, moment: Moment) -> bool {
        let is_due = |end: &mut End| (end.call, end.moment) == (call, moment);
        let Some(end) = self.0.0.lock().end.take_if(is_due) else { return false };
        (end.meanwhile)(&self.0.others());
        let socket = self.0.0.lock().socket.take().unwrap();
        socket.shutdown(Shutdown::Both).unwrap();
        while self.0.0.lock().socket.is_none() {
            std::thread::yield_now();
        }
        true
    }
}

impl Layer for Dying {
    type Started = ();

    fn before(&self, call: Call) -> Result<()> {
        if self.ends(call, Moment::Before) { Err(Errno::IO.into()) } else { Ok(()) }
    }

    fn after(&self, call: Call, (): (), outcome: std::result::Result<u64, Errno>) {
        if outcome.is_ok() {
            self.ends(call, Moment::After);
        }
    }
}
