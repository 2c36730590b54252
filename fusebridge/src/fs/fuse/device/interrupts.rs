//! Interrupted callers.
//!
//! The kernel says once of a request that its caller has got a signal, and not which. Killed processes are to go at
//! once, but most signals come from timers and children, and most programs do not expect that a call to a file system
//! fails because of one; they only have ever seen calls end soon after. So calls are given up that take longer than
//! those.

use parking_lot::Mutex;

use super::slot::now;

/// How long a call goes on in spite of signals, in milliseconds.
pub(super) const GRACE_PERIOD: u64 = 100;

/// Interrupts that wait.
#[derive(Debug, Default)]
pub(super) struct Interrupts(Mutex<Vec<Interrupt>>);

/// An interrupt, for a time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interrupt {
    pub(super) unique: u64,
    pub(super) due: u64,
}

impl Interrupts {
    /// Has `interrupt` come up again when it is due.
    pub(super) fn put_off(&self, interrupt: Interrupt) {
        self.0.lock().push(interrupt);
    }

    /// Takes out the requests whose interrupts are due.
    pub(super) fn take_due(&self) -> Vec<u64> {
        let now = now();
        self.0.lock().extract_if(.., |interrupt| interrupt.due <= now).map(|interrupt| interrupt.unique).collect()
    }

    /// In how many milliseconds the next one is due.
    pub(super) fn next(&self) -> Option<u64> {
        let next = self.0.lock().iter().map(|interrupt| interrupt.due).min()?;
        Some(next.saturating_sub(now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_taken_out() {
        let interrupts = Interrupts::default();
        assert_eq!(interrupts.next(), None);
        let later = now() + 3_600_000;
        interrupts.put_off(Interrupt { unique: 2, due: 0 });
        interrupts.put_off(Interrupt { unique: 4, due: later });
        assert_eq!(interrupts.next(), Some(0));
        assert_eq!(interrupts.take_due(), [2]);
        assert!(interrupts.next().is_some_and(|wait| wait > 3_000_000));
        assert!(interrupts.take_due().is_empty());
    }
}
