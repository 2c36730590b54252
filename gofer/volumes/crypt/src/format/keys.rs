//! The master key, and the keys that are made of it.

use aes::Aes256;
use aes::cipher::KeyInit;
use hkdf::Hkdf;
use sha2::Sha256;

use super::{Content, ContentCipher, Features, NameEncryption, Names};
use crate::secret::{Key, Secret};

/// What all other keys are made of. Only as safe as the place where it is kept.
pub type MasterKey = Key;

/// All that is needed to work with a volume.
#[derive(Debug)]
pub struct Keys {
    /// For content, targets of symbolic links and values of extended attributes.
    pub content: Content,
    /// For names of extended attributes, and of files unless those are plain.
    pub names: Names,
}

impl Keys {
    /// Those of a volume with `features`.
    pub fn derive(master: &MasterKey, features: &Features) -> Self {
        let content = match features.content {
            ContentCipher::AesGcm => GCM,
            ContentCipher::XChaCha20Poly1305 => XCHACHA,
        };
        let content = Content::new(features.content, &expand(&**master, content));
        let names = Secret::new(Aes256::new((&*expand(&**master, EME)).into()));
        Keys { content, names: Names::new(names, features.names) }
    }

    /// Whether names of files are plain.
    pub fn has_plain_names(&self) -> bool {
        self.names.encryption() == NameEncryption::Plain
    }
}

pub(super) const GCM: &str = "AES-GCM file content encryption";
const XCHACHA: &str = "XChaCha20-Poly1305 file content encryption";
const EME: &str = "EME filename encryption";

/// A key for one purpose.
pub(super) fn expand(from: &[u8], purpose: &str) -> Key {
    let mut key = Key::new([0; 32]);
    Hkdf::<Sha256>::new(None, from).expand(purpose.as_bytes(), &mut *key).expect("32 bytes are not too many");
    key
}
