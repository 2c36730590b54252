//! The master key, and the keys that are made of it.

use aes::Aes256;
use aes::cipher::KeyInit;
use hkdf::Hkdf;
use sha2::Sha256;

use super::{Content, ContentCipher, Features, NameEncryption, Names};
use crate::secret::{Key, MAKING_KEYS, Secret, without_traces};

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
        without_traces::<MAKING_KEYS, _>(|| {
            let content = match features.content {
                ContentCipher::AesGcm => GCM,
                ContentCipher::XChaCha20Poly1305 => XCHACHA,
            };
            let content = Content::new(features.content, &expand(&**master, content));
            let names = Secret::new(Aes256::new((&*expand(&**master, EME)).into()));
            Keys { content, names: Names::new(names, features.names) }
        })
    }

    /// Whether they are the same as `other`.
    pub fn are(&self, other: &Keys) -> bool {
        let opens = |value| self.content.open_value(value).is_ok();
        // All keys are made of one, so that of content stands for the other.
        self.names.encryption() == other.names.encryption() && opens(other.content.seal_value(b"a value"))
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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;
    use std::thread;

    use super::*;
    use crate::format::{DirIv, FileId};

    const MASTER: [u8; 32] = [0x5a; 32];

    fn features(content: ContentCipher) -> Features {
        Features { content, ..Features::default() }
    }

    #[test]
    fn keys_are_told_apart() {
        let of = |master, content| Keys::derive(&Key::new([master; 32]), &features(content));
        let keys = of(1, ContentCipher::AesGcm);
        assert!(keys.are(&of(1, ContentCipher::AesGcm)));
        assert!(!keys.are(&of(2, ContentCipher::AesGcm)) && !keys.are(&of(1, ContentCipher::XChaCha20Poly1305)));
        let plain = Features { names: NameEncryption::Plain, ..Features::default() };
        assert!(!keys.are(&Keys::derive(&Key::new([1; 32]), &plain)));
    }

    /// What the calling thread has on its stack, and had.
    fn stack() -> Vec<u8> {
        let local = 0_u8;
        let address = (&raw const local).addr();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let range = maps.lines().find_map(|line| {
            let (start, end) = line.split(' ').next()?.split_once('-')?;
            let number = |text| usize::from_str_radix(text, 16).ok();
            let range = number(start)?..number(end)?;
            range.contains(&address).then_some(range)
        });
        let range = range.unwrap();
        let mut bytes = vec![0; range.len()];
        File::open("/proc/self/mem").unwrap().read_exact_at(&mut bytes, range.start as u64).unwrap();
        bytes
    }

    #[test]
    fn nothing_of_keys_stays_on_the_stack() {
        for (content, purposes) in
            [(ContentCipher::AesGcm, [GCM, EME]), (ContentCipher::XChaCha20Poly1305, [XCHACHA, EME])]
        {
            // Each key, but not so that it could be found where this is; nor on a stack that a thread could get again.
            let inverted = |key: &[u8; 32]| key.iter().map(|byte| !byte).collect::<Vec<_>>();
            let wanted = purposes.map(|purpose| inverted(&expand(&MASTER, purpose)));
            let found = thread::spawn(move || {
                let mut master = Key::new([0; 32]);
                master.fill(MASTER[0]);
                let keys = Keys::derive(&master, &features(content));
                let made = stack();
                let mut blocks = vec![1; 40 * keys.content.block()];
                keys.content.seal_blocks(&mut blocks, 0, FileId([7; 16]));
                let sealed = stack();
                keys.content.open_blocks(&mut blocks, 0, FileId([7; 16])).unwrap();
                let opened = stack();
                let stored = keys.names.store(b"name", &DirIv::NONE).unwrap();
                keys.names.load(stored.entry(), &DirIv::NONE).unwrap();
                let stacks = [made, sealed, opened, stack()];
                wanted.map(|key| {
                    stacks.each_ref().map(|stack| {
                        // Some spread a key out by its halves.
                        let is_in = |half: &[u8]| {
                            stack.windows(16).any(|bytes| bytes.iter().zip(half).all(|(one, other)| *one == !other))
                        };
                        key.chunks(16).any(is_in)
                    })
                })
            });
            assert_eq!(found.join().unwrap(), [[false; 4]; 2], "{content:?}");
        }
    }
}
