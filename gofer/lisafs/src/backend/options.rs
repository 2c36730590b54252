//! What belongs to a connection because of its backend.

use crate::wire::{MessageId, MessageSet, STOCK_MAX_MESSAGE_SIZE};

/// How one connection is served.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The messages that are answered; the others get `EOPNOTSUPP`.
    ///
    /// Leave a message out only if it can never work: clients answer for a missing one themselves, often worse than an
    /// error from the server would. By default everything but Flush.
    pub supported: MessageSet,
    /// Largest payload in bytes, without headers.
    pub max_message_size: u32,
    /// Refuses everything that would change something with `EROFS`.
    pub read_only: bool,
    /// Whether calls are made under the locks of the server's tree, see [the module's documentation](super). Off by
    /// default.
    pub tree_locks: bool,
    /// Whether [`ControlFile::walk_stat`](super::ControlFile::walk_stat) is used for whole paths; otherwise the server
    /// walks step by step.
    pub walk_stat: bool,
    /// What still works on a file whose name is gone.
    pub deleted: DeletedFiles,
    /// Whether [`Backend::attach`](super::Backend::attach) gives a descriptor of the root to the client, as a mount
    /// with directfs needs it.
    pub donates_root: bool,
    /// What the client is believed.
    pub client: ClientKind,
    /// How many FDs the connection may hold; more are refused with `EMFILE`.
    pub max_fds: usize,
    /// Whether FDs hold descriptors of the process, so that its limit on these bounds them, too.
    pub fds_are_descriptors: bool,
    /// How many channels the connection may have, if the server would allow more.
    pub max_channels: usize,
}

/// What kind of client a connection has, and so what it is believed. The difference is made by the server: backends
/// need not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientKind {
    /// The kernel of a sandbox, which somebody in it may have taken over, and which needs of the host's files no more
    /// than a container does.
    ///
    /// New programs lose their set-group-ID bit, as who makes them need not be in the group that they get. Extended
    /// attributes are those of the namespace `user`, and those of `security` can be read; the backend is not asked for
    /// others: `EOPNOTSUPP`. Renames leave no whiteouts: `EINVAL`.
    #[default]
    Sandbox,
    /// A kernel of this machine that has checked what its callers may do, as one that mounts through FUSE has.
    ///
    /// Which new files keep their set-group-ID bit is as it says. All extended attributes reach the backend: access
    /// control lists, file capabilities, what overlays note. Renames can leave whiteouts.
    Kernel,
}

/// What still works on a file whose name was removed. Only used with [`Options::tree_locks`]: without, the server does
/// not know which files are deleted.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct DeletedFiles {
    /// Attributes can be set.
    pub set_stat: bool,
    /// Space can be reserved and freed.
    pub allocate: bool,
    /// It can be opened. A sandbox needs this to be saved while it holds deleted files open.
    pub open: bool,
}

impl DeletedFiles {
    /// Everything works, as on the host.
    pub const ALL: DeletedFiles = DeletedFiles { set_stat: true, allocate: true, open: true };

    /// Nothing of it works.
    pub const NONE: DeletedFiles = DeletedFiles { set_stat: false, allocate: false, open: false };
}

impl Options {
    /// Leaves no more FDs than the `descriptors` that there are for them, if they are such.
    pub fn bound_fds(&mut self, descriptors: usize) {
        if self.fds_are_descriptors {
            self.max_fds = self.max_fds.min(descriptors);
        }
    }

    /// Answers the private messages of this project, too, which `runsc` neither knows nor asks for.
    pub fn answer_private_messages(&mut self) {
        self.supported = MessageId::PRIVATE.iter().copied().fold(self.supported, MessageSet::with);
    }

    /// The messages that the stock server answers: all but Error and Flush.
    pub fn stock_messages() -> MessageSet {
        MessageSet::of(MessageId::ALL.iter().copied()).without(MessageId::ERROR).without(MessageId::FLUSH)
    }

    /// The same, refusing all changes if `read_only`.
    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        Options { read_only, ..self }
    }

    /// The same with or without the locks of the server's tree.
    #[must_use]
    pub fn tree_locks(self, tree_locks: bool) -> Self {
        Options { tree_locks, ..self }
    }

    /// The same with or without use of [`ControlFile::walk_stat`](super::ControlFile::walk_stat).
    #[must_use]
    pub fn walk_stat(self, walk_stat: bool) -> Self {
        Options { walk_stat, ..self }
    }

    /// The same for a backend that does or does not give a descriptor of its root away.
    #[must_use]
    pub fn donates_root(self, donates_root: bool) -> Self {
        Options { donates_root, ..self }
    }

    /// The same with another largest payload, in bytes.
    #[must_use]
    pub fn max_message_size(self, max_message_size: u32) -> Self {
        Options { max_message_size, ..self }
    }

    /// The same with another answer to what works on deleted files.
    #[must_use]
    pub fn deleted(self, deleted: DeletedFiles) -> Self {
        Options { deleted, ..self }
    }

    /// The same for a backend whose FDs take a descriptor each, or for one where they do not.
    #[must_use]
    pub fn fds_are_descriptors(self, fds_are_descriptors: bool) -> Self {
        Options { fds_are_descriptors, ..self }
    }

    /// The same for another kind of client.
    #[must_use]
    pub fn client(self, client: ClientKind) -> Self {
        Options { client, ..self }
    }

    /// The same with another limit to FDs.
    #[must_use]
    pub fn max_fds(self, max_fds: usize) -> Self {
        Options { max_fds, ..self }
    }

    /// The same, answering only `supported`.
    #[must_use]
    pub fn supported(self, supported: MessageSet) -> Self {
        Options { supported, ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            supported: Self::stock_messages(),
            max_message_size: STOCK_MAX_MESSAGE_SIZE,
            read_only: false,
            tree_locks: false,
            walk_stat: false,
            deleted: DeletedFiles::ALL,
            donates_root: false,
            client: ClientKind::Sandbox,
            max_fds: 1 << 20,
            fds_are_descriptors: true,
            max_channels: usize::MAX,
        }
    }
}
