//! Everything that makes the library runsc's gofer process.

pub mod hints;
