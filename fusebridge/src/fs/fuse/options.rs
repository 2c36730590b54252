//! What a mount looks like to others.

/// The type in mount tables is `fuse.` and this, so that one can tell our mounts from others, and mount(8) finds the
/// program of that name.
pub(super) const SUBTYPE: &str = "fusebridge";

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
    /// How many requests are worked on at once.
    pub threads: usize,
    /// How deep the files that the kernel may work on by itself are stacked; 0: it does not.
    pub stack_depth: u32,
}
