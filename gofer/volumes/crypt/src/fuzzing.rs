//! What strangers can write into an encrypted volume, for the fuzzer and for tests: nothing may panic, and what
//! decrypts must be what would be written.

use std::sync::LazyLock;

use crate::format::{
    BLOCK, Config, ContentCipher, DirIv, Entry, Features, FileId, HEADER_LEN, Info, Keys, NameEncryption,
};
use crate::key_source::{parse_master_key, show_master_key};
use crate::secret::Key;

/// Volumes of all kinds.
static VOLUMES: LazyLock<Vec<Keys>> = LazyLock::new(|| {
    let eme = |per_dir, raw64, long_names| NameEncryption::Eme { per_dir, raw64, long_names };
    let names = [
        eme(true, true, Some(255)),
        eme(true, false, Some(62)),
        eme(false, true, Some(100)),
        eme(true, true, None),
        NameEncryption::Plain,
    ];
    let ciphers = [ContentCipher::AesGcm, ContentCipher::XChaCha20Poly1305];
    let all = names.into_iter().flat_map(|names| ciphers.map(|content| Features { content, names }));
    all.map(|features| Keys::derive(&Key::new([7; 32]), &features)).collect()
});

/// How many kinds of things [`one`] tries, by the second byte.
pub const KINDS: u8 = 9;

/// One try: a byte for the volume, one for the kind, 16 and 8 for an initialization vector and a number, one for the
/// length of the first thing, then the things.
pub fn one(bytes: &[u8]) {
    let Some((&[volume, kind], bytes)) = bytes.split_first_chunk() else { return };
    let Some((iv, bytes)) = bytes.split_first_chunk::<16>() else { return };
    let Some((number, bytes)) = bytes.split_first_chunk() else { return };
    let keys = &VOLUMES[usize::from(volume) % VOLUMES.len()];
    let iv = DirIv::parse(iv).unwrap_or(DirIv::NONE);
    let number = u64::from_le_bytes(*number);
    let (first, second) = match bytes.split_first() {
        Some((len, bytes)) => bytes.split_at(usize::from(*len).min(bytes.len())),
        None => (bytes, bytes),
    };
    match kind % KINDS {
        0 => config(bytes),
        1 => master_key(bytes),
        2 => name(keys, &iv, first, second),
        3 => plain_name(keys, &iv, bytes),
        4 => dir_iv(bytes),
        5 => file(keys, number, bytes),
        6 => changed(keys, number, second, first),
        7 => target(keys, bytes),
        _ => attribute(keys, first, second),
    }
}

fn config(json: &[u8]) {
    let info = Info::parse(json);
    if let Ok(info) = &info {
        assert!(!info.to_string().contains('\x1b'));
    }
    if let Ok(config) = Config::parse(json) {
        assert!(info.is_ok_and(|info| info.unsupported.is_none()));
        assert_eq!(Config::parse(&config.to_json()), Ok(config));
    }
    if let Ok(config) = Config::parse_without_key(json) {
        assert!(Config::parse(&config.to_json()).is_ok());
    }
}

fn master_key(text: &[u8]) {
    if let Some(key) = parse_master_key(text) {
        let again = parse_master_key(show_master_key(&key).as_bytes());
        assert!(again.is_some_and(|again| *again == *key));
    }
}

fn name(keys: &Keys, iv: &DirIv, entry: &[u8], full: &[u8]) {
    let loaded = match keys.names.classify(entry) {
        Entry::Name(name) => keys.names.load(name, iv),
        Entry::Long(entry) => {
            assert!(Entry::name_file(entry).len() <= 255);
            keys.names.load_long(entry, full, iv)
        }
        Entry::LongName(_) | Entry::DirIv => return,
    };
    if let Ok(plain) = loaded {
        assert!(!matches!(plain.as_slice(), b"" | b"." | b".."));
        assert!(!plain.contains(&b'/') && !plain.contains(&0));
    }
}

fn plain_name(keys: &Keys, iv: &DirIv, plain: &[u8]) {
    let Ok(stored) = keys.names.store(plain, iv) else { return };
    assert!(stored.entry().len() <= 255);
    let is_name = !matches!(plain, b"" | b"." | b"..") && !plain.contains(&b'/') && !plain.contains(&0);
    let loaded = match &stored {
        crate::format::Stored::Short(entry) => keys.names.load(entry, iv),
        crate::format::Stored::Long { content, full } => keys.names.load_long(content, full, iv),
    };
    assert_eq!(loaded.is_ok_and(|loaded| loaded.as_slice() == plain), is_name);
}

fn dir_iv(bytes: &[u8]) {
    if let Some(iv) = DirIv::parse(bytes) {
        assert_eq!(iv.as_bytes(), bytes);
    }
}

fn file(keys: &Keys, number: u64, bytes: &[u8]) {
    let layout = keys.content.layout();
    for size in [bytes.len() as u64, number] {
        assert!(layout.plain_size(size) <= size);
    }
    for plain in [bytes.len() as u64, number] {
        if let Some(size) = layout.cipher_size(plain) {
            assert_eq!(layout.plain_size(size), plain);
        }
    }
    let Ok(id) = FileId::parse(bytes) else { return };
    assert_eq!(id.header(), bytes[..HEADER_LEN]);
    let mut blocks = bytes[HEADER_LEN..].to_vec();
    let is_hole = blocks
        .chunks(keys.content.block())
        .all(|block| block.len() == keys.content.block() && block.iter().all(|byte| *byte == 0));
    // Nobody who has not the key can make a block.
    assert_eq!(keys.content.open_blocks(&mut blocks, number % (1 << 40), id).is_ok(), is_hole);
}

/// A block of `plain`, in which a byte is changed: where and to what `change` says.
fn changed(keys: &Keys, number: u64, plain: &[u8], change: &[u8]) {
    let (content, id) = (&keys.content, FileId::random());
    let plain = &plain[..plain.len().min(BLOCK)];
    let &[low, high, to, ..] = change else { return };
    if plain.is_empty() {
        return;
    }
    let mut block = vec![0; content.nonce()];
    block.extend_from_slice(plain);
    block.resize(plain.len() + content.overhead(), 0);
    content.seal_blocks(&mut block, number, id);
    let at = usize::from(u16::from_le_bytes([low, high])) % block.len();
    let is_same = block[at] == to;
    block[at] = to;
    match content.open_block(&mut block, number, id) {
        Ok(opened) => assert!(is_same && opened == plain),
        Err(_) => assert!(!is_same),
    }
}

fn target(keys: &Keys, bytes: &[u8]) {
    assert!(keys.target_size(bytes.len() as u64) <= bytes.len() as u64);
    if let Ok(plain) = keys.load_target(bytes.to_vec()) {
        assert!(keys.has_plain_names() || plain.is_empty());
    }
    if let Some(stored) = keys.store_target(bytes) {
        assert_eq!(keys.load_target(stored).as_deref(), Ok(bytes));
    }
}

fn attribute(keys: &Keys, name: &[u8], value: &[u8]) {
    if let Ok(plain) = keys.load_attribute(name) {
        assert_eq!(keys.store_attribute(&plain).as_deref(), Ok(name));
    }
    if let Ok(stored) = keys.store_attribute(name) {
        let is_name = !name.is_empty() && !name.contains(&0);
        assert_eq!(keys.load_attribute(&stored).is_ok_and(|loaded| loaded == name), is_name);
    }
    assert!(value.is_empty() || keys.load_value(value.to_vec()).is_err());
    assert_eq!(keys.load_value(keys.store_value(value)).as_deref(), Ok(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::NewConfig;
    use crate::secret::Password;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// A try that gets as far as it can: things that are nearly right.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let password = Password::new(b"secret").unwrap();
        let new = NewConfig { scrypt_n: 10, ..NewConfig::default() };
        let json = Config::create(&new, &password).unwrap().0.to_json();
        let names = [&b"gocryptfs.longname."[..], b"user.gocryptfs.", b"gocryptfs.diriv", &[0, 2], b""];
        let starts = names.map(<[u8]>::to_vec).into_iter().chain([json]).collect::<Vec<_>>();
        let start = prop::sample::select(starts);
        let parts = (any::<(u8, u8, [u8; 16], u64, u8)>(), start, vec(any::<u8>(), 0..9000), any::<(u16, u8)>());
        parts.prop_map(|((volume, kind, iv, number, len), start, rest, (at, to))| {
            let mut bytes = vec![volume, kind];
            bytes.extend_from_slice(&iv);
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.push(len);
            let first = bytes.len();
            bytes.extend_from_slice(&start);
            // Half of them are long.
            bytes.extend_from_slice(&rest[..if to % 2 == 0 { rest.len() } else { rest.len() / 64 }]);
            let at = first + usize::from(at) % (bytes.len() - first + 1);
            if let Some(byte) = bytes.get_mut(at).filter(|_| to % 4 < 2) {
                *byte = to;
            }
            bytes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        #[test]
        fn no_bytes_are_too_strange(bytes in input()) {
            one(&bytes);
        }
    }

    #[test]
    fn each_kind_is_tried() {
        for kind in 0..KINDS {
            for volume in 0..10 {
                let mut bytes = vec![volume, kind];
                bytes.resize(2 + 16 + 8, 9);
                bytes.push(5);
                bytes.resize(100, b'a');
                one(&bytes);
            }
        }
        one(b"");
    }
}
