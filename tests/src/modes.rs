//! The ways to mount that every conformance suite goes through.

use clap::ValueEnum;

/// Value of `fusebridge --io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Io {
    /// The best that the machine allows.
    Auto,
    /// The kernel reads and writes the backing file itself.
    Passthrough,
    /// The bridge reads and writes the donated descriptor.
    Direct,
    /// Data goes through the protocol.
    Rpc,
}

impl Io {
    /// All modes, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Passthrough, Self::Direct, Self::Rpc];

    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Passthrough => "passthrough",
            Self::Direct => "direct",
            Self::Rpc => "rpc",
        }
    }
}

/// Value of `fusebridge --access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Access {
    /// Nobody else changes the files.
    Exclusive,
    /// Others change the files too.
    Shared,
}

impl Access {
    /// Both modes, in the order of the tables.
    pub const ALL: [Self; 2] = [Self::Exclusive, Self::Shared];

    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Exclusive => "exclusive",
            Self::Shared => "shared",
        }
    }
}

/// Value of `fusebridge --transport`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over /dev/fuse.
    Device,
    /// Over io_uring.
    Ring,
}

impl Transport {
    /// Those that can be had here. It is announced which cannot, and why.
    pub fn all() -> impl Iterator<Item = Self> {
        let missing = crate::ring::missing();
        if let Some(why) = missing {
            crate::skip::announce(&format!("the part over io_uring: {why}"));
        }
        [Self::Device, Self::Ring].into_iter().filter(move |transport| *transport == Self::Device || missing.is_none())
    }

    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Ring => "ring",
        }
    }
}
