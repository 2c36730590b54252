//! The bounded cursor that everything is decoded with, and the sink that everything is encoded into.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The bytes end before the message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message ends too early")]
pub struct Malformed;

/// A message cannot be written: a length field or the space that is left is too small for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message does not fit")]
pub struct DoesNotFit;

/// Takes a message apart from front to back. What is left at the end is ignored, as the protocol wants it.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next value of a fixed layout, at any alignment.
    pub fn plain<T: FromBytes>(&mut self) -> Result<T, Malformed> {
        T::read_from_bytes(self.take(size_of::<T>())?).map_err(|_| Malformed)
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Where encoded bytes go.
pub trait Sink {
    /// Appends all of `bytes`, or nothing of it.
    fn put(&mut self, bytes: &[u8]) -> Result<(), DoesNotFit>;
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), DoesNotFit> {
        self.extend_from_slice(bytes);
        Ok(())
    }
}

/// Counts what it is given and throws it away: the size of a message before it is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Measure(pub usize);

impl Sink for Measure {
    fn put(&mut self, bytes: &[u8]) -> Result<(), DoesNotFit> {
        self.0 = self.0.checked_add(bytes.len()).ok_or(DoesNotFit)?;
        Ok(())
    }
}

/// Something with one representation on the wire: a message, or a part of one.
pub trait Wire<'a>: Sized {
    /// Reads one from the cursor.
    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed>;

    /// Appends its bytes.
    fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit>;

    /// Appends its bytes but for the data at its end, if it has such, which is the answer.
    fn encode_head(&self, to: &mut (impl Sink + ?Sized)) -> Result<&[u8], DoesNotFit> {
        self.encode(to)?;
        Ok(&[])
    }

    /// Reads one from the start of `bytes`, ignoring what follows.
    fn from_bytes(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Self::decode(&mut Reader::new(bytes))
    }
}

/// Makes types of a fixed layout part of messages as they stand in memory.
macro_rules! plain {
    ($($type:ty),* $(,)?) => {
        $(impl<'a> $crate::wire::codec::Wire<'a> for $type {
            fn decode(from: &mut $crate::wire::codec::Reader<'a>) -> Result<Self, $crate::wire::codec::Malformed> {
                from.plain()
            }

            fn encode(
                &self,
                to: &mut (impl $crate::wire::codec::Sink + ?Sized),
            ) -> Result<(), $crate::wire::codec::DoesNotFit> {
                to.put(zerocopy::IntoBytes::as_bytes(self))
            }
        })*
    };
}
pub(crate) use plain;

plain!(u8, u16, u32, i32, u64, i64, super::id::FdId);

/// Bytes that mean nothing: written as zero, ignored when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pad<const N: usize>;

impl<'a, const N: usize> Wire<'a> for Pad<N> {
    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        from.take(N)?;
        Ok(Pad)
    }

    fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit> {
        to.put(&[0; N])
    }
}

/// A string with its length in a u16 before it. The bytes are arbitrary.
impl<'a> Wire<'a> for &'a [u8] {
    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let length: u16 = from.plain()?;
        from.take(length.into())
    }

    fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit> {
        let length = u16::try_from(self.len()).map_err(|_| DoesNotFit)?;
        to.put(&length.to_ne_bytes())?;
        to.put(self)
    }
}

/// The bytes of a fixed-layout slice.
pub(super) fn bytes_of<T: IntoBytes + Immutable>(items: &[T]) -> &[u8] {
    items.as_bytes()
}
