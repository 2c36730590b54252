//! Everything that makes the library runsc's gofer process.

pub(crate) mod call;
pub mod hints;
pub mod shim;
