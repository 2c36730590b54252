//! Master keys as people write them down.

use std::os::fd::AsFd;

use data_encoding::HEXLOWER_PERMISSIVE;
use rustix::io::{read as read_some, retry_on_intr};
use zeroize::Zeroizing;

use super::{From, SecretError};
use crate::format::MasterKey;
use crate::secret::Secret;

/// Digits of a key.
const DIGITS: usize = 64;

/// Digits between two `-`.
const GROUP: usize = 8;

/// The longest text with a key in it.
const LONGEST: usize = 1024;

/// `key` as gocryptfs prints it: eight groups of eight digits.
pub fn show_master_key(key: &MasterKey) -> Zeroizing<String> {
    let mut digits = Zeroizing::new([0; DIGITS]);
    HEXLOWER_PERMISSIVE.encode_mut(&**key, &mut *digits);
    let mut text = Zeroizing::new(String::with_capacity(DIGITS + DIGITS / GROUP));
    for (index, digit) in digits.iter().enumerate() {
        if index > 0 && index % GROUP == 0 {
            text.push('-');
        }
        text.push(char::from(*digit));
    }
    text
}

/// The key that `text` says.
pub fn parse_master_key(text: &[u8]) -> Option<MasterKey> {
    let mut digits = Secret::new([0; DIGITS]);
    let mut len = 0;
    for byte in text.iter().filter(|byte| **byte != b'-' && !byte.is_ascii_whitespace()) {
        *digits.get_mut(len)? = *byte;
        len += 1;
    }
    let mut key = MasterKey::new([0; DIGITS / 2]);
    let decoded = HEXLOWER_PERMISSIVE.decode_mut(&digits[..len], (len == DIGITS).then_some(&mut *key)?);
    decoded.is_ok().then_some(key)
}

/// The key in `file`.
pub(super) fn read(file: &(impl AsFd + ?Sized), from: &From) -> Result<MasterKey, SecretError> {
    let failed =
        |error: rustix::io::Errno| SecretError::Read { what: "master key", from: from.clone(), source: error.into() };
    let mut text = Secret::new([0; LONGEST]);
    let mut len = 0;
    while len < LONGEST {
        match retry_on_intr(|| read_some(file.as_fd(), &mut text[len..])).map_err(failed)? {
            0 => break,
            more => len += more,
        }
    }
    parse_master_key(&text[..len]).ok_or_else(|| SecretError::NotAMasterKey(from.clone()))
}
