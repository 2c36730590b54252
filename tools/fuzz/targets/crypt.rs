//! Encrypted volumes in which strangers have written: configurations, names, headers, blocks, links and attributes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gofer_crypt::fuzzing::one(bytes));
