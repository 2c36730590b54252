//! Blocks of content.

use aes_gcm::aead::consts::U16;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInOut, AesGcm, KeyInit};
use chacha20::{R20, hchacha};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

use super::{BLOCK, ContentCipher, FileId, Layout, random};
use crate::secret::{Key, Secret, USING_KEYS, without_traces};

/// Bytes that show that the others are right.
const TAG: usize = 16;

/// Blocks for which random bytes are asked of the kernel at once.
const GROUP: usize = 32;

/// A block that is not what was written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged: the data is not what was written there")]
pub struct Damaged;

/// The key for content.
#[derive(Debug)]
pub struct Content {
    cipher: Cipher,
    layout: Layout,
}

pub(super) type Gcm = AesGcm<Aes256, U16>;

#[derive(Debug)]
enum Cipher {
    Gcm(Secret<Gcm>),
    XChaCha(Key),
}

impl Content {
    pub(super) fn new(which: ContentCipher, key: &[u8; 32]) -> Self {
        let cipher = match which {
            ContentCipher::AesGcm => Cipher::Gcm(Secret::new(Gcm::new(key.into()))),
            ContentCipher::XChaCha20Poly1305 => Cipher::XChaCha(Key::new(*key)),
        };
        let layout = Layout::new(cipher.nonce() + TAG);
        Content { cipher, layout }
    }

    /// Where blocks are.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Bytes of a whole block.
    pub fn block(&self) -> usize {
        BLOCK + self.overhead()
    }

    /// By how much a block is longer than what is in it.
    pub fn overhead(&self) -> usize {
        self.cipher.nonce() + TAG
    }

    /// Where the plain bytes are in a block that was opened or will be sealed.
    pub fn nonce(&self) -> usize {
        self.cipher.nonce()
    }

    /// Encrypts blocks in place: whole ones but perhaps for the last, each with its plain bytes after
    /// [`nonce`](Self::nonce) others. `first` is the number of the first.
    pub fn seal_blocks(&self, blocks: &mut [u8], first: u64, id: FileId) {
        let mut nonces = [0; 24 * GROUP];
        let size = self.block();
        let nonce = self.nonce();
        for (group, first) in blocks.chunks_mut(size * GROUP).zip((first..).step_by(GROUP)) {
            let nonces = &mut nonces[..group.chunks(size).count() * nonce];
            random::fill(nonces);
            without_traces::<USING_KEYS, _>(|| {
                for ((block, fresh), number) in group.chunks_mut(size).zip(nonces.chunks(nonce)).zip(first..) {
                    block[..nonce].copy_from_slice(fresh);
                    self.cipher.seal(block, &associated(number, Some(id)));
                }
            });
        }
    }

    /// Decrypts blocks in place, as they were made by [`seal_blocks`](Self::seal_blocks). The first that is damaged is
    /// the error; nothing may be used then.
    pub fn open_blocks(&self, blocks: &mut [u8], first: u64, id: FileId) -> Result<(), u64> {
        without_traces::<USING_KEYS, _>(|| {
            for (block, number) in blocks.chunks_mut(self.block()).zip(first..) {
                self.open_one(block, number, id).map_err(|Damaged| number)?;
            }
            Ok(())
        })
    }

    /// Decrypts one block in place and answers its plain bytes.
    pub fn open_block<'a>(&self, block: &'a mut [u8], number: u64, id: FileId) -> Result<&'a [u8], Damaged> {
        without_traces::<USING_KEYS, _>(|| self.open_one(block, number, id))
    }

    fn open_one<'a>(&self, block: &'a mut [u8], number: u64, id: FileId) -> Result<&'a [u8], Damaged> {
        // Nobody wrote there: a hole.
        if block.len() == self.block() && block.iter().all(|byte| *byte == 0) {
            return Ok(&block[self.nonce()..self.nonce() + BLOCK]);
        }
        self.cipher.open(block, &associated(number, Some(id)))
    }

    /// Encrypts what belongs to no file: targets of links and values of attributes. Nothing stays nothing.
    pub fn seal_value(&self, plain: &[u8]) -> Vec<u8> {
        if plain.is_empty() {
            return Vec::new();
        }
        let nonce = self.nonce();
        let mut sealed = vec![0; plain.len() + self.overhead()];
        random::fill(&mut sealed[..nonce]);
        sealed[nonce..nonce + plain.len()].copy_from_slice(plain);
        without_traces::<USING_KEYS, _>(|| self.cipher.seal(&mut sealed, &associated(0, None)));
        sealed
    }

    /// Decrypts what [`seal_value`](Self::seal_value) made.
    pub fn open_value(&self, mut sealed: Vec<u8>) -> Result<Vec<u8>, Damaged> {
        if sealed.is_empty() {
            return Ok(sealed);
        }
        // A whole block of zeros is none here.
        let opened = without_traces::<USING_KEYS, _>(|| self.cipher.open(&mut sealed, &associated(0, None)));
        let plain = opened?.to_vec();
        sealed.zeroize();
        Ok(plain)
    }
}

/// What a block is bound to: its number, and the file if it is in one.
#[derive(Debug)]
struct Associated {
    bytes: [u8; 24],
    len: usize,
}

impl Associated {
    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn associated(number: u64, id: Option<FileId>) -> Associated {
    let mut bytes = [0; 24];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    let Some(FileId(id)) = id else { return Associated { bytes, len: 8 } };
    bytes[8..].copy_from_slice(&id);
    Associated { bytes, len: 24 }
}

impl Cipher {
    fn nonce(&self) -> usize {
        match self {
            Cipher::Gcm(_) => 16,
            Cipher::XChaCha(_) => 24,
        }
    }

    /// Encrypts a block with its nonce in it. The last bytes are for the tag.
    fn seal(&self, block: &mut [u8], bound_to: &Associated) {
        let (nonce, rest) = block.split_at_mut(self.nonce());
        let (plain, tag) = rest.split_at_mut(rest.len() - TAG);
        match self {
            Cipher::Gcm(cipher) => tag.copy_from_slice(&seal_gcm(cipher, nonce, bound_to.as_bytes(), plain)),
            Cipher::XChaCha(key) => {
                let (key, nonce) = derive(key, nonce);
                let sealed = key.seal_in_place_separate_tag(nonce, Aad::from(bound_to.as_bytes()), plain);
                tag.copy_from_slice(sealed.expect("a block is not too long").as_ref());
            }
        }
    }

    /// Decrypts a block if it is right.
    fn open<'a>(&self, block: &'a mut [u8], bound_to: &Associated) -> Result<&'a [u8], Damaged> {
        if block.len() <= self.nonce() + TAG {
            return Err(Damaged);
        }
        let (nonce, rest) = block.split_at_mut(self.nonce());
        if nonce.iter().all(|byte| *byte == 0) {
            return Err(Damaged);
        }
        match self {
            Cipher::Gcm(cipher) => open_gcm(cipher, nonce, bound_to.as_bytes(), rest),
            Cipher::XChaCha(key) => {
                let (key, nonce) = derive(key, nonce);
                let plain = key.open_in_place(nonce, Aad::from(bound_to.as_bytes()), rest).map_err(|_| Damaged)?;
                Ok(plain)
            }
        }
    }
}

/// Encrypts `plain` and answers the tag.
pub(super) fn seal_gcm(cipher: &Gcm, nonce: &[u8], bound_to: &[u8], plain: &mut [u8]) -> [u8; TAG] {
    let nonce = nonce.try_into().expect("nonces have 16 bytes");
    cipher.encrypt_inout_detached(nonce, bound_to, plain.into()).expect("a block is not too long").into()
}

/// Decrypts bytes with a tag behind them, if they are right.
pub(super) fn open_gcm<'a>(
    cipher: &Gcm,
    nonce: &[u8],
    bound_to: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a [u8], Damaged> {
    let nonce = nonce.try_into().expect("nonces have 16 bytes");
    let (plain, tag) = sealed.split_at_mut(sealed.len().checked_sub(TAG).ok_or(Damaged)?);
    let tag = (&*tag).try_into().expect("tags have 16 bytes");
    cipher.decrypt_inout_detached(nonce, bound_to, (&mut *plain).into(), tag).map_err(|_| Damaged)?;
    Ok(plain)
}

/// XChaCha20-Poly1305 is ChaCha20-Poly1305 with a key of the first 16 bytes of the nonce.
fn derive(key: &[u8; 32], nonce: &[u8]) -> (LessSafeKey, Nonce) {
    let (first, rest) = nonce.split_first_chunk::<16>().expect("nonces have 24 bytes");
    let mut derived: [u8; 32] = hchacha::<R20>(key.into(), first.into()).into();
    let cipher = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &derived).expect("keys have 32 bytes"));
    derived.zeroize();
    let mut short = [0; 12];
    short[4..].copy_from_slice(rest);
    (cipher, Nonce::assume_unique_for_key(short))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [Content; 2] {
        [ContentCipher::AesGcm, ContentCipher::XChaCha20Poly1305].map(|cipher| Content::new(cipher, &[3; 32]))
    }

    /// Blocks of `len` plain bytes, sealed.
    fn sealed(content: &Content, len: usize, first: u64, id: FileId) -> Vec<u8> {
        let plain: Vec<u8> = (0..251).cycle().take(len).collect();
        let mut blocks = Vec::new();
        for part in plain.chunks(BLOCK) {
            blocks.resize(blocks.len() + content.nonce(), 0);
            blocks.extend_from_slice(part);
            blocks.resize(blocks.len() + TAG, 0);
        }
        content.seal_blocks(&mut blocks, first, id);
        blocks
    }

    #[test]
    fn what_is_sealed_can_be_opened() {
        let id = FileId([9; 16]);
        for content in both() {
            for len in [1, 4095, 4096, 4097, 40 * BLOCK + 5, 100 * BLOCK] {
                let mut blocks = sealed(&content, len, 7, id);
                assert_eq!(content.open_blocks(&mut blocks, 7, id), Ok(()));
                let opened =
                    blocks.chunks(content.block()).flat_map(|block| &block[content.nonce()..block.len() - TAG]);
                assert!(opened.copied().eq((0..251).cycle().take(len)), "{len}");
            }
        }
    }

    #[test]
    fn blocks_are_bound_to_place_and_file_and_every_bit_counts() {
        let id = FileId([9; 16]);
        for content in both() {
            let block = sealed(&content, 100, 7, id);
            let open = |bytes: &[u8], number, id| content.open_block(&mut bytes.to_vec(), number, id).map(<[u8]>::len);
            assert_eq!(open(&block, 7, id), Ok(100));
            assert_eq!(open(&block, 8, id), Err(Damaged));
            assert_eq!(open(&block, 7, FileId([8; 16])), Err(Damaged));
            for len in 0..block.len() {
                assert_eq!(open(&block[..len], 7, id), Err(Damaged), "{len}");
            }
            for bit in 0..block.len() * 8 {
                let mut other = block.clone();
                other[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(open(&other, 7, id), Err(Damaged), "{bit}");
            }
        }
    }

    #[test]
    fn the_first_damaged_block_is_named() {
        let id = FileId([9; 16]);
        for content in both() {
            let mut blocks = sealed(&content, 5 * BLOCK, 10, id);
            blocks[2 * content.block() + 100] ^= 1;
            assert_eq!(content.open_blocks(&mut blocks, 10, id), Err(12));
        }
    }

    #[test]
    fn zeros_are_a_hole_only_as_a_whole_block() {
        let id = FileId([9; 16]);
        for content in both() {
            let mut zeros = vec![0; content.block()];
            assert_eq!(content.open_block(&mut zeros, 3, id).map(<[u8]>::len), Ok(BLOCK));
            assert_eq!(content.open_block(&mut zeros[..100], 3, id), Err(Damaged));
            assert_eq!(content.open_value(vec![0; content.block()]), Err(Damaged));
        }
    }

    #[test]
    fn values_come_back() {
        for content in both() {
            for plain in [&b""[..], b"x", &[7; 5000]] {
                let sealed = content.seal_value(plain);
                assert_eq!(sealed.is_empty(), plain.is_empty());
                assert_eq!(content.open_value(sealed).as_deref(), Ok(plain));
            }
        }
    }
}
