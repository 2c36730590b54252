//! The backends that ship besides the stock one.

pub mod memfs;
