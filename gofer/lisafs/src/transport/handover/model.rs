//! All orders in which two sides hand control over.

use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU32;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use super::*;

/// A word as the kernel sees it: looking at its value and falling asleep is one step for whoever wakes sleepers.
#[derive(Default)]
struct Futex {
    word: AtomicU32,
    asleep: Mutex<()>,
    woken: Condvar,
}

impl Word for Futex {
    fn load(&self, order: Ordering) -> u32 {
        self.word.load(order)
    }

    fn store(&self, value: u32, order: Ordering) {
        self.word.store(value, order);
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.word.swap(value, order)
    }

    fn replace(&self, current: u32, new: u32, order: Ordering) -> Result<(), u32> {
        self.word.compare_exchange(current, new, order, Ordering::Relaxed).map(drop)
    }

    fn sleep(&self, value: u32, _: Option<&Timespec>) -> Result<(), Errno> {
        let asleep = self.asleep.lock().unwrap();
        if self.word.load(Ordering::SeqCst) == value {
            drop(self.woken.wait(asleep).unwrap());
        }
        Ok(())
    }

    fn wake(&self, _: u32) -> Result<(), Errno> {
        drop(self.asleep.lock().unwrap());
        self.woken.notify_all();
        Ok(())
    }
}

/// A window with a number for data, which loom sees misused: it may be touched only by who is in control.
#[derive(Default)]
struct Shared {
    state: Futex,
    len: Futex,
    stopped: [Futex; 2],
    data: UnsafeCell<()>,
    sum: AtomicU32,
}

impl Shared {
    fn client(&self) -> Handover<'_, Futex> {
        let Shared { state, len, stopped, .. } = self;
        Handover { state, len, stopped: &stopped[0], own: CLIENT_ACTIVE, other: SERVER_ACTIVE }
    }

    fn server(&self) -> Handover<'_, Futex> {
        let Shared { state, len, stopped, .. } = self;
        Handover { state, len, stopped: &stopped[1], own: SERVER_ACTIVE, other: CLIENT_ACTIVE }
    }

    fn add(&self, number: u32) -> u32 {
        // The cell finds out whether somebody else is here.
        self.data.with_mut(|_| {
            let sum = self.sum.load(Ordering::Relaxed) + number;
            self.sum.store(sum, Ordering::Relaxed);
            sum
        })
    }
}

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    // More would take hours; what goes wrong does so in a few steps.
    model.preemption_bound = Some(2);
    model.check(run);
}

#[test]
fn what_was_written_is_there_for_the_other_side() {
    model(|| {
        let shared = Arc::new(Shared::default());
        let server = thread::spawn({
            let shared = shared.clone();
            move || {
                for request in [1, 3] {
                    assert_eq!(shared.server().wait(None), Ok(request));
                    assert_eq!(shared.add(1), request + 1);
                    shared.server().pass(request + 1).unwrap();
                }
            }
        });
        for answer in [2, 4] {
            assert_eq!(shared.add(1), answer - 1);
            shared.client().pass(answer - 1).unwrap();
            assert_eq!(shared.client().wait(None), Ok(answer));
        }
        server.join().unwrap();
    });
}

#[test]
fn nobody_waits_for_a_channel_that_was_shut_down() {
    model(|| {
        let shared = Arc::new(Shared::default());
        let server = thread::spawn({
            let shared = shared.clone();
            move || {
                let answered = shared.server().wait(None).and_then(|request| {
                    shared.add(1);
                    shared.server().pass(request + 1)
                });
                assert!(matches!(answered, Ok(()) | Err(Ended::ShutDown)));
            }
        });
        let stopper = thread::spawn({
            let shared = shared.clone();
            move || shut_down(&shared.state, &shared.stopped[0])
        });
        shared.add(1);
        let answer = shared.client().pass(1).and_then(|()| shared.client().wait(None));
        assert!(matches!(answer, Ok(2) | Err(Ended::ShutDown)), "{answer:?}");
        stopper.join().unwrap();
        server.join().unwrap();
        assert_eq!(shared.client().wait(None), Err(Ended::ShutDown));
    });
}
