//! Numbers that name things on the wire: messages and file descriptors of a connection.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Names a control, open or bound-socket FD of one connection. Zero names nothing.
#[repr(transparent)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct FdId(pub u64);

impl FdId {
    /// The number that never names a descriptor.
    pub const INVALID: FdId = FdId(0);

    /// Whether this can name a descriptor at all.
    pub fn is_valid(self) -> bool {
        self != Self::INVALID
    }
}

/// The kind of a message. Numbers up to 255 belong to the protocol, larger ones are private.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct MessageId(pub u16);

macro_rules! message_ids {
    ($($(#[$doc:meta])* $constant:ident = $number:literal, $name:literal;)*) => {
        impl MessageId {
            $($(#[$doc])* pub const $constant: MessageId = MessageId($number);)*

            /// Every message of the protocol, in the order of their numbers. [`PRIVATE`](Self::PRIVATE) has the others.
            pub const ALL: &'static [MessageId] = &[$(Self::$constant),*];

            /// The name of this message, or `None` if there is no such message.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some($name),)*
                    256 => Some("LSeek"),
                    _ => None,
                }
            }
        }
    };
}

message_ids! {
    /// An errno; may answer any request, is never a request.
    ERROR = 0, "Error";
    /// Asks for the root of the mount and what the server supports.
    MOUNT = 1, "Mount";
    /// Asks for one more shared-memory channel.
    CHANNEL = 2, "Channel";
    /// Attributes of a control or open FD.
    FSTAT = 3, "FStat";
    /// Changes attributes.
    SET_STAT = 4, "SetStat";
    /// Walks names one after the other, one new control FD each.
    WALK = 5, "Walk";
    /// Walks names and answers their attributes only.
    WALK_STAT = 6, "WalkStat";
    /// Opens a file for I/O.
    OPEN_AT = 7, "OpenAt";
    /// Creates a regular file and opens it.
    OPEN_CREATE_AT = 8, "OpenCreateAt";
    /// Gives FDs back.
    CLOSE = 9, "Close";
    /// Makes data durable.
    FSYNC = 10, "FSync";
    /// Writes at an offset.
    PWRITE = 11, "PWrite";
    /// Reads at an offset.
    PREAD = 12, "PRead";
    /// Makes a directory.
    MKDIR_AT = 13, "MkdirAt";
    /// Makes a special or regular file.
    MKNOD_AT = 14, "MknodAt";
    /// Makes a symbolic link.
    SYMLINK_AT = 15, "SymlinkAt";
    /// Makes a hard link.
    LINK_AT = 16, "LinkAt";
    /// Statistics of the file system.
    FSTATFS = 17, "FStatFS";
    /// Reserves or frees space of a file.
    FALLOCATE = 18, "FAllocate";
    /// Reads the target of a symbolic link.
    READ_LINK_AT = 19, "ReadLinkAt";
    /// Called when a writable FD is closed.
    FLUSH = 20, "Flush";
    /// Connects to a UNIX socket in the file system.
    CONNECT = 21, "Connect";
    /// Removes a name.
    UNLINK_AT = 22, "UnlinkAt";
    /// Renames.
    RENAME_AT = 23, "RenameAt";
    /// Lists a directory.
    GETDENTS64 = 24, "Getdents64";
    /// Reads an extended attribute.
    FGET_XATTR = 25, "FGetXattr";
    /// Writes an extended attribute.
    FSET_XATTR = 26, "FSetXattr";
    /// Lists the names of extended attributes.
    FLIST_XATTR = 27, "FListXattr";
    /// Removes an extended attribute.
    FREMOVE_XATTR = 28, "FRemoveXattr";
    /// Binds a UNIX socket in the file system.
    BIND_AT = 29, "BindAt";
    /// Starts listening on a bound socket.
    LISTEN = 30, "Listen";
    /// Accepts a connection on a listening socket.
    ACCEPT = 31, "Accept";
    /// Connects as another user.
    CONNECT_WITH_CREDS = 32, "ConnectWithCreds";
    /// Renames with flags.
    RENAME_AT2 = 33, "RenameAt2";
}

impl MessageId {
    /// Looks for data or a hole in a file. Private: only this crate's servers and clients know it.
    pub const LSEEK: MessageId = MessageId(256);

    /// The messages that are not the protocol's.
    pub const PRIVATE: &'static [MessageId] = &[Self::LSEEK];

    /// How many messages a [`MessageSet`], or a table with an entry for each, has room for.
    pub(crate) const SLOTS: usize = 64;

    /// Where the message stands in such a table.
    pub(crate) const fn slot(self) -> Option<usize> {
        match self.0 {
            protocol @ 0..63 => Some(protocol as usize),
            private if private == Self::LSEEK.0 => Some(63),
            _ => None,
        }
    }
}

impl std::fmt::Debug for MessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Message({})", self.0),
        }
    }
}

/// A set of messages. The first 63 numbers can be members, of which the protocol uses 34, and so can
/// [`MessageId::LSEEK`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageSet(u64);

impl MessageSet {
    /// No message at all.
    pub const EMPTY: MessageSet = MessageSet(0);

    /// The set of the given messages; numbers it cannot hold are left out.
    pub fn of(ids: impl IntoIterator<Item = MessageId>) -> Self {
        ids.into_iter().fold(Self::EMPTY, Self::with)
    }

    /// This set and `id`.
    #[must_use]
    pub const fn with(self, id: MessageId) -> Self {
        MessageSet(self.0 | Self::bit(id))
    }

    /// This set but for `id`.
    #[must_use]
    pub const fn without(self, id: MessageId) -> Self {
        MessageSet(self.0 & !Self::bit(id))
    }

    /// Whether `id` is a member.
    pub const fn contains(self, id: MessageId) -> bool {
        self.0 & Self::bit(id) != 0
    }

    /// The bit that stands for `id`; none if it cannot be a member.
    const fn bit(id: MessageId) -> u64 {
        match id.slot() {
            Some(slot) => 1 << slot,
            None => 0,
        }
    }

    /// The members in ascending order.
    pub fn iter(self) -> impl Iterator<Item = MessageId> {
        (0..63).map(MessageId).chain(MessageId::PRIVATE.iter().copied()).filter(move |id| self.contains(*id))
    }

    /// How many members there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there is no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
