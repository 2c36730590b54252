//! Copies between private memory and memory that somebody else may change meanwhile.
//!
//! A plain copy is the compiler's to split, repeat or leave out as if nobody else were there. These are made of
//! volatile accesses to the shared side, each byte once; large ones of one instruction that the compiler does not look
//! into, and that is as fast as a plain copy.

/// Bytes from which on one instruction is faster than a loop.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const LARGE: usize = 256;

type Word = u64;
const WORD: usize = size_of::<Word>();

/// Copies `from` to the shared bytes at `to`.
///
/// # Safety
///
/// The bytes at `to` are writable, as many as `from` has, and not those of `from`.
pub(super) unsafe fn to_shared(to: *mut u8, from: &[u8]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if from.len() >= LARGE {
        // SAFETY: as the caller says; the source is a slice.
        return unsafe { copy_string(from.as_ptr(), to, from.len()) };
    }
    let head = to.align_offset(WORD).min(from.len());
    let (head, rest) = from.split_at(head);
    let (words, tail) = rest.as_chunks::<WORD>();
    // SAFETY: each position is within as many bytes as `from` has, and words are aligned: the head ends where one
    // begins.
    unsafe {
        for (index, byte) in head.iter().enumerate() {
            to.add(index).write_volatile(*byte);
        }
        let to = to.add(head.len());
        for (index, word) in words.iter().enumerate() {
            to.cast::<Word>().add(index).write_volatile(Word::from_ne_bytes(*word));
        }
        let to = to.add(words.len() * WORD);
        for (index, byte) in tail.iter().enumerate() {
            to.add(index).write_volatile(*byte);
        }
    }
}

/// Fills `to` from the shared bytes at `from`.
///
/// # Safety
///
/// The bytes at `from` are readable, as many as `to` has, and not those of `to`.
pub(super) unsafe fn from_shared(from: *const u8, to: &mut [u8]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if to.len() >= LARGE {
        // SAFETY: as the caller says; the destination is a slice.
        return unsafe { copy_string(from, to.as_mut_ptr(), to.len()) };
    }
    let head = from.align_offset(WORD).min(to.len());
    let (head, rest) = to.split_at_mut(head);
    let (words, tail) = rest.as_chunks_mut::<WORD>();
    // SAFETY: each position is within as many bytes as `to` has, and words are aligned: the head ends where one begins.
    unsafe {
        for (index, byte) in head.iter_mut().enumerate() {
            *byte = from.add(index).read_volatile();
        }
        let from = from.add(head.len());
        for (index, word) in words.iter_mut().enumerate() {
            *word = from.cast::<Word>().add(index).read_volatile().to_ne_bytes();
        }
        let from = from.add(words.len() * WORD);
        for (index, byte) in tail.iter_mut().enumerate() {
            *byte = from.add(index).read_volatile();
        }
    }
}

/// # Safety
///
/// `len` bytes are readable at `from` and writable at `to`, and they do not overlap.
#[cfg(all(target_arch = "x86_64", not(miri)))]
unsafe fn copy_string(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: it reads and writes these bytes and nothing else, upwards as the calling convention has the direction
    // flag.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") len => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_is_copied_and_nothing_else() {
        const ROOM: usize = 400;
        // All ways in which the ends lie beside words; fewer for Miri, which takes its time.
        const STEP: usize = if cfg!(miri) { 5 } else { 1 };
        let bytes: Vec<u8> = (0..ROOM).map(|index| u8::try_from(index % 251 + 1).unwrap()).collect();
        let lens = [0, 1, 7, 8, 9, 31, 255, 256, 300];
        for (start, len) in (0..9).step_by(STEP).flat_map(|start| lens.map(|len| (start, len))) {
            let part = &bytes[start..start + len];
            let mut shared = vec![0; ROOM];
            // SAFETY: within the vector, which nobody else has.
            unsafe { to_shared(shared.as_mut_ptr().add(start), part) };
            assert!(shared[..start].iter().chain(&shared[start + len..]).all(|byte| *byte == 0));
            assert_eq!(&shared[start..start + len], part);
            for at in (0..9).step_by(STEP) {
                let mut private = vec![0; ROOM];
                // SAFETY: as above.
                unsafe { from_shared(shared.as_ptr().add(start), &mut private[at..at + len]) };
                assert_eq!(&private[at..at + len], part);
                assert!(private[..at].iter().chain(&private[at + len..]).all(|byte| *byte == 0));
            }
        }
    }
}
