//! The container's root file system and what is mounted in it.
//!
//! All of it is done on descriptors, with mounts that nobody sees before they are complete. Mount points are found by
//! walking name by name ([`walk`]), and what a connection serves is the descriptor of the mount that was made, so that
//! no path is looked up a second time. In the end the root file system is the process's own root and nothing else is
//! left.

mod devices;
mod options;
mod sealed;
mod tree;
mod volume;
mod walk;

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;
use rustix::fs::CWD;
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::mount::{MountPropagationFlags, OpenTreeFlags, UnmountFlags, mount_change, open_tree, unmount};
use rustix::process::{chdir, fchdir, pivot_root};

use self::sealed::Sealed;
use self::tree::Tree;
use self::volume::Volumes;
use self::walk::Kind;
use super::args::{CharDevices, Globals};
use super::plan::Plan;
use super::raw::MountAttributes;
use super::rpc::{Rpc, RpcError};
use super::spec::Container;

/// Why the root file system cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(super) enum RootError {
    #[error("this process is in the mount namespace of the host; only runsc starts it, in one of its own")]
    HostNamespace,
    #[error("cannot stop mounts from propagating: {0}")]
    Slave(#[source] Errno),
    #[error("cannot use the root file system {}: {source}", path.display())]
    Root { path: PathBuf, source: Errno },
    #[error("cannot make an empty root file system: {0}")]
    Empty(#[source] Errno),
    #[error("cannot change the options of the root file system: {0}")]
    Options(#[source] Errno),
    #[error("the mount at {} has no source", .0.display())]
    NoSource(PathBuf),
    #[error("the mount at {} has ID mappings, which nobody here can set up", .0.display())]
    Mapped(PathBuf),
    #[error("cannot open the mount source {}: {source}", path.display())]
    Source { path: PathBuf, source: Errno },
    #[error("cannot open the mount source {}: {source}", path.display())]
    Rpc { path: PathBuf, source: RpcError },
    #[error("mount at {}: {step}: {source}", destination.display())]
    Mount { destination: PathBuf, step: &'static str, source: Errno },
    #[error("cannot set up the device {}: {source}", path.display())]
    Device { path: PathBuf, source: Errno },
    #[error("cannot make the working directory {}: {source}", path.display())]
    WorkingDirectory { path: PathBuf, source: Errno },
    #[error("cannot make the root file system the root directory: {0}")]
    Pivot(#[source] Errno),
}

/// Files for a connection.
#[derive(Debug)]
pub(super) struct Served {
    /// Their root, open with `O_PATH`.
    pub(super) fd: OwnedFd,
    /// Where that is in the container, without links.
    pub(super) path: PathBuf,
}

/// What is going to be served.
#[derive(Debug)]
pub(super) struct RootFs {
    tree: Tree,
    is_read_only: bool,
    /// Whether mounts below it may be devices, which runsc puts there for the connection that serves them.
    has_devices: bool,
    is_strict_already: bool,
    /// A mount for each of the spec's that is served, in their order.
    pub(super) mounts: Vec<Option<Served>>,
    /// `/dev` for the connection that serves devices.
    pub(super) dev: Option<Served>,
}

/// What it takes to make one.
pub(super) struct Request<'a> {
    pub(super) container: &'a Container,
    pub(super) plan: &'a Plan,
    pub(super) globals: &'a Globals,
    pub(super) rpc: Option<&'a Rpc>,
    /// Whether a connection serves devices.
    pub(super) serves_dev: bool,
    /// Whether the container's working directory is to be made, as the sandboxes of before 2025 expect.
    pub(super) makes_cwd: bool,
    /// Whether programs are going to work on it before it is served.
    pub(super) has_hooks: bool,
}

impl RootFs {
    /// Mounts everything below the path of the root file system.
    pub(super) fn mount(request: &Request<'_>) -> Result<Self, RootError> {
        let Request { container, plan, globals, .. } = request;
        if !globals.keep_root && is_host_namespace() {
            return Err(RootError::HostNamespace);
        }
        // What is mounted here must not show up on the host.
        let slave = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
        mount_change(c"/", slave).map_err(RootError::Slave)?;
        let mut sealed = Sealed::default();
        let mut root = Self::root(request, &mut sealed)?;
        let mut volumes = Volumes {
            root: fcntl_dupfd_cloexec(&root.tree, 0).map_err(RootError::Options)?,
            covers_root: false,
            rpc: request.rpc,
            devices: globals.char_devices != CharDevices::EmulatedOnly,
            serves_dev: request.serves_dev,
            sealed: &mut sealed,
        };
        let make = |(mount, conf): (&Mount, &Option<super::args::MountConf>)| match conf {
            Some(conf) if conf.is_served() => volumes.make(mount, conf.is_overlaid()).map(Some),
            _ => Ok(None),
        };
        let mounts = container.mounts.iter().zip(&plan.mounts).map(make).collect::<Result<_, _>>()?;
        let Volumes { root: top, covers_root, .. } = volumes;
        if covers_root {
            // Its options are its own, and what is below it nobody sees.
            root.tree = Tree::received(top);
            root.is_strict_already = true;
        }
        if request.makes_cwd && container.cwd.is_absolute() {
            walk::find_or_make(root.tree.as_fd(), &sealed, &container.cwd, Kind::Directory)
                .map_err(|source| RootError::WorkingDirectory { path: container.cwd.clone(), source })?;
        }
        if request.serves_dev {
            root.dev = Some(devices::make(root.tree.as_fd(), &sealed, container, globals)?);
        }
        root.mounts = mounts;
        Ok(root)
    }

    /// The root file system without the container's mounts, where its path says.
    fn root(request: &Request<'_>, sealed: &mut Sealed) -> Result<Self, RootError> {
        let Request { container, plan, .. } = request;
        let empty = |tree| RootFs {
            tree,
            is_read_only: container.root_read_only || plan.root.is_overlaid(),
            has_devices: request.serves_dev,
            is_strict_already: false,
            mounts: Vec::new(),
            dev: None,
        };
        if !plan.root.is_served() {
            let tree = Tree::in_memory().map_err(RootError::Empty)?;
            let here = volume::open(Path::new("/")).map_err(RootError::Empty)?;
            tree.attach(here).map_err(RootError::Empty)?;
            return Ok(RootFs { is_strict_already: true, ..empty(tree) });
        }
        let failed = |source| RootError::Root { path: container.root.clone(), source };
        let place = volume::open(&container.root).map_err(failed)?;
        if volume::kind(place.as_fd()).map_err(failed)? != Kind::Directory {
            return Err(failed(Errno::NOTDIR));
        }
        let mut root = empty(Tree::copy(&place, true).map_err(failed)?);
        let (recursive, propagation) = propagation(container.root_propagation.as_deref());
        let propagation = MountAttributes { propagation, ..MountAttributes::default() };
        root.tree.change(recursive, propagation).map_err(RootError::Options)?;
        if !request.has_hooks {
            // Now, while there is nothing of the container's mounts below it.
            if root.is_read_only {
                sealed.note(&root.tree).map_err(RootError::Options)?;
            }
            root.restrict(request.globals, true)?;
        }
        root.tree.attach(place).map_err(failed)?;
        Ok(root)
    }

    /// Takes away what nobody needs from the root file system, and from the host's mounts below it if `recursive`.
    fn restrict(&mut self, globals: &Globals, recursive: bool) -> Result<(), RootError> {
        let set = |recursive, set| {
            self.tree
                .change(recursive, MountAttributes { set, ..MountAttributes::default() })
                .map_err(RootError::Options)
        };
        let read_only = if self.is_read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
        set(recursive, libc::MOUNT_ATTR_NOSUID | read_only)?;
        if globals.char_devices == CharDevices::EmulatedOnly {
            set(recursive && !self.has_devices, libc::MOUNT_ATTR_NODEV)?;
        }
        self.is_strict_already = true;
        Ok(())
    }

    /// After the hooks: makes it as strict as it should be, and the root directory of this process unless that keeps
    /// its own. Nothing of the host is left then. Answers the files of the root file system.
    pub(super) fn enter(&mut self, globals: &Globals) -> Result<Served, RootError> {
        if !self.is_strict_already {
            self.restrict(globals, false)?;
        }
        if !globals.keep_root {
            fchdir(&self.tree).map_err(RootError::Pivot)?;
            // The old root ends up on top of the new one, and is what "." means when it is taken away.
            pivot_root(c".", c".").map_err(RootError::Pivot)?;
            unmount(c".", UnmountFlags::DETACH).map_err(RootError::Pivot)?;
            chdir(c"/").map_err(RootError::Pivot)?;
        }
        let fd = fcntl_dupfd_cloexec(&self.tree, 0).map_err(RootError::Pivot)?;
        Ok(Served { fd, path: PathBuf::from("/") })
    }
}

/// The root file system of a caller who has set it up already.
pub(super) fn ready(container: &Container) -> Result<Served, RootError> {
    let fd =
        volume::open(&container.root).map_err(|source| RootError::Root { path: container.root.clone(), source })?;
    Ok(Served { fd, path: PathBuf::from("/") })
}

/// The mount at `path` in a root file system that is set up already.
pub(super) fn ready_mount(root: &Served, mount: &Mount) -> Result<Served, RootError> {
    let failed = |step| move |source| RootError::Mount { destination: mount.destination().clone(), step, source };
    let place = walk::find(root.fd.as_fd(), mount.destination()).map_err(failed("cannot find it"))?;
    Ok(Served { fd: place.fd, path: place.path })
}

/// The directory `/proc/self/fd` without a way up from it.
pub(super) fn own_descriptors() -> Result<OwnedFd, Errno> {
    open_tree(CWD, c"/proc/self/fd", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
}

/// `MS_*` for what a spec says, and whether it is about the mounts below too. By default mounts of the host come here,
/// but none of here go there.
fn propagation(name: Option<&str>) -> (bool, u64) {
    match name {
        Some("private") => (false, libc::MS_PRIVATE),
        Some("rprivate") => (true, libc::MS_PRIVATE),
        Some("slave") => (false, libc::MS_SLAVE),
        _ => (true, libc::MS_SLAVE),
    }
}

/// Whether whatever is done here is done to the host. Not being able to tell is a good sign.
fn is_host_namespace() -> bool {
    let namespace = |path: &str| std::fs::read_link(path).ok();
    let init = namespace("/proc/1/ns/mnt");
    init.is_some() && init == namespace("/proc/self/ns/mnt")
}
