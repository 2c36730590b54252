//! The process that runsc starts, with a caller that does what runsc does: in a mount namespace of its own, with all
//! descriptors. Needs root.

#[allow(dead_code, reason = "shared with other tests, which use all of it")]
#[path = "../../lisafs/tests/common/mod.rs"]
mod common;

mod backends;
mod caller;
mod mapped;
mod mounts;
mod privileges;
mod wrong;
