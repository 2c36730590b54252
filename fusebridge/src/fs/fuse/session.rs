//! A mounted bridge, from the kernel's handshake to the end.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use super::connection::FuseConnection;
use super::device::{End, Pool, Unattached, forget_attributes, handshake, mount_with_helper, pruner};
use super::handler::Handler;
use super::library::LibrarySession;
use super::options::{MountOptions, Transport};
use crate::fs::bridge::Bridge;
use crate::mounts::Pin;

/// A bridge that is mounted and answers.
pub struct Mounted(Session);

enum Session {
    Device(Arc<Pool>),
    Library(LibrarySession),
}

impl Mounted {
    /// Mounts `bridge` on `path`.
    pub fn mount(bridge: &Arc<Bridge>, path: &Path, options: &MountOptions) -> io::Result<(Mounted, FuseConnection)> {
        let (device, unattached) = match Unattached::new(options)? {
            Some((device, unattached)) => (device, Some(unattached)),
            None => (mount_with_helper(path, options)?, None),
        };
        let connection: OwnedFd = device.try_clone()?;
        let end = End::new(device.try_clone()?);
        // Before the first request that could need them.
        bridge.evictor().start(pruner(end.clone()))?;
        let notifier = end.clone();
        bridge.invalidator().start(Arc::new(move |id, part| forget_attributes(&notifier, id, part)))?;
        let session = match options.transport {
            Transport::Auto | Transport::Device => {
                let handler = Handler::new(bridge.clone(), options.stack_depth);
                handshake(&end, &handler)?;
                Session::Device(Pool::start(handler, end, options.threads)?)
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
