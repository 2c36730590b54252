//! Passwords out of files and pipes.

use std::os::fd::AsFd;

use rustix::io::{read, retry_on_intr};
use zeroize::Zeroize;

use super::{From, SecretError};
use crate::secret::Password;

/// The first line of `file`, which is read no further than to its end. That takes a call for each byte: there is no
/// buffer that parts of it stay in, and what follows is somebody else's.
pub(super) fn password(file: &(impl AsFd + ?Sized), from: &From) -> Result<Password, SecretError> {
    let failed =
        |error: rustix::io::Errno| SecretError::Read { what: "password", from: from.clone(), source: error.into() };
    let mut password = Password::empty();
    let mut byte = [0];
    let ends = loop {
        let len = retry_on_intr(|| read(file.as_fd(), &mut byte)).map_err(failed)?;
        if len == 0 || byte[0] == b'\n' {
            break Ok(());
        }
        if !password.push(byte[0]) {
            break Err(SecretError::Long(from.clone()));
        }
    };
    byte.zeroize();
    ends?;
    if password.as_bytes().is_empty() { Err(SecretError::Empty(from.clone())) } else { Ok(password) }
}
