//! File systems that ship with the gofer, beside the stock one for host directories.

pub mod memfs;

use crate::extension::Extension;

/// One of each extension that ships.
pub fn shipped() -> Vec<Box<dyn Extension>> {
    vec![Box::new(memfs::MemExtension)]
}
