//! Volumes for tests.
#![allow(dead_code, reason = "not every test needs all of it")]

pub(crate) mod change;
pub(crate) mod stored;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use gofer::extension::Claim;
use gofer::hostfs::{HostFs, HostOptions, SpecialFiles};
use gofer_crypt::CryptFs;
use gofer_crypt::format::{CONFIG, Config, ContentCipher, DIR_IV, DirIv, Features, NameEncryption, NewConfig};
use gofer_crypt::secret::Password;
use tempfile::TempDir;

pub(crate) const SECRET: &str = "secret";

/// Names that are encrypted, with or without a vector for each directory.
pub(crate) const fn eme(per_dir: bool, long_names: u8) -> NameEncryption {
    NameEncryption::Eme { per_dir, raw64: true, long_names: Some(long_names) }
}

pub(crate) const DEFAULT: Features = Features { content: ContentCipher::AesGcm, names: eme(true, 255) };
pub(crate) const XCHACHA: Features = Features { content: ContentCipher::XChaCha20Poly1305, names: eme(true, 62) };
pub(crate) const DETERMINISTIC: Features = Features { content: ContentCipher::AesGcm, names: eme(false, 62) };
pub(crate) const PLAIN: Features = Features { content: ContentCipher::XChaCha20Poly1305, names: NameEncryption::Plain };

pub(crate) fn password() -> Password {
    Password::new(SECRET.as_bytes()).unwrap()
}

/// A configuration whose password costs next to nothing.
pub(crate) fn config(features: Features) -> Vec<u8> {
    Config::create(&NewConfig { features, scrypt_n: 10 }, &password()).unwrap().0.to_json()
}

/// A new volume in a directory of the host.
pub(crate) fn volume(features: Features) -> TempDir {
    let directory = TempDir::new().unwrap();
    make(directory.path(), features);
    directory
}

/// Makes a new volume in `directory`.
pub(crate) fn make(directory: &Path, features: Features) {
    fs::write(directory.join(CONFIG), config(features)).unwrap();
    if matches!(features.names, NameEncryption::Eme { per_dir: true, .. }) {
        let iv = DirIv::random();
        fs::write(directory.join(std::str::from_utf8(DIR_IV).unwrap()), iv.as_bytes()).unwrap();
    }
}

/// The host's files below `directory`.
pub(crate) fn host(directory: &Path) -> Claim {
    let options = HostOptions::default().special(SpecialFiles::Create);
    Claim::new(Arc::new(HostFs::open(directory, options).unwrap()))
}

/// The plain files of the volume in `directory`.
pub(crate) fn open(directory: &Path) -> CryptFs {
    CryptFs::open(host(directory), CONFIG, &password()).unwrap()
}
