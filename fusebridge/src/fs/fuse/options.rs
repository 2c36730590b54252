//! What a mount looks like to others.

use std::time::Duration;

pub(super) use crate::mounts::SUBTYPE;

/// How requests come from the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// `ring` where the kernel has it switched on, unless file data comes from another process; `device` elsewhere
    #[default]
    Auto,
    /// io_uring, on the processor of each caller: Linux 6.14 or later, with `enable_uring` of its module fuse
    Ring,
    /// /dev/fuse: calls end when their callers are interrupted, and threads come and go with slow backends.
    Device,
    /// /dev/fuse by the library fuser, to compare with: calls cannot be interrupted, and all threads are there from the
    /// beginning.
    Fuser,
}

/// For a server in this process.
#[derive(Clone, Copy, Debug)]
pub struct InProcess {
    /// After so long, a request fails whose backend has not answered.
    pub time_limit: Duration,
}

/// What the mount looks like to others.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// Name in mount tables.
    pub source: String,
    /// Refuses changes.
    pub read_only: bool,
    /// Lets other users in.
    pub allow_other: bool,
    /// Honours set-user-id and set-group-id bits.
    pub suid: bool,
    /// Lets device nodes be opened.
    pub dev: bool,
    /// Refuses to run programs.
    pub noexec: bool,
    /// How many requests are worked on at once.
    pub threads: usize,
    /// How requests come.
    pub transport: Transport,
    /// Whether the server is known to donate descriptors of files.
    pub donates: bool,
    /// If the server answers on the threads that work on requests.
    pub in_process: Option<InProcess>,
    /// How deep the files that the kernel may work on by itself are stacked; 0: it does not.
    pub stack_depth: u32,
}
