//! Entries of a ring that no kernel fills so: any header, any data, and lengths that fit together or do not.

#![no_main]

use arbitrary::Arbitrary;
use fusebridge::fs::FuzzedEntry;
use libfuzzer_sys::fuzz_target;

/// What the lengths in the header say: anything, or how long the parts are, so that what follows is reached as well.
#[derive(Arbitrary, Debug)]
enum Lengths {
    Any,
    Right { operation: u8 },
}

#[derive(Arbitrary, Debug)]
struct Input {
    lengths: Lengths,
    /// A request's header, room for what stands before names and data, and what the ring says.
    header: [u8; 288],
    payload: Vec<u8>,
    room: u16,
    answer: Vec<u8>,
    /// The answer is so many of these: it may be longer than there is room for.
    times: u8,
}

/// Bytes of a request's header, and where the ring says how long the payload is.
const HEADER: usize = 40;
const PAYLOAD: std::ops::Range<usize> = 272..276;

thread_local! {
    static ENTRY: FuzzedEntry = FuzzedEntry::new().expect("memory for three entries");
}

fuzz_target!(|input: Input| {
    let Input { lengths, mut header, payload, room, answer, times } = input;
    if let Lengths::Right { operation } = lengths {
        let operation = usize::from(operation).min(128);
        let length = u32::try_from(HEADER + operation + payload.len()).expect("inputs are small");
        header[..4].copy_from_slice(&length.to_ne_bytes());
        header[PAYLOAD].copy_from_slice(&u32::try_from(payload.len()).expect("inputs are small").to_ne_bytes());
    }
    let room = HEADER + usize::from(room);
    ENTRY.with(|entry| entry.is_request(&header, &payload, room, &answer.repeat(times.into())));
});
