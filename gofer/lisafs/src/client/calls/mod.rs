//! The calls, by subject, and what their answers are checked for.

mod attributes;
mod create;
mod dir;
mod io;
mod open;
mod raw;
mod remove;
mod socket;
mod walk;
mod xattr;

pub use raw::{RawAnswer, RawFailure};

use crate::errno::Errno;
use crate::wire::{FdId, FileType, Inode, Message, Statx, StatxMask};

use super::Client;
use super::error::CallError;

impl Client {
    /// A call whose answer is a value of a fixed layout, without descriptors.
    fn ask<'q, A: for<'a> Message<'a>>(&self, request: &impl Message<'q>) -> Result<A, Errno> {
        self.connection.ask(request, |answer| answer.decode())
    }
}

/// Checks what every new file must have: a number to name it by, a type, and a size if it is a regular file.
pub(super) fn check_inode(inode: &Inode) -> Result<(), CallError> {
    check_fd(inode.control_fd)?;
    check_stat(&inode.stat)
}

/// Checks that `fd` can name something.
fn check_fd(fd: FdId) -> Result<(), CallError> {
    if fd.is_valid() { Ok(()) } else { Err(CallError::Malformed("a new file without a number")) }
}

/// Checks that `stat` says what nothing works without.
fn check_stat(stat: &Statx) -> Result<(), CallError> {
    if !stat.mask.contains(StatxMask::TYPE) {
        return Err(CallError::Malformed("a file without a type"));
    }
    if stat.file_type() == Some(FileType::Regular) && !stat.mask.contains(StatxMask::SIZE) {
        return Err(CallError::Malformed("a regular file without a size"));
    }
    Ok(())
}

/// Whether `name` can be the name of a directory entry on this host.
fn is_entry_name(name: &[u8]) -> bool {
    const NAME_MAX: usize = 255;
    name.len() <= NAME_MAX && crate::backend::Name::new(name).is_ok()
}

/// Refuses names that have no place in a message.
fn check_length(name: &[u8]) -> Result<(), Errno> {
    if u16::try_from(name.len()).is_ok() { Ok(()) } else { Err(Errno::NAMETOOLONG) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(mask: StatxMask, mode: u16) -> Statx {
        let mut stat = Statx::default();
        (stat.mask, stat.mode) = (mask, mode);
        stat
    }

    #[test]
    fn a_file_needs_number_type_and_size() {
        let good = Inode { control_fd: FdId(7), stat: stat(StatxMask::TYPE | StatxMask::SIZE, 0o100_644) };
        assert_eq!(check_inode(&good), Ok(()));
        assert!(check_inode(&Inode { control_fd: FdId::INVALID, ..good }).is_err());
        assert!(check_stat(&stat(StatxMask::TYPE, 0o100_644)).is_err());
        assert!(check_stat(&stat(StatxMask::SIZE, 0o100_644)).is_err());
        assert_eq!(check_stat(&stat(StatxMask::TYPE, 0o40_755)), Ok(()));
    }

    #[test]
    fn names_of_entries_are_single_components_of_limited_length() {
        assert!(is_entry_name(&[b'n'; 255]) && is_entry_name(b"...") && is_entry_name(b"\xff"));
        for bad in [&b""[..], b".", b"..", b"a/b", b"a\0", &[b'n'; 256]] {
            assert!(!is_entry_name(bad), "{bad:?}");
        }
    }
}
