//! A mounted bridge, from the kernel's handshake to the end.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use fuser::{BackgroundSession, Config, MountOption, Notifier, Session, SessionACL};

use super::adapter::Adapter;
use super::attach::Unattached;
use super::connection::FuseConnection;
use super::data::Device;
use super::options::{MountOptions, SUBTYPE};
use super::prune::Pruner;
use crate::fs::bridge::Bridge;
use crate::fs::identity::NodeId;
use crate::mounts::Pin;

/// A bridge that is mounted and answers.
pub struct Mounted {
    session: BackgroundSession,
}

impl Mounted {
    /// Mounts `bridge` on `path`.
    pub fn mount(bridge: &Arc<Bridge>, path: &Path, options: &MountOptions) -> io::Result<(Mounted, FuseConnection)> {
        let mut config = Config::default();
        config.mount_options = vec![
            // Commas and the like would be taken for further options.
            MountOption::FSName(if is_plain(&options.source) { options.source.clone() } else { "fusebridge".into() }),
            MountOption::Subtype(SUBTYPE.into()),
            // The server acts with its own rights: the kernel must check those of callers.
            MountOption::DefaultPermissions,
            if options.read_only { MountOption::RO } else { MountOption::RW },
            if options.suid { MountOption::Suid } else { MountOption::NoSuid },
            if options.dev { MountOption::Dev } else { MountOption::NoDev },
            if options.noexec { MountOption::NoExec } else { MountOption::Exec },
        ];
        config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
        config.n_threads = Some(options.threads.max(1));
        let requests = Device::default();
        let adapter = Adapter::new(bridge.clone(), requests.clone(), options.stack_depth);
        let (session, unattached) = match Unattached::new(options)? {
            Some((device, unattached)) => (Session::from_fd(adapter, device, config.acl, config)?, Some(unattached)),
            None => (Session::new(adapter, path, &config)?, None),
        };
        let device = session.as_fd().try_clone_to_owned()?;
        requests.set(device.try_clone()?);
        bridge.evictor().start(Pruner::new(device.try_clone()?).into_prune())?;
        let notifier = session.notifier();
        bridge.invalidator().start(Arc::new(move |id, part| invalidate(&notifier, id, part)))?;
        let mounted = Mounted { session: session.spawn()? };
        let pin = match unattached {
            Some(unattached) => Ok(unattached.attach(path)?),
            None => Pin::at(path),
        };
        Ok((mounted, FuseConnection::new(device, pin)))
    }

    /// Waits until it is unmounted, or cannot go on. It does not unmount.
    pub fn wait(mut self) -> io::Result<()> {
        let session = std::mem::replace(&mut self.session.guard, std::thread::spawn(|| Ok(())));
        let ended = session.join();
        // fuser 0.18 takes a mount that is gone for one that is there. What it would unmount at its end is what others
        // have mounted on the directory by now. This leaves its descriptor of the device open.
        std::mem::forget(self.session);
        ended.unwrap_or_else(|_| Err(io::Error::other("a thread of the mount panicked")))
    }
}

fn invalidate(notifier: &Notifier, id: NodeId, part: Option<(u64, u64)>) {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    // A negative offset leaves data alone.
    let (offset, length) = part.map_or((-1, 0), |(offset, length)| (whole(offset), whole(length)));
    if let Err(error) = notifier.inval_inode(fuser::INodeNo(id.0), offset, length) {
        tracing::debug!(%error, id = id.0, "the kernel keeps what it has of a file");
    }
}

fn is_plain(source: &str) -> bool {
    source.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._:-+@ ".contains(&byte))
}
