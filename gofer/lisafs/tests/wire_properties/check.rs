//! What is checked of each message and each part of one.

use std::fmt::Debug;

use lisafs::wire::{DoesNotFit, Malformed, Measure, Reader, Sink, Wire};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;

/// Takes up to `room` bytes.
#[derive(Debug)]
pub(crate) struct Bounded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) room: usize,
}

impl Bounded {
    pub(crate) fn new(room: usize) -> Self {
        Bounded { bytes: Vec::new(), room }
    }
}

impl Sink for Bounded {
    fn put(&mut self, bytes: &[u8]) -> Result<(), DoesNotFit> {
        self.room = self.room.checked_sub(bytes.len()).ok_or(DoesNotFit)?;
        self.bytes.put(bytes)
    }
}

/// The bytes of `message`.
pub(crate) fn encoded<'a>(message: &impl Wire<'a>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes).unwrap();
    bytes
}

/// Checks that `message` and its encoding `bytes` belong together, `cut` being anywhere in them.
pub(crate) fn round_trip<'a, M>(message: &M, bytes: &'a [u8], cut: Index) -> Result<(), TestCaseError>
where
    M: Wire<'a> + PartialEq + Debug,
{
    prop_assert_eq!(&M::from_bytes(bytes).unwrap(), message);
    let mut reader = Reader::new(bytes);
    M::decode(&mut reader).unwrap();
    prop_assert!(reader.rest().is_empty(), "{} bytes are left", reader.rest().len());

    let mut measure = Measure::default();
    message.encode(&mut measure).unwrap();
    prop_assert_eq!(measure.0, bytes.len());

    let mut exact = Bounded::new(bytes.len());
    prop_assert_eq!(message.encode(&mut exact), Ok(()));
    prop_assert!(exact.bytes == bytes);

    if !bytes.is_empty() {
        let cut = cut.index(bytes.len());
        prop_assert_eq!(M::from_bytes(&bytes[..cut]), Err(Malformed), "the first {} bytes", cut);

        let mut small = Bounded::new(cut);
        prop_assert_eq!(message.encode(&mut small), Err(DoesNotFit), "into {} bytes", cut);
        prop_assert!(bytes.starts_with(&small.bytes));
    }
    Ok(())
}

/// Checks that decoding any `bytes` does no harm. What comes out borrows, and so is never more than went in.
pub(crate) fn survives<'a, M: Wire<'a> + Debug>(bytes: &'a [u8]) -> Result<(), TestCaseError> {
    if let Ok(message) = M::from_bytes(bytes) {
        let mut measure = Measure::default();
        prop_assert_eq!(message.encode(&mut measure), Ok(()));
        prop_assert!(measure.0 <= bytes.len(), "{} bytes became {:?}", bytes.len(), message);
    }
    Ok(())
}

/// A change to encoded bytes.
#[derive(Clone, Debug)]
pub(crate) struct Damage {
    pub(crate) at: Index,
    with: u8,
    cut: bool,
}

/// Any change.
pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    (any::<Index>(), any::<u8>(), any::<bool>()).prop_map(|(at, with, cut)| Damage { at, with, cut })
}

impl Damage {
    /// `bytes` with one of them changed, and perhaps only the bytes up to it.
    pub(crate) fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if !bytes.is_empty() {
            let at = self.at.index(bytes.len());
            bytes[at] = self.with;
            if self.cut {
                bytes.truncate(at + 1);
            }
        }
        bytes
    }
}

/// Bytes that come from nowhere. Some have small values only, so that counts and lengths in them lead on.
pub(crate) fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..400), vec(0..4u8, 0..400)]
}
