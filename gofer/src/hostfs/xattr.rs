//! Extended attributes, as far as the kernel lets this process have them. Which of them a client gets is up to the
//! [server](lisafs::backend::ClientKind).

use std::ffi::CString;

use rustix::fs::{XattrFlags, getxattr, listxattr, removexattr, setxattr};

use super::control::HostControl;
use super::proc_fds::Target;
use super::raw;

use rustix::io::{Errno, Result};

/// The longest value that an answer can carry; for longer ones the kernel says `ERANGE`.
const MAX_VALUE: usize = 65_535;
/// The longest list of names that the kernel makes.
const MAX_LIST: usize = 65_536;
/// Most values and lists are not longer, and are read without a large buffer.
const SHORT: usize = 256;

impl HostControl {
    pub(super) fn read_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        let name = c_string(name)?;
        read_growing(MAX_VALUE, |value| {
            self.shared.proc_fds.with_target(self.fd(), |target| match target {
                Target::Entry(dir, entry) => raw::getxattrat(dir, entry, &name, value),
                Target::Path(path) => getxattr(path, &name, &mut *value),
            })
        })
    }

    pub(super) fn write_xattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        let name = c_string(name)?;
        self.shared.proc_fds.with_target(self.fd(), |target| match target {
            Target::Entry(dir, entry) => raw::setxattrat(dir, entry, &name, value, flags),
            Target::Path(path) => setxattr(path, &name, value, XattrFlags::from_bits_retain(flags)),
        })
    }

    pub(super) fn xattr_names(&self) -> Result<Vec<Vec<u8>>> {
        let list = read_growing(MAX_LIST, |list| {
            self.shared.proc_fds.with_target(self.fd(), |target| match target {
                Target::Entry(dir, entry) => raw::listxattrat(dir, entry, list),
                Target::Path(path) => listxattr(path, &mut *list),
            })
        })?;
        Ok(list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect())
    }

    pub(super) fn drop_xattr(&self, name: &[u8]) -> Result<()> {
        let name = c_string(name)?;
        self.shared.proc_fds.with_target(self.fd(), |target| match target {
            Target::Entry(dir, entry) => raw::removexattrat(dir, entry, &name),
            Target::Path(path) => removexattr(path, &name),
        })
    }
}

/// The name as the kernel wants it.
fn c_string(name: &[u8]) -> Result<CString> {
    CString::new(name).map_err(|_| Errno::INVAL)
}

/// What `read` puts into a buffer of `max` bytes.
fn read_growing(max: usize, mut read: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<Vec<u8>> {
    let mut short = [0; SHORT];
    match read(&mut short) {
        Err(Errno::RANGE) => {}
        len => return Ok(short[..len?].to_vec()),
    }
    let mut long = vec![0; max];
    let len = read(&mut long)?;
    long.truncate(len);
    long.shrink_to_fit();
    Ok(long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_read_in_a_second_attempt() {
        let mut sizes = Vec::new();
        let value = read_growing(1000, |buffer| {
            sizes.push(buffer.len());
            if buffer.len() < 300 { Err(Errno::RANGE) } else { Ok(300) }
        });
        assert_eq!((value.map(|value| value.len()), sizes), (Ok(300), vec![SHORT, 1000]));
    }
}
