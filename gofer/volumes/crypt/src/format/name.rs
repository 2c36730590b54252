//! Names of files.

use aes::Aes256;
use arrayvec::ArrayVec;
use data_encoding::{BASE64URL, BASE64URL_NOPAD, Encoding};
use eme_mode::DynamicEme;
use eme_mode::cipher::InnerIvInit;
use eme_mode::cipher::block_padding::Pkcs7;
use sha2::{Digest, Sha256};

use super::stored::{LONG, LONG_NAME, MAX_ENCODED, MAX_NAME};
use super::{DirIv, Entry, NameEncryption, Stored};
use crate::secret::{Secret, USING_KEYS, without_traces};

/// The longest name after padding.
const MAX_PADDED: usize = 256;

/// Why there is no such name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no place in the format.
    #[error("the name is too long")]
    TooLong,
    /// The encrypted name is not what this volume makes.
    #[error("the name does not decrypt")]
    Damaged,
}

/// The key for names, and how they are encrypted.
#[derive(Debug)]
pub struct Names {
    key: Secret<Aes256>,
    encryption: NameEncryption,
}

impl Names {
    pub(super) fn new(key: Secret<Aes256>, encryption: NameEncryption) -> Self {
        Names { key, encryption }
    }

    /// How names are encrypted.
    pub fn encryption(&self) -> NameEncryption {
        self.encryption
    }

    /// Whether directories have initialization vectors of their own.
    pub fn have_dir_ivs(&self) -> bool {
        matches!(self.encryption, NameEncryption::Eme { per_dir: true, .. })
    }

    /// What the file `name` is called in a directory with `iv`.
    pub fn store(&self, name: &[u8], iv: &DirIv) -> Result<Stored, NameError> {
        if name.len() > MAX_NAME {
            return Err(NameError::TooLong);
        }
        let NameEncryption::Eme { long_names, .. } = self.encryption else {
            return name.try_into().map(Stored::Short).map_err(|_| NameError::TooLong);
        };
        let full = self.encrypt(name, &iv.0)?;
        match long_names {
            Some(max) if full.len() > usize::from(max) => Ok(Stored::Long { content: self.hash(&full), full }),
            _ => full.as_slice().try_into().map(Stored::Short).map_err(|_| NameError::TooLong),
        }
    }

    /// What an entry of a directory is, by its name alone.
    pub fn classify<'a>(&self, entry: &'a [u8]) -> Entry<'a> {
        match self.encryption {
            NameEncryption::Plain => Entry::Name(entry),
            NameEncryption::Eme { per_dir, long_names, .. } => Entry::classify(entry, per_dir, long_names.is_some()),
        }
    }

    /// The plain name of `entry`, a name as it is in a directory with `iv`, or in a file for a long one.
    pub fn load(&self, entry: &[u8], iv: &DirIv) -> Result<ArrayVec<u8, MAX_NAME>, NameError> {
        let name: ArrayVec<u8, MAX_NAME> = match self.encryption {
            NameEncryption::Plain => entry.try_into().map_err(|_| NameError::TooLong)?,
            NameEncryption::Eme { .. } => {
                let name = self.decrypt(entry, &iv.0)?;
                name.as_slice().try_into().map_err(|_| NameError::Damaged)?
            }
        };
        let is_name =
            !matches!(name.as_slice(), b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
        if is_name { Ok(name) } else { Err(NameError::Damaged) }
    }

    /// The plain name of the long name `entry`, in whose file is `full`.
    pub fn load_long(&self, entry: &[u8], full: &[u8], iv: &DirIv) -> Result<ArrayVec<u8, MAX_NAME>, NameError> {
        if full.len() > MAX_ENCODED || *self.hash(full) != *entry {
            return Err(NameError::Damaged);
        }
        self.load(full, iv)
    }

    /// What an encrypted name that is too long is called instead.
    fn hash(&self, full: &[u8]) -> ArrayVec<u8, LONG_NAME> {
        let hash = Sha256::digest(full);
        let mut name: ArrayVec<u8, LONG_NAME> = LONG.iter().copied().collect();
        let start = name.len();
        name.extend(std::iter::repeat_n(0, self.base64().encode_len(hash.len())));
        self.base64().encode_mut(&hash, &mut name[start..]);
        name
    }

    pub(super) fn base64(&self) -> Encoding {
        match self.encryption {
            NameEncryption::Eme { raw64: false, .. } => BASE64URL,
            NameEncryption::Eme { raw64: true, .. } => BASE64URL_NOPAD,
            // gocryptfs leaves the flag out, and so has padding here.
            NameEncryption::Plain => BASE64URL,
        }
    }

    /// Encrypts a name that is not too long.
    pub(super) fn encrypt(&self, name: &[u8], iv: &[u8; 16]) -> Result<ArrayVec<u8, MAX_ENCODED>, NameError> {
        let mut padded = [0; MAX_PADDED];
        padded.get_mut(..name.len()).ok_or(NameError::TooLong)?.copy_from_slice(name);
        let encrypted = without_traces::<USING_KEYS, _>(|| {
            let mut eme = DynamicEme::inner_iv_init(&*self.key, iv.into());
            eme.encrypt_padded_mut::<Pkcs7>(&mut padded, name.len()).map_err(|_| NameError::TooLong)
        })?;
        let mut encoded = ArrayVec::from([0; MAX_ENCODED]);
        let len = self.base64().encode_len(encrypted.len());
        self.base64().encode_mut(encrypted, &mut encoded[..len]);
        encoded.truncate(len);
        Ok(encoded)
    }

    /// Decrypts what [`encrypt`](Self::encrypt) made.
    pub(super) fn decrypt(&self, encoded: &[u8], iv: &[u8; 16]) -> Result<ArrayVec<u8, MAX_PADDED>, NameError> {
        let mut bytes = [0; MAX_ENCODED];
        let len = self.base64().decode_len(encoded.len()).map_err(|_| NameError::Damaged)?;
        let room = bytes.get_mut(..len).ok_or(NameError::Damaged)?;
        let len = self.base64().decode_mut(encoded, room).map_err(|_| NameError::Damaged)?;
        if len == 0 || len % 16 != 0 || len > MAX_PADDED {
            return Err(NameError::Damaged);
        }
        let name = without_traces::<USING_KEYS, _>(|| {
            let eme = DynamicEme::inner_iv_init(&*self.key, iv.into());
            eme.decrypt_padded_mut::<Pkcs7>(&mut bytes[..len]).map_err(|_| NameError::Damaged)
        })?;
        name.try_into().map_err(|_| NameError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use aes::cipher::KeyInit;

    use super::*;

    fn names(encryption: NameEncryption) -> Names {
        Names::new(Secret::new(Aes256::new(&[5; 32].into())), encryption)
    }

    const EME: NameEncryption = NameEncryption::Eme { per_dir: true, raw64: true, long_names: Some(255) };

    #[test]
    fn names_of_all_lengths_come_back() {
        let iv = DirIv([1; 16]);
        for encryption in [EME, NameEncryption::Eme { per_dir: true, raw64: false, long_names: Some(62) }] {
            let names = names(encryption);
            for len in 1..=MAX_NAME {
                let name = vec![0xff; len];
                let stored = names.store(&name, &iv).unwrap();
                let loaded = match &stored {
                    Stored::Short(entry) => names.load(entry, &iv),
                    Stored::Long { content, full } => names.load_long(content, full, &iv),
                };
                assert_eq!(loaded.unwrap().as_slice(), name);
                assert!(stored.entry().len() <= MAX_NAME);
            }
            assert_eq!(names.store(&[b'x'; 256], &iv).unwrap_err(), NameError::TooLong);
        }
        assert!(matches!(names(EME).store(&[b'x'; 175], &iv), Ok(Stored::Short(_))));
        assert!(matches!(names(EME).store(&[b'x'; 176], &iv), Ok(Stored::Long { .. })));
    }

    #[test]
    fn without_long_names_there_is_a_limit() {
        let names = names(NameEncryption::Eme { per_dir: true, raw64: true, long_names: None });
        assert!(names.store(&[b'x'; 175], &DirIv::NONE).is_ok());
        assert_eq!(names.store(&[b'x'; 176], &DirIv::NONE).unwrap_err(), NameError::TooLong);
    }

    #[test]
    fn only_what_was_made_here_decrypts() {
        let (names, iv) = (names(EME), DirIv([1; 16]));
        let Ok(Stored::Short(entry)) = names.store(b"name", &iv) else { panic!("a short name") };
        assert_eq!(names.load(&entry, &iv).unwrap().as_slice(), b"name");
        assert_eq!(names.load(&entry, &DirIv([2; 16])), Err(NameError::Damaged));
        for bad in [&b""[..], b"gocryptfs.conf", b"\n", b"AAAA", &entry[1..], &[&entry[..], b"\n"].concat()] {
            assert_eq!(names.load(bad, &iv), Err(NameError::Damaged), "{bad:?}");
        }
        let other = names.store(&[b'x'; 200], &iv).unwrap();
        let Stored::Long { content, full } = &other else { panic!("a long name") };
        assert_eq!(names.load_long(content, &entry, &iv), Err(NameError::Damaged));
        assert_eq!(names.load_long(b"gocryptfs.longname.x", full, &iv), Err(NameError::Damaged));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let (names, iv) = (names(EME), DirIv([1; 16]));
        for bad in [&b"."[..], b"..", b"a/b", b"a\0b"] {
            let entry = names.encrypt(bad, &iv.0).unwrap();
            assert_eq!(names.load(&entry, &iv), Err(NameError::Damaged), "{bad:?}");
        }
    }

    #[test]
    fn plain_names_stay_as_they_are() {
        let names = names(NameEncryption::Plain);
        assert_eq!(names.store(b"name", &DirIv::NONE).unwrap().entry(), b"name");
        assert_eq!(names.load(b"name", &DirIv::NONE).unwrap().as_slice(), b"name");
        assert_eq!(names.classify(b"gocryptfs.diriv"), Entry::Name(b"gocryptfs.diriv"));
    }
}
