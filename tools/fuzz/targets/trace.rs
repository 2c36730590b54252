//! A recording that is none: it is read as far as it goes.

#![no_main]

use std::path::Path;

use fusebridge::trace::{Filter, Reader, Stats, show};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("fuzzed");
    let open = || Reader::new(bytes, path);
    if let Ok(mut reader) = open() {
        while let Ok(Some(record)) = reader.next_record() {
            let _ = (record.end(), record.errno(), record.bytes_moved());
        }
    }
    if let Ok(mut reader) = open() {
        let _ = show(&mut reader, &Filter::default(), u64::MAX, &mut std::io::sink());
    }
    if let Ok(mut reader) = open() {
        let _ = Stats::of(&mut reader, &Filter::default()).map(|stats| stats.to_string());
    }
});
