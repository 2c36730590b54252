//! Flags of `open(2)` as the kernel sends them.

use rustix::fs::OFlags;

/// The part that is the access mode.
pub(super) const ACCESS_MODE: u32 = OFlags::ACCMODE.bits();
/// The file must not exist.
pub(super) const EXCLUSIVE: u32 = OFlags::EXCL.bits();
/// Its content goes.
pub(super) const TRUNCATE: u32 = OFlags::TRUNC.bits();

const _: () = assert!(ACCESS_MODE == 3 && EXCLUSIVE == 0o200 && TRUNCATE == 0o1000);
