//! What a host directory's clients may do.

use rustix::fs::FileType;

use super::ProcFds;
use lisafs::backend::Options;

/// How a [`HostFs`](super::HostFs) behaves. The default is what runsc's own gofer does without any flags.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HostOptions {
    /// Nothing may be changed. With [`donate_root`](Self::donate_root) the host's mount must be read-only too: the
    /// client then goes past the server.
    pub read_only: bool,
    /// Gives the client a descriptor of the root, for runsc's directfs.
    pub donate_root: bool,
    /// Gives the client descriptors of the regular files that it opens, so that it reads and writes without asking.
    pub donate_files: bool,
    /// Reading leaves the times of access, also through descriptors that the client is given, if this process may copy
    /// mounts: [`HostFs::open`](super::HostFs::open) then serves a copy of the directory's mount, and of those below
    /// it.
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
    /// The way to the process's own descriptors, which [`HostFs::open`](super::HostFs::open) cannot find without
    /// `/proc`.
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
    /// The same, refusing changes or not.
    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        HostOptions { read_only, ..self }
    }

    /// The same with or without a descriptor of the root for the client.
    #[must_use]
    pub fn donate_root(self, donate_root: bool) -> Self {
        HostOptions { donate_root, ..self }
    }

    /// The same with or without descriptors of open files for the client.
    #[must_use]
    pub fn donate_files(self, donate_files: bool) -> Self {
        HostOptions { donate_files, ..self }
    }

    /// The same, leaving the times of access or not.
    #[must_use]
    pub fn no_atime(self, no_atime: bool) -> Self {
        HostOptions { no_atime, ..self }
    }

    /// The same with another answer to what may be made with mknod.
    #[must_use]
    pub fn special(self, special: SpecialFiles) -> Self {
        HostOptions { special, ..self }
    }

    /// The same with other UNIX sockets that may be used.
    #[must_use]
    pub fn host_uds(self, host_uds: UdsPolicy) -> Self {
        HostOptions { host_uds, ..self }
    }

    /// The same with or without FIFOs that may be opened.
    #[must_use]
    pub fn host_fifo(self, host_fifo: bool) -> Self {
        HostOptions { host_fifo, ..self }
    }

    /// The same with or without character devices that may be opened.
    #[must_use]
    pub fn char_devices(self, char_devices: bool) -> Self {
        HostOptions { char_devices, ..self }
    }

    /// The same with another limit to the FDs of a connection.
    #[must_use]
    pub fn max_fds(self, max_fds: usize) -> Self {
        HostOptions { max_fds, ..self }
    }

    /// The same with a way to the process's own descriptors.
    #[must_use]
    pub fn proc_fds(self, proc_fds: Option<ProcFds>) -> Self {
        HostOptions { proc_fds, ..self }
    }

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
    /// Regular files and the whiteouts of overlays (character device 0:0); anything else is `EPERM`, which makes a
    /// sandbox use FIFOs and sockets of its own. Block devices are not even looked at.
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
