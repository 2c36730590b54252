//! Extended attributes.

use super::{Damaged, Keys, MAX_NAME, NameError};

/// What encrypted names begin with.
const PREFIX: &[u8] = b"user.gocryptfs.";

/// Takes the place of a directory's initialization vector.
const IV: &[u8; 16] = b"xattr_name_iv_xx";

/// What an attribute of the file on disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XattrError {
    /// It belongs to somebody else.
    #[error("not an attribute of the volume")]
    Foreign,
    /// It cannot be decrypted.
    #[error("the name of the attribute does not decrypt")]
    Damaged,
}

impl Keys {
    /// The name under which the attribute `name` is stored.
    pub fn store_attribute(&self, name: &[u8]) -> Result<Vec<u8>, NameError> {
        let encrypted = self.names.encrypt(name, IV)?;
        let stored = [PREFIX, &encrypted].concat();
        if stored.len() > MAX_NAME { Err(NameError::TooLong) } else { Ok(stored) }
    }

    /// The name of the attribute that is stored under the name `stored`.
    pub fn load_attribute(&self, stored: &[u8]) -> Result<Vec<u8>, XattrError> {
        let encrypted = stored.strip_prefix(PREFIX).ok_or(XattrError::Foreign)?;
        let name = self.names.decrypt(encrypted, IV).map_err(|_| XattrError::Damaged)?;
        if name.is_empty() || name.contains(&0) { Err(XattrError::Damaged) } else { Ok(name.to_vec()) }
    }

    /// The value of an attribute as it is stored.
    pub fn store_value(&self, value: &[u8]) -> Vec<u8> {
        self.content.seal_value(value)
    }

    /// The value that is stored as `stored`.
    pub fn load_value(&self, stored: Vec<u8>) -> Result<Vec<u8>, Damaged> {
        // Old versions of gocryptfs wrote base64.
        let decoded = self.names.base64().decode(&stored);
        match self.content.open_value(stored) {
            Ok(value) => Ok(value),
            Err(Damaged) => self.content.open_value(decoded.map_err(|_| Damaged)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Features;
    use crate::secret::Key;

    #[test]
    fn attributes_and_targets_come_back() {
        let keys = Keys::derive(&Key::new([1; 32]), &Features::default());
        for name in [&b"user.a"[..], &[b'x'; 175]] {
            let stored = keys.store_attribute(name).unwrap();
            assert!(stored.len() <= 255);
            assert_eq!(keys.load_attribute(&stored).as_deref(), Ok(name));
        }
        assert_eq!(keys.store_attribute(&[b'x'; 176]), Err(NameError::TooLong));
        assert_eq!(keys.load_attribute(b"user.mine"), Err(XattrError::Foreign));
        assert_eq!(keys.load_attribute(b"user.gocryptfs.AAAA"), Err(XattrError::Damaged));
        for value in [&b""[..], b"value"] {
            assert_eq!(keys.load_value(keys.store_value(value)).as_deref(), Ok(value));
        }
        let old = keys.names.base64().encode(&keys.store_value(b"old")).into_bytes();
        assert_eq!(keys.load_value(old).as_deref(), Ok(&b"old"[..]));
        assert_eq!(keys.load_value(b"else".to_vec()), Err(Damaged));
        for len in [1, 2, 3, 100, 3039] {
            let target = vec![b't'; len];
            let stored = keys.store_target(&target).unwrap();
            assert_eq!(keys.target_size(stored.len() as u64), len as u64);
            assert_eq!(keys.load_target(stored), Ok(target));
        }
        assert_eq!(keys.store_target(&[b't'; 3040]), None);
    }
}
