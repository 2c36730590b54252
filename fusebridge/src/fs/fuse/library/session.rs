//! A session of the library.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use fuser::{BackgroundSession, Config, Session, SessionACL};

use super::adapter::Adapter;
use super::data::Device;
use crate::fs::bridge::Bridge;
use crate::fs::fuse::options::MountOptions;

/// A session that answers.
pub(in super::super) struct LibrarySession(BackgroundSession);

impl LibrarySession {
    /// Answers what comes over `device`.
    pub(in super::super) fn start(bridge: &Arc<Bridge>, device: OwnedFd, options: &MountOptions) -> io::Result<Self> {
        let mut config = Config::default();
        config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
        config.n_threads = Some(options.threads.max(1));
        let requests = Device::default();
        let adapter = Adapter::new(bridge.clone(), requests.clone(), options.stack_depth);
        let session = Session::from_fd(adapter, device, config.acl, config)?;
        requests.set(session.as_fd().try_clone_to_owned()?);
        Ok(LibrarySession(session.spawn()?))
    }

    /// Waits until the file system is unmounted, or cannot go on.
    pub(in super::super) fn wait(mut self) -> io::Result<()> {
        let session = std::mem::replace(&mut self.0.guard, std::thread::spawn(|| Ok(())));
        let ended = session.join();
        // fuser 0.18 takes a mount that is gone for one that is there, and would unmount what others have mounted on
        // the directory by now. This leaves its descriptor of the device open.
        std::mem::forget(self.0);
        ended.unwrap_or_else(|_| Err(io::Error::other("a thread of the mount panicked")))
    }
}
