//! Reading the file of vectors, and what is checked of every encoding in it.

use std::fmt;

use lisafs::wire::{MessageId, Wire};
use serde_json::Value;

const FILE: &str = include_str!("../data/wire-vectors.json");

/// One vector.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: String,
    pub(crate) message: String,
    pub(crate) mid: Option<MessageId>,
    /// What `bytes` mean.
    pub(crate) fields: Value,
    pub(crate) bytes: Vec<u8>,
    pub(crate) note: String,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.message, self.kind, self.note)
    }
}

/// All vectors, in the order of the file.
pub(crate) fn entries() -> Vec<Entry> {
    let file: Value = serde_json::from_str(FILE).unwrap();
    file.as_array().unwrap().iter().map(Entry::new).collect()
}

impl Entry {
    fn new(json: &Value) -> Self {
        for key in json.as_object().unwrap().keys() {
            let known = ["kind", "message", "mid", "struct", "size", "fields", "hex", "note"];
            assert!(known.contains(&key.as_str()), "the key {key} is not checked: {json}");
        }
        let entry = Entry {
            kind: json["kind"].as_str().unwrap().to_owned(),
            message: json["message"].as_str().unwrap().to_owned(),
            mid: json.get("mid").map(|mid| MessageId(mid.as_u64().unwrap().try_into().unwrap())),
            fields: json["fields"].clone(),
            bytes: from_hex(json["hex"].as_str().unwrap()),
            note: json.get("note").map_or("", |note| note.as_str().unwrap()).to_owned(),
        };
        if let Some(size) = json.get("size") {
            assert_eq!(size, entry.bytes.len(), "{entry}");
        }
        entry
    }

    /// The unsigned number `field`.
    pub(crate) fn number(&self, field: &str) -> u64 {
        self.fields[field].as_u64().unwrap_or_else(|| panic!("{self} has no number {field}"))
    }

    /// The text `field`.
    pub(crate) fn text(&self, field: &str) -> &str {
        self.fields[field].as_str().unwrap_or_else(|| panic!("{self} has no text {field}"))
    }

    /// Whether the peer may leave anything in the padding, so that encoding gives other bytes.
    fn is_decode_only(&self) -> bool {
        self.note.starts_with("decode only")
    }

    /// Checks that the bytes are a `T`, whose fields are those of the entry, and nothing else.
    pub(crate) fn check<'a, T>(&'a self, describe: impl Fn(&T) -> Value)
    where
        T: Wire<'a> + PartialEq + fmt::Debug,
    {
        let decoded = T::from_bytes(&self.bytes).unwrap_or_else(|error| panic!("{self}: {error}"));
        assert_eq!(describe(&decoded), self.fields, "{self}");

        let mut encoded = Vec::new();
        decoded.encode(&mut encoded).unwrap();
        if self.is_decode_only() {
            assert_eq!(encoded.len(), self.bytes.len(), "{self}");
        } else {
            assert_eq!(to_hex(&encoded), to_hex(&self.bytes), "{self}");
        }

        for len in 0..self.bytes.len() {
            assert!(T::from_bytes(&self.bytes[..len]).is_err(), "{self}: the first {len} bytes are accepted");
        }
    }

    /// Checks that bytes behind a `T` are ignored. They are borrowed, so that the caller must keep them.
    pub(crate) fn check_trailing<'a, T>(&self, with_trailing: &'a [u8], describe: impl Fn(&T) -> Value)
    where
        T: Wire<'a>,
    {
        let decoded = T::from_bytes(with_trailing).unwrap_or_else(|error| panic!("{self}: {error}"));
        assert_eq!(describe(&decoded), self.fields, "{self}: bytes behind the end matter");
    }

    /// The bytes with more behind them, none of which is zero.
    pub(crate) fn with_trailing(&self) -> Vec<u8> {
        [&self.bytes[..], &[0xa5; 300]].concat()
    }
}

/// The bytes that pairs of hexadecimal digits stand for.
pub(crate) fn from_hex(digits: &str) -> Vec<u8> {
    assert!(digits.len().is_multiple_of(2) && digits.is_ascii(), "{digits}");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// The opposite of [`from_hex`].
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
