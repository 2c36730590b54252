//! File systems that ship with the gofer, beside the stock one for host directories.

#[cfg(feature = "testing")]
pub mod fault;
pub mod memfs;
pub mod readonly;
pub mod stats;
pub mod volume;
pub mod wrap;

use crate::extension::Extension;

/// One of each extension that ships. `fault:` is among them with the feature `testing` only.
pub fn shipped() -> Vec<Box<dyn Extension>> {
    vec![
        Box::new(memfs::MemExtension),
        Box::new(readonly::ReadOnlyExtension),
        #[cfg(feature = "testing")]
        Box::new(fault::FaultExtension),
        Box::new(stats::StatsExtension),
        Box::new(volume::VolumeExtension::default()),
    ]
}
