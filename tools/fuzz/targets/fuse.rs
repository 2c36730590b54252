//! Requests that no kernel sends.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = fusebridge::fs::is_request(bytes);
});
