//! Passing control there and back, with nothing said: what no request over a channel can be faster than.

use std::os::fd::AsFd;
use std::process::Child;
use std::thread::JoinHandle;

use gofer::transport::{Channel, PacketMemory, Role, Window};

use super::partner::{self, Place, Setting};

/// A channel to somebody who gives control back at once.
#[derive(Debug)]
pub(crate) struct PingPong {
    channel: Channel,
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
        let channel = Channel::new(map(&memory, len), Role::Client);
        let partner = setting.cores.start(|| match setting.place {
            Place::Thread => {
                let window = map(&memory, len);
                Partner::Thread(Some(std::thread::spawn(|| answer(window))))
            }
            Place::Child => {
                let memory = memory.as_fd().try_clone_to_owned().expect("cannot duplicate the memory");
                Partner::Child(partner::spawn(partner::PONG, None, memory))
            }
        });
        PingPong { channel, partner }
    }

    /// Control goes there and comes back.
    pub(crate) fn round_trip(&mut self) {
        self.channel.pass(0).expect("the other side is gone");
        self.channel.wait(None).expect("the other side is gone");
    }
}

impl Drop for PingPong {
    fn drop(&mut self) {
        self.channel.shut_down();
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
    Window::map(memory, 0, len).expect("cannot map a window")
}

/// The other side, in a process of its own: gives back what it gets through the first page of `memory`.
pub(crate) fn answer_in_child(memory: impl AsFd) {
    answer(map(memory, rustix::param::page_size()));
}

fn answer(window: Window) {
    let channel = Channel::new(window, Role::Server);
    while channel.wait(None).is_ok() && channel.pass(0).is_ok() {}
}
