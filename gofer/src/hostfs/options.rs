//! What a host directory's clients may do.

use rustix::fs::FileType;

use super::ProcFds;
use lisafs::backend::Options;

/// How a [`HostFs`](super::HostFs) behaves. The default is what runsc's own gofer does without any flags.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// Nothing may be changed. With [`donate_root`](Self::donate_root) the host's mount must be read-only too: the client
    /// then goes past the server.
    pub read_only: bool,
    /// Gives the client a descriptor of the root, for runsc's directfs.
    pub donate_root: bool,
    /// Gives the client descriptors of the regular files that it opens, so that it reads and writes without asking.
    pub donate_files: bool,
    /// Reading leaves the times of access, also through descriptors that the client is given, if this process may copy mounts:
    /// [`HostFs::open`](super::HostFs::open) then serves a copy of the directory's mount, and of those below it.
    pub no_atime: bool,
    /// What becomes of files that are neither regular nor directories nor links.
    pub special: SpecialFiles,
    /// Which UNIX sockets may be used.
    pub host_uds: UdsPolicy,
    /// FIFOs may be opened.
    pub host_fifo: bool,
    /// Character devices may be opened.
    pub char_devices: bool,
    /// How many FDs a connection may hold.
    pub max_fds: usize,
    /// The way to the process's own descriptors, which [`HostFs::open`](super::HostFs::open) cannot find without `/proc`.
    pub proc_fds: Option<ProcFds>,
}

impl Default for HostOptions {
    fn default() -> Self {
        HostOptions {
            read_only: false,
            donate_root: false,
            donate_files: true,
            no_atime: false,
            special: SpecialFiles::Refuse,
            host_uds: UdsPolicy::None,
            host_fifo: false,
            char_devices: false,
            max_fds: Options::default().max_fds,
            proc_fds: None,
        }
    }
}

impl HostOptions {
    /// Whether the client gets to see a file of this type at all.
    pub(super) fn admits(&self, kind: FileType) -> bool {
        match kind {
            FileType::BlockDevice => self.special == SpecialFiles::Create,
            FileType::Unknown => false,
            _ => true,
        }
    }
}

/// What may be made with mknod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialFiles {
    /// Regular files and the whiteouts of overlays (character device 0:0); anything else is `EPERM`, which makes a sandbox use
    /// FIFOs and sockets of its own. Block devices are not even looked at.
    Refuse,
    /// Whatever the host allows.
    Create,
}

/// Which UNIX sockets of the host may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UdsPolicy {
    /// None.
    None,
    /// Those that exist may be connected to.
    Open,
    /// New ones may be bound.
    Create,
    /// Both.
    All,
}

impl UdsPolicy {
    /// Whether existing sockets may be connected to.
    pub fn opens(self) -> bool {
        matches!(self, UdsPolicy::Open | UdsPolicy::All)
    }

    /// Whether sockets may be bound.
    pub fn creates(self) -> bool {
        matches!(self, UdsPolicy::Create | UdsPolicy::All)
    }
}
