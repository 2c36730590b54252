//! A mounted bridge, from the kernel's handshake to the end.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use super::connection::FuseConnection;
use super::device::{End, Pool, Unattached, Usual, forget_old, handshake, mount_with_helper, pruner};
use super::handler::Handler;
use super::library::LibrarySession;
use super::options::{MountOptions, Transport};
use super::ring::{Rings, Unavailable, available};
use crate::fs::bridge::Bridge;
use crate::fs::policy::IoMode;
use crate::mounts::Pin;

/// A bridge that is mounted and answers.
pub struct Mounted(Session);

enum Session {
    Device(Arc<Pool>),
    Library(LibrarySession),
}

/// Whether requests are to come over rings. An error if they must and cannot. `has_messages`: data of files may be in
/// the messages of another process.
///
/// Everything is quicker over rings, but for large reads from there: their data is copied once more on its way.
fn wants_ring(transport: Transport, has_messages: bool) -> io::Result<bool> {
    match (transport, available()) {
        (Transport::Ring, Err(why)) => Err(why.into()),
        (Transport::Auto, Ok(())) if has_messages => {
            tracing::info!(
                "requests come over /dev/fuse, since file data comes from another process, which takes longer over io_uring"
            );
            Ok(false)
        }
        (Transport::Auto, Err(why)) => {
            tracing::info!("requests come over /dev/fuse: {why}");
            Ok(false)
        }
        (transport, Ok(())) => Ok(matches!(transport, Transport::Ring | Transport::Auto)),
        (Transport::Device | Transport::Fuser, Err(_)) => Ok(false),
    }
}

/// Answers what comes over `end`, or over rings if `wants_ring`.
fn start(bridge: &Arc<Bridge>, end: Arc<End>, options: &MountOptions, wants_ring: bool) -> io::Result<Arc<Pool>> {
    let handler = Handler::new(bridge.clone(), options.stack_depth);
    bridge.changes_are_told();
    let must = options.transport == Transport::Ring;
    let rings = match wants_ring.then(|| Rings::new(&end)).transpose() {
        Ok(rings) => rings,
        Err(error) if must => return Err(error),
        Err(error) => {
            tracing::info!("requests come over /dev/fuse: {error}");
            None
        }
    };
    let agreed = handshake(&end, &handler, rings.is_some())?;
    let (Some(rings), Some(payload)) = (rings, agreed.ring_payload) else {
        // It has been switched off since.
        return if must { Err(Unavailable::Off.into()) } else { Pool::start(handler, end, options, Usual::Processors) };
    };
    let pool = Pool::start(handler, end, options, Usual::Few)?;
    match rings.start(&pool, payload) {
        Ok(()) => tracing::info!("requests come over io_uring"),
        Err(error) if must => return Err(error),
        Err(error) => {
            tracing::info!("requests come over /dev/fuse: {error}");
            pool.widen(Usual::Processors);
        }
    }
    Ok(pool)
}

impl Mounted {
    /// Mounts `bridge` on `path`.
    pub fn mount(bridge: &Arc<Bridge>, path: &Path, options: &MountOptions) -> io::Result<(Mounted, FuseConnection)> {
        let passes_data = options.donates
            && options.stack_depth > 0
            && matches!(bridge.policy().io, IoMode::Auto | IoMode::Passthrough);
        let has_messages = !passes_data && options.in_process.is_none();
        let wants_ring = wants_ring(options.transport, has_messages)?;
        let (device, unattached) = match Unattached::new(options)? {
            Some((device, unattached)) => (device, Some(unattached)),
            None => (mount_with_helper(path, options)?, None),
        };
        let connection: OwnedFd = device.try_clone()?;
        let end = End::new(device.try_clone()?);
        // Before the first request that could need them.
        bridge.evictor().start(pruner(end.clone()))?;
        let notifier = end.clone();
        bridge.invalidator().start(Arc::new(move |old| forget_old(&notifier, old)))?;
        let session = match options.transport {
            Transport::Auto | Transport::Device | Transport::Ring => {
                Session::Device(start(bridge, end, options, wants_ring)?)
            }
            Transport::Fuser => Session::Library(LibrarySession::start(bridge, device, options)?),
        };
        let pin = match unattached {
            Some(unattached) => Ok(unattached.attach(path)?),
            None => Pin::at(path),
        };
        Ok((Mounted(session), FuseConnection::new(connection, pin)))
    }

    /// Waits until it is unmounted, or cannot go on. It does not unmount.
    pub fn wait(self) -> io::Result<()> {
        match self.0 {
            Session::Device(pool) => pool.wait(),
            Session::Library(session) => session.wait(),
        }
    }
}
