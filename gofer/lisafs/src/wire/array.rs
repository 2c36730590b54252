//! Repeated parts of messages, as views into the bytes they were decoded from.

use std::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::codec::{DoesNotFit, Malformed, Reader, Sink, Wire, bytes_of};
use super::id::FdId;

/// Items of a fixed layout behind a u16 count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array<'a, T> {
    bytes: &'a [u8],
    item: PhantomData<T>,
}

/// FDs behind a u16 count.
pub type FdArray<'a> = Array<'a, FdId>;

impl<'a, T: FromBytes + IntoBytes + Immutable> Array<'a, T> {
    /// A view of `items`; more than 65,535 do not fit.
    pub fn new(items: &'a [T]) -> Result<Self, DoesNotFit> {
        u16::try_from(items.len()).map_err(|_| DoesNotFit)?;
        Ok(Array { bytes: bytes_of(items), item: PhantomData })
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / size_of::<T>()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The items by value.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + use<'a, T> {
        self.bytes.chunks_exact(size_of::<T>()).map(|bytes| match T::read_from_bytes(bytes) {
            Ok(item) => item,
            Err(_) => unreachable!("every chunk has the size of one item"),
        })
    }
}

impl<'a, T: FromBytes + IntoBytes + Immutable> Wire<'a> for Array<'a, T> {
    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count: u16 = from.plain()?;
        let bytes = from.take(usize::from(count) * size_of::<T>())?;
        Ok(Array { bytes, item: PhantomData })
    }

    fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit> {
        let count = u16::try_from(self.len()).map_err(|_| DoesNotFit)?;
        to.put(&count.to_ne_bytes())?;
        to.put(self.bytes)
    }
}

/// Strings behind a u16 count, checked once when decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StringArray<'a> {
    count: u16,
    bytes: &'a [u8],
}

impl<'a> StringArray<'a> {
    /// How many strings there are.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The strings in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut from = Reader::new(self.bytes);
        // Decoding has checked that all of them are there.
        (0..self.count).map_while(move |_| Wire::decode(&mut from).ok())
    }
}

impl<'a> Wire<'a> for StringArray<'a> {
    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count: u16 = from.plain()?;
        let start = from.rest();
        for _ in 0..count {
            <&[u8]>::decode(from)?;
        }
        let length = start.len() - from.rest().len();
        Ok(StringArray { count, bytes: &start[..length] })
    }

    fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit> {
        to.put(&self.count.to_ne_bytes())?;
        to.put(self.bytes)
    }
}

/// Collects strings for a [`StringArray`].
#[derive(Clone, Debug, Default)]
pub struct StringArrayBuf {
    count: u16,
    bytes: Vec<u8>,
}

impl StringArrayBuf {
    /// Appends one string.
    pub fn push(&mut self, string: &[u8]) -> Result<(), DoesNotFit> {
        let count = self.count.checked_add(1).ok_or(DoesNotFit)?;
        string.encode(&mut self.bytes)?;
        self.count = count;
        Ok(())
    }

    /// Appends each string of `strings`.
    pub fn collect<'s>(strings: impl IntoIterator<Item = &'s [u8]>) -> Result<Self, DoesNotFit> {
        let mut buffer = Self::default();
        for string in strings {
            buffer.push(string)?;
        }
        Ok(buffer)
    }

    /// The strings collected so far.
    pub fn as_array(&self) -> StringArray<'_> {
        StringArray { count: self.count, bytes: &self.bytes }
    }
}

/// One entry of a directory listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// Inode number.
    pub ino: u64,
    /// Minor number of the entry's device. It stands before the major one, unlike elsewhere.
    pub dev_minor: u32,
    /// Major number of the entry's device.
    pub dev_major: u32,
    /// Opaque position behind this entry.
    pub off: u64,
    /// One of the `DT_*` values.
    pub kind: u8,
    /// The name; never `.` or `..`.
    pub name: &'a [u8],
}

impl<'a> Dirent<'a> {
    /// Bytes of an entry with an empty name, which no entry can go below.
    pub const MIN_SIZE: usize = 27;

    /// Bytes on the wire.
    pub fn wire_size(&self) -> usize {
        Self::MIN_SIZE + self.name.len()
    }
}

impl<'a> Wire<'a> for Dirent<'a> {
    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Dirent {
            ino: from.plain()?,
            dev_minor: from.plain()?,
            dev_major: from.plain()?,
            off: from.plain()?,
            kind: from.plain()?,
            name: Wire::decode(from)?,
        })
    }

    fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit> {
        self.ino.encode(to)?;
        self.dev_minor.encode(to)?;
        self.dev_major.encode(to)?;
        self.off.encode(to)?;
        self.kind.encode(to)?;
        self.name.encode(to)
    }
}

/// Directory entries behind a u16 count, checked once when decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dirents<'a> {
    count: u16,
    bytes: &'a [u8],
}

impl<'a> Dirents<'a> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.count.into()
    }

    /// Whether there is none, which means the end of the directory.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Dirent<'a>> + use<'a> {
        let mut from = Reader::new(self.bytes);
        (0..self.count).map_while(move |_| Wire::decode(&mut from).ok())
    }
}

impl<'a> Wire<'a> for Dirents<'a> {
    fn decode(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count: u16 = from.plain()?;
        let start = from.rest();
        if start.len() < usize::from(count) * Dirent::MIN_SIZE {
            return Err(Malformed);
        }
        for _ in 0..count {
            Dirent::decode(from)?;
        }
        let length = start.len() - from.rest().len();
        Ok(Dirents { count, bytes: &start[..length] })
    }

    fn encode(&self, to: &mut (impl Sink + ?Sized)) -> Result<(), DoesNotFit> {
        to.put(&self.count.to_ne_bytes())?;
        to.put(self.bytes)
    }
}
