//! What a mount looks like to others.

pub(super) use crate::mounts::SUBTYPE;

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
    /// How deep the files that the kernel may work on by itself are stacked; 0: it does not.
    pub stack_depth: u32,
}
