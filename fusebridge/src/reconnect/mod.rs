//! Servers that are restarted under a mount: `--reconnect`.
//!
//! A backend of this process stands between the mount and its server. It knows by which names its files were reached,
//! and which file it was each time. When the connection ends, it makes a new one, and whatever is used again is walked
//! to or opened again ([`control`], [`open`]); what is not the same file any more is `ESTALE`.
//!
//! Calls wait for the new connection, no longer than the time limit. What was under way is asked again if that makes no
//! difference: reading, looking, setting, and writing at an offset. A change of names may have happened or not, and
//! happens twice or fails by its own success if it is asked again: so what is there is looked at first ([`outcome`]).
//!
//! | module | subject |
//! |---|---|
//! | [`link`] | the connection, whichever it is, and waiting for it |
//! | [`places`] | names |
//! | [`identity`] | which files are the same |
//! | [`outcome`] | what has become of changes that nobody has answered |
//! | [`numbers`] | inode numbers that are given to other files meanwhile |
//! | [`control`] | positions |
//! | [`open`] | open files |

mod control;
mod identity;
mod link;
mod numbers;
mod open;
mod outcome;
mod places;
#[cfg(test)]
mod tests;

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use lisafs::backend::{Attachment, Backend, ClientKind, Found, MessageId, MessageSet, Options, Result};
use lisafs::client::{Client, Root};
use lisafs::server::{ConnectError, Server as LisaFsServer};

use crate::launch::Server;
use control::Control;
pub(crate) use link::Link;
pub(crate) use outcome::UNSURE;

/// A connection, its root, and who is at its other end.
pub(crate) type Connected = (Client, Root, Server);

/// Makes another connection, or says why not.
pub(crate) type Connect = Box<dyn Fn() -> std::result::Result<Connected, String> + Send>;

/// What holds for a mount whose server may be started again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How long calls wait for a connection.
    pub(crate) time_limit: Duration,
    /// Nobody else changes the files: what is there, this mount has made.
    pub(crate) is_exclusive: bool,
}

/// Why there is no backend.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// It cannot be served.
    #[error("{0}")]
    Serve(#[from] ConnectError),
    /// The process lacks something.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Serves the files of `first`, and of what `connect` makes when that ends, in this process.
pub(crate) fn start(
    first: Connected,
    connect: Connect,
    terms: Terms,
) -> std::result::Result<(Server, Arc<Link>), StartError> {
    let backend = Reconnecting::new(first, connect, terms)?;
    let link = backend.link.clone();
    let (ours, theirs) = UnixStream::pair()?;
    let options = backend.options();
    let connection = LisaFsServer::with_late_threads().connect_with(theirs.into(), b"/", Arc::new(backend), options)?;
    Ok((Server::here(connection, ours), link))
}

/// The files of a server, as long as there is one again and again.
struct Reconnecting {
    link: Arc<Link>,
    options: Options,
}

impl Reconnecting {
    fn new(first: Connected, connect: Connect, terms: Terms) -> std::io::Result<Self> {
        let client = &first.0;
        let known = Options::stock_messages().with(MessageId::FLUSH).with(MessageId::LSEEK);
        let supported = MessageSet::of(known.iter().filter(|message| client.supports(*message)));
        let options = Options::default()
            .supported(supported)
            .walk_stat(client.supports(MessageId::WALK_STAT))
            .read_only(client.refuses_changes())
            .fds_are_descriptors(false)
            .client(ClientKind::Kernel);
        Ok(Reconnecting { link: Link::start(first, connect, terms)?, options })
    }
}

impl Backend for Reconnecting {
    fn options(&self) -> Options {
        self.options.clone()
    }

    fn attach(&self) -> Result<Attachment> {
        let root = Control::root(&self.link);
        let (_, stat) = self.link.ask(|session| Ok(session.client.fstat(session.root()?)?))?;
        Ok(Attachment::new(Found::new(root, stat)))
    }

    fn detach(&self) {
        self.link.finish();
    }
}
