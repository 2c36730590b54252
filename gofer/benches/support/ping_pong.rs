//! Passing control there and back with nothing but a futex, and nothing said: what a request costs if both ends sleep
//! while they wait. A channel looks before it sleeps, and so can be faster.

use std::os::fd::AsFd;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use lisafs::transport::{PacketMemory, PeerMemory, Window};
use rustix::io::Errno;
use rustix::thread::futex;

use super::partner::{self, Place, Setting};

/// Who is in control: us, the other side, or nobody any more.
const OURS: u32 = 0;
const THEIRS: u32 = 1;
const OVER: u32 = 2;

/// A futex shared with somebody who gives control back at once.
#[derive(Debug)]
pub(crate) struct PingPong {
    window: Window,
    partner: Partner,
}

#[derive(Debug)]
enum Partner {
    Thread(Option<JoinHandle<()>>),
    Child(Child),
}

impl PingPong {
    /// Starts the other side.
    pub(crate) fn start(setting: Setting) -> Self {
        let mut memory = PacketMemory::new().expect("cannot make memory");
        let (offset, len) = memory.allocate(0).expect("cannot make a window");
        assert_eq!(offset, 0, "the first window is where the other side expects it");
        let window = map(&memory, len);
        let partner = setting.cores.start(|| match setting.place {
            Place::Thread => {
                let window = map(&memory, len);
                Partner::Thread(Some(std::thread::spawn(move || answer(&window))))
            }
            Place::Child => {
                let memory = memory.as_fd().try_clone_to_owned().expect("cannot duplicate the memory");
                Partner::Child(partner::spawn(partner::PONG, None, memory))
            }
        });
        PingPong { window, partner }
    }

    /// Control goes there and comes back.
    pub(crate) fn round_trip(&mut self) {
        pass(self.window.state(), THEIRS);
        assert!(wait(self.window.state(), OURS, THEIRS), "the other side is gone");
    }
}

impl Drop for PingPong {
    fn drop(&mut self) {
        pass(self.window.state(), OVER);
        match &mut self.partner {
            Partner::Thread(thread) => {
                if let Some(thread) = thread.take() {
                    thread.join().expect("the other side panicked");
                }
            }
            Partner::Child(child) => {
                child.wait().expect("cannot wait for the child");
            }
        }
    }
}

/// The first window of `memory`.
fn map(memory: impl AsFd, len: usize) -> Window {
    let memory = memory.as_fd().try_clone_to_owned().expect("cannot copy a descriptor");
    PeerMemory::new(memory).and_then(|memory| memory.window(0, len)).expect("cannot map a window")
}

/// The other side, in a process of its own: gives back what it gets through the first page of `memory`.
pub(crate) fn answer_in_child(memory: impl AsFd) {
    answer(&map(memory, rustix::param::page_size()));
}

fn answer(window: &Window) {
    while wait(window.state(), THEIRS, OURS) {
        // Who has ended it must not be overruled.
        let passed = window.state().compare_exchange(THEIRS, OURS, Ordering::Release, Ordering::Relaxed);
        if passed.is_err() || futex::wake(window.state(), futex::Flags::empty(), 1).is_err() {
            return;
        }
    }
}

fn pass(state: &AtomicU32, to: u32) {
    state.store(to, Ordering::Release);
    futex::wake(state, futex::Flags::empty(), 1).expect("cannot wake the other side");
}

/// Sleeps until `own` is in control; `false` if it is over.
fn wait(state: &AtomicU32, own: u32, other: u32) -> bool {
    loop {
        match state.load(Ordering::Acquire) {
            now if now == own => return true,
            OVER => return false,
            _ => match futex::wait(state, futex::Flags::empty(), other, None) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => panic!("cannot sleep: {error}"),
            },
        }
    }
}
