//! Which system calls the process may make.

/// System calls to allow.
#[derive(Clone, Debug, Default)]
pub struct SyscallRules {}
