//! The memory of the process.

/// Gives free heap back to the kernel. The C library keeps what many small values have used, in an arena for each of
/// several threads. Takes some milliseconds for a hundred MiB; does nothing where there is another C library.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    #[allow(unsafe_code, reason = "a call of the C library")]
    // SAFETY: gives free memory back and touches nothing else.
    unsafe {
        libc::malloc_trim(0)
    };
}
