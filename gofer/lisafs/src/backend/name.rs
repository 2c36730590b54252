//! Names of directory entries.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::{Error, Result};

/// One component of a path: not empty, not `.` or `..`, without `/` and NUL. Otherwise arbitrary bytes of any length.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name<'a>(&'a [u8]);

impl<'a> Name<'a> {
    /// Checks `bytes`; `EINVAL` if they are not the name of a directory entry.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        match bytes {
            b"" | b"." | b".." => Err(Error::INVAL),
            _ if bytes.iter().any(|byte| matches!(byte, b'/' | 0)) => Err(Error::INVAL),
            _ => Ok(Name(bytes)),
        }
    }

    /// The bytes of the name.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The name as the standard library wants it.
    pub fn as_os_str(self) -> &'a OsStr {
        OsStr::from_bytes(self.0)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_os_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_components_are_names() {
        for good in [&b"a"[..], b"...", b".a", b"\xff\n", &[b'n'; 300]] {
            assert_eq!(Name::new(good).map(Name::as_bytes), Ok(good));
        }
        for bad in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b"] {
            assert_eq!(Name::new(bad), Err(Error::INVAL), "{bad:?}");
        }
    }
}
