//! Requests over /dev/fuse, without a library: with the signals of callers, and as many threads as requests need.

mod attach;
mod encode;
mod end;
mod helper;
mod idle;
mod init;
mod interrupts;
mod ioctl;
mod late;
mod notify;
mod pool;
mod queue;
mod reply;
mod serve;
mod slot;
mod watch;

pub(super) use attach::Unattached;
pub(super) use end::End;
pub(super) use helper::mount_with_helper;
pub(super) use init::handshake;
pub(super) use notify::{forget_attributes, pruner};
pub(super) use pool::Pool;
pub use pool::calls_at_most;
