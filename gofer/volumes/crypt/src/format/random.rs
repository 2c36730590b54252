//! Random bytes.

/// Fills `bytes` from the kernel.
///
/// # Panics
///
/// If the kernel has none, as before Linux 3.17: nothing could be encrypted.
pub(crate) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("random bytes from the kernel");
}

/// An array of random bytes.
pub(crate) fn array<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}
