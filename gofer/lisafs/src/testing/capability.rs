//! What not every backend can do.

/// Something that a backend can or cannot do. What all of them can is not named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// Files and directories can be made, written, renamed and removed. Without, the suite looks at what is there.
    Write,
    /// New files get the owners that they are made for, and owners can be changed.
    Owners,
    /// Times can be set, to the nanosecond.
    Times,
    /// Files can have several names.
    HardLinks,
    /// There are symbolic links.
    SymbolicLinks,
    /// FIFOs and sockets can be made.
    SpecialFiles,
    /// Device nodes can be made.
    Devices,
    /// Space can be reserved.
    Allocate,
    /// A rename can leave what is there (`RENAME_NOREPLACE`).
    NoReplace,
    /// A rename can exchange two files (`RENAME_EXCHANGE`).
    Exchange,
    /// There are extended attributes in the namespace `user`.
    Xattrs,
    /// The file system says how large it is.
    Statistics,
    /// A rename can leave a whiteout (`RENAME_WHITEOUT`), which a sandbox never asks for.
    Whiteouts,
    /// There are POSIX access control lists, of which a sandbox never hears.
    AccessLists,
}

/// What a backend can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u32);

impl Capabilities {
    /// Everything.
    pub const fn all() -> Self {
        Capabilities(u32::MAX)
    }

    /// What every backend can do, and nothing else: being read.
    pub const fn none() -> Self {
        Capabilities(0)
    }

    /// This one, too.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Capabilities(self.0 | 1 << capability as u32)
    }

    /// All but this one.
    #[must_use]
    pub const fn without(self, capability: Capability) -> Self {
        Capabilities(self.0 & !(1 << capability as u32))
    }

    /// Whether the backend can do this.
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u32 != 0
    }
}
