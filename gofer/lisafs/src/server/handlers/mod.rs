//! One handler for each message.
//!
//! A handler decodes and checks in the order that clients know from the stock server, calls the backend under the right
//! locks, writes the answer, and makes new FDs work as its last step. On an error nothing of what it did stays.

mod attributes;
mod close;
mod create;
mod dir;
mod io;
mod mount;
mod open;
mod remove;
mod socket;
mod walk;
mod walk_stat;
mod xattr;

use super::context::Context;
use super::exchange::{Reply, Request};
use crate::backend::Result;
use crate::wire::{MessageId, MessageSet};

/// How one message is answered.
#[derive(Clone, Copy)]
pub(super) struct Handler {
    /// Whether it changes something, and is refused on read-only connections before anything is looked at.
    pub(super) changes: bool,
    /// The handler.
    pub(super) handle: Handle,
}

/// Answers a request.
pub(super) type Handle = fn(&mut Context<'_>, Request<'_>, &mut Reply<'_>) -> Result<()>;

/// The handlers by [`MessageId::slot`].
static TABLE: [Option<Handler>; MessageId::SLOTS] = {
    let mut table = Table([None; MessageId::SLOTS]);
    table.looks(MessageId::MOUNT, mount::mount);
    table.looks(MessageId::CHANNEL, mount::channel);
    table.looks(MessageId::FSTAT, attributes::stat);
    table.changes(MessageId::SET_STAT, attributes::set_stat);
    table.looks(MessageId::WALK, walk::walk);
    table.looks(MessageId::WALK_STAT, walk_stat::walk_stat);
    // Opening for writing is refused by the handler.
    table.looks(MessageId::OPEN_AT, open::open);
    table.changes(MessageId::OPEN_CREATE_AT, create::open_create);
    table.looks(MessageId::CLOSE, close::close);
    table.looks(MessageId::FSYNC, io::sync);
    table.changes(MessageId::PWRITE, io::write);
    table.looks(MessageId::PREAD, io::read);
    table.changes(MessageId::MKDIR_AT, create::mkdir);
    table.changes(MessageId::MKNOD_AT, create::mknod);
    table.changes(MessageId::SYMLINK_AT, create::symlink);
    table.changes(MessageId::LINK_AT, create::link);
    table.looks(MessageId::FSTATFS, attributes::stat_fs);
    table.changes(MessageId::FALLOCATE, io::allocate);
    table.looks(MessageId::READ_LINK_AT, attributes::read_link);
    table.looks(MessageId::FLUSH, io::flush);
    table.looks(MessageId::CONNECT, socket::connect);
    table.changes(MessageId::UNLINK_AT, remove::unlink);
    table.changes(MessageId::RENAME_AT, remove::rename);
    table.looks(MessageId::GETDENTS64, dir::list);
    table.looks(MessageId::FGET_XATTR, xattr::get);
    table.changes(MessageId::FSET_XATTR, xattr::set);
    table.looks(MessageId::FLIST_XATTR, xattr::list);
    table.changes(MessageId::FREMOVE_XATTR, xattr::remove);
    table.changes(MessageId::BIND_AT, socket::bind);
    table.looks(MessageId::LISTEN, socket::listen);
    table.looks(MessageId::ACCEPT, socket::accept);
    table.looks(MessageId::CONNECT_WITH_CREDS, socket::connect_with_credentials);
    table.changes(MessageId::RENAME_AT2, remove::rename_with_flags);
    table.looks(MessageId::LSEEK, io::seek);
    table.0
};

/// [`TABLE`] in the making.
struct Table([Option<Handler>; MessageId::SLOTS]);

impl Table {
    /// `message` is answered on every connection.
    const fn looks(&mut self, message: MessageId, handle: Handle) {
        self.set(message, Handler { changes: false, handle });
    }

    /// `message` is refused on read-only connections.
    const fn changes(&mut self, message: MessageId, handle: Handle) {
        self.set(message, Handler { changes: true, handle });
    }

    const fn set(&mut self, message: MessageId, handler: Handler) {
        self.0[message.slot().expect("every message has a slot")] = Some(handler);
    }
}

/// The messages of `supported` that have a handler.
fn answered(supported: MessageSet) -> impl Iterator<Item = MessageId> {
    supported.iter().filter(move |message| find(supported, *message).is_some())
}

/// The handler of `message`, if it is one of `supported` and there is one.
pub(super) fn find(supported: MessageSet, message: MessageId) -> Option<&'static Handler> {
    if !supported.contains(message) {
        return None;
    }
    TABLE[message.slot()?].as_ref()
}
