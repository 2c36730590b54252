//! Threads of a queue that have lost their entry: what they were at work on was given up.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use parking_lot::Mutex;

use super::entry::Entry;

/// Those of one queue. `None`: nothing comes any more.
#[derive(Debug)]
pub(super) struct Homeless(Mutex<Option<Vec<Sender<Arc<Entry>>>>>);

impl Default for Homeless {
    fn default() -> Self {
        Homeless(Mutex::new(Some(Vec::new())))
    }
}

impl Homeless {
    /// Waits for an entry that holds a request. `None`: nothing comes any more.
    pub(super) fn wait(&self) -> Option<Arc<Entry>> {
        let (sender, receiver) = channel();
        self.0.lock().as_mut()?.push(sender);
        receiver.recv().ok()
    }

    /// Gives `entry` to one of them; back if there is none.
    pub(super) fn give(&self, mut entry: Arc<Entry>) -> Result<(), Arc<Entry>> {
        loop {
            let Some(sender) = self.0.lock().as_mut().and_then(Vec::pop) else { return Err(entry) };
            match sender.send(entry) {
                Ok(()) => return Ok(()),
                Err(unsent) => entry = unsent.0,
            }
        }
    }

    /// Ends them.
    pub(super) fn close(&self) {
        *self.0.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::area::Area;
    use super::super::reserve::Commits;
    use super::*;

    #[test]
    fn an_entry_goes_to_one_who_waits_and_the_rest_end() {
        let area = Arc::new(Area::new(1, 8192).unwrap());
        let mut entry = Entry::new(0, 0, (&area, 0), &Commits::new().unwrap());
        let homeless = Homeless::default();
        entry = homeless.give(entry).unwrap_err();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| homeless.wait().is_some())).collect();
            while let Err(back) = homeless.give(entry) {
                entry = back;
                std::thread::yield_now();
            }
            while !threads.iter().any(|thread| thread.is_finished()) {
                std::thread::yield_now();
            }
            homeless.close();
            let given = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|given| *given).count();
            assert_eq!(given, 1);
        });
        assert!(homeless.wait().is_none());
    }
}
