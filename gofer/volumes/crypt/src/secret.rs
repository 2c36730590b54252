//! Memory for keys: not swapped where that is allowed, not in core dumps, zeros when it is given back.
#![allow(unsafe_code, reason = "keys are kept in pages of their own")]

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use zeroize::Zeroize;

/// A value in pages of its own.
pub struct Secret<T> {
    value: NonNull<T>,
}

// SAFETY: it owns the value as a box does.
unsafe impl<T: Send> Send for Secret<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Secret<T> {}

impl<T> Secret<T> {
    /// Bytes of whole pages; one at least, since nothing can be mapped otherwise.
    const LENGTH: usize = if size_of::<T>() == 0 { PAGE } else { size_of::<T>().next_multiple_of(PAGE) };

    /// Moves `value` there.
    ///
    /// # Panics
    ///
    /// If there is no memory.
    pub fn new(value: T) -> Self {
        const { assert!(align_of::<T>() <= PAGE) };
        // SAFETY: a new mapping, whose place the kernel chooses.
        let pages = unsafe {
            mmap_anonymous(std::ptr::null_mut(), Self::LENGTH, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        };
        let pages = pages.expect("memory for a key");
        // SAFETY: about the mapping that was just made; its content is not affected.
        if let Err(error) = unsafe { madvise(pages, Self::LENGTH, Advice::LinuxDontDump) } {
            tracing::debug!(%error, "keys may be in core dumps");
        }
        // SAFETY: as above. Not everybody may lock memory.
        if let Err(error) = unsafe { mlock(pages, Self::LENGTH) } {
            tracing::debug!(%error, "keys may be swapped");
        }
        let value_at = NonNull::new(pages.cast::<T>()).expect("a mapping is not at address 0");
        // SAFETY: large enough, aligned to a page, and nobody else's.
        unsafe { value_at.write(value) };
        Secret { value: value_at }
    }
}

/// The smallest page of the machines that Rust knows; larger ones only make the rest of it unused.
const PAGE: usize = 4096;

/// Calls `work`, and then overwrites the `DEPTH` bytes of the stack below, where that has left what it worked on: values
/// go by way of it to pages of their own, and ciphers spread their keys out there.
pub(crate) fn without_traces<const DEPTH: usize, T>(work: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn below<T>(work: impl FnOnce() -> T) -> T {
        work()
    }

    #[inline(never)]
    fn overwrite<const DEPTH: usize>() {
        std::hint::black_box(&mut [0_u8; DEPTH]);
    }

    let done = below(work);
    overwrite::<DEPTH>();
    done
}

/// For [`without_traces`]: more than it takes to make keys of others; threads have many times as much.
pub(crate) const MAKING_KEYS: usize = 64 << 10;

/// For [`without_traces`]: more than it takes to encrypt or decrypt, and little beside the time for one block.
pub(crate) const USING_KEYS: usize = 16 << 10;

impl<T> Deref for Secret<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: valid until `self` is dropped.
        unsafe { self.value.as_ref() }
    }
}

impl<T> DerefMut for Secret<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and borrowed exclusively.
        unsafe { self.value.as_mut() }
    }
}

impl<T> Drop for Secret<T> {
    fn drop(&mut self) {
        // SAFETY: valid, and not used after this.
        unsafe { self.value.drop_in_place() };
        // SAFETY: the whole mapping is ours, and bytes may have any value now.
        let bytes = unsafe { std::slice::from_raw_parts_mut(self.value.as_ptr().cast::<u8>(), Self::LENGTH) };
        bytes.zeroize();
        // SAFETY: made in `new` with this length; nothing refers to it any more.
        let unmapped = unsafe { munmap(self.value.as_ptr().cast(), Self::LENGTH) };
        debug_assert!(unmapped.is_ok());
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A key of 32 bytes.
pub type Key = Secret<[u8; 32]>;

/// The longest password, as gocryptfs has it.
pub const MAX_PASSWORD: usize = 2048;

/// A password for the configuration file, in memory that is zeroed when it goes.
pub struct Password {
    bytes: Secret<[u8; MAX_PASSWORD]>,
    len: usize,
}

impl Password {
    /// A password of nothing yet.
    pub fn empty() -> Self {
        Password { bytes: Secret::new([0; MAX_PASSWORD]), len: 0 }
    }

    /// A password of `bytes`; `None` if there are too many or none.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > MAX_PASSWORD {
            return None;
        }
        let mut password = Self::empty();
        password.bytes[..bytes.len()].copy_from_slice(bytes);
        password.len = bytes.len();
        Some(password)
    }

    /// One more byte; `false` if there is no room for it.
    #[must_use]
    pub fn push(&mut self, byte: u8) -> bool {
        let room = self.bytes.get_mut(self.len);
        let fits = room.is_some();
        if let Some(room) = room {
            *room = byte;
            self.len += 1;
        }
        fits
    }

    /// Its bytes; copies of them are not zeroed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_keys_are_left_out_of_core_dumps() {
        let key = Key::new([7; 32]);
        assert_eq!(*key, [7; 32]);
        let address = key.value.as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        // Neighbours of the same kind, of tests beside this one, are in one mapping with it.
        let holds = |line: &&str| {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let number = |text| usize::from_str_radix(text, 16);
            matches!(range.map(|(from, to)| (number(from), number(to))), Some((Ok(from), Ok(to))) if (from..to).contains(&address))
        };
        let mut lines = maps.lines().skip_while(|line| !holds(line));
        let flags = lines.find(|line| line.starts_with("VmFlags:")).unwrap();
        assert!(flags.split(' ').any(|flag| flag == "dd"), "{flags}");
    }

    #[test]
    fn passwords_have_a_limit() {
        assert!(Password::new(b"").is_none());
        assert!(Password::new(&[b'x'; MAX_PASSWORD + 1]).is_none());
        let mut password = Password::new(&[b'x'; MAX_PASSWORD - 1]).unwrap();
        assert!(password.push(b'y') && !password.push(b'z'));
        assert_eq!(password.as_bytes().last(), Some(&b'y'));
        assert!(!format!("{password:?}").contains('x'));
    }
}
