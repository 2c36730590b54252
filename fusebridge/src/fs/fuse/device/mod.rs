//! Requests over /dev/fuse, without a library: with the signals of callers, and as many threads as requests need.

mod attach;
mod callers;
mod encode;
mod end;
mod helper;
mod idle;
mod init;
mod interrupts;
mod ioctl;
mod late;
mod notify;
mod origin;
mod pool;
mod queue;
mod reply;
mod room;
mod serve;
mod slot;
mod watch;

pub(super) use attach::Unattached;
pub(super) use end::{End, error_number};
pub(super) use helper::mount_with_helper;
pub(super) use init::{BUFFER, handshake};
pub(super) use notify::{forget_old, pruner};
pub(super) use origin::Origin;
pub use pool::calls_at_most;
pub(super) use pool::{Pool, Usual, Worker};
