//! Passwords and master keys on their way from a process to one that it starts.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use gofer::inherited;
use rustix::io::{read, retry_on_intr, write};
use rustix::pipe::{PipeFlags, pipe_with};

use super::{Credential, From, SecretError};
use crate::format::MasterKey;
use crate::secret::{MAX_PASSWORD, Password, Secret};

/// What they begin with.
const PASSWORD: u8 = b'p';
const MASTER_KEY: u8 = b'm';

/// A pipe with `credential` in it. What is in a pipe is never swapped, and gone when it is read.
pub(super) fn pipe(credential: &Credential) -> io::Result<OwnedFd> {
    let (kind, bytes) = match credential {
        Credential::Password(password) => (PASSWORD, password.as_bytes()),
        Credential::MasterKey(key) => (MASTER_KEY, &key[..]),
    };
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    // Less than a page, for which there is room in any pipe.
    for part in [&[kind], bytes] {
        retry_on_intr(|| write(&writer, part))?;
    }
    Ok(reader)
}

/// What is in the pipe that this process was started with.
pub(super) fn take(fd: RawFd) -> Result<Credential, SecretError> {
    let pipe = inherited::take(fd).map_err(|_| SecretError::Descriptor(fd))?;
    receive(&pipe, fd)
}

fn receive(pipe: &OwnedFd, fd: RawFd) -> Result<Credential, SecretError> {
    let from = From::Descriptor(fd);
    let failed =
        |error: rustix::io::Errno| SecretError::Read { what: "password", from: from.clone(), source: error.into() };
    let mut bytes = Secret::new([0; 1 + MAX_PASSWORD]);
    let mut len = 0;
    while len < bytes.len() {
        match retry_on_intr(|| read(pipe, &mut bytes[len..])).map_err(failed)? {
            0 => break,
            more => len += more,
        }
    }
    let mut key = MasterKey::new([0; 32]);
    match bytes[..len].split_first() {
        Some((&PASSWORD, password)) => Password::new(password).map(Credential::Password),
        Some((&MASTER_KEY, bytes)) if bytes.len() == key.len() => {
            key.copy_from_slice(bytes);
            Some(Credential::MasterKey(key))
        }
        _ => None,
    }
    .ok_or(SecretError::Empty(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_down_arrives() {
        for len in [1, MAX_PASSWORD] {
            let sent = Credential::Password(Password::new(&vec![b'x'; len]).unwrap());
            let Ok(Credential::Password(password)) = receive(&pipe(&sent).unwrap(), 9) else { panic!("a password") };
            assert_eq!(password.as_bytes(), vec![b'x'; len]);
        }
        let sent = Credential::MasterKey(MasterKey::new([7; 32]));
        let Ok(Credential::MasterKey(key)) = receive(&pipe(&sent).unwrap(), 9) else { panic!("a master key") };
        assert_eq!(*key, [7; 32]);
    }
}
