//! The first request of a mount, in which both sides say what they can do.

use std::io;

use zerocopy::IntoBytes;

use super::end::{Backing, End};
use crate::fs::fuse::abi::{InitIn, InitOut, LEAST_PAYLOAD, MAJOR, MINOR, OLDEST_MINOR, capability};
use crate::fs::fuse::handler::{Handler, MAX_BACKGROUND, MAX_WRITE};
use crate::fs::fuse::request::{Operation, Request};

/// Room for any request: its data and what stands before it.
pub(in super::super) const BUFFER: usize = MAX_WRITE as usize + 4096;

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Agreed {
    /// Requests come over rings, whose entries must have room for so many bytes of data.
    pub(in super::super) ring_payload: Option<usize>,
}

/// Answers INIT. If the kernel offers to send requests over rings, that is accepted if it is wanted.
pub(in super::super) fn handshake(end: &End, handler: &Handler<Backing>, wants_ring: bool) -> io::Result<Agreed> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let len = end.receive(&mut buffer)?;
        let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "unmounted before it was mounted"))?;
        let request = Request::decode(&buffer[..len]).map_err(io::Error::other)?;
        let unique = request.header.unique;
        let Operation::Init(init, flags2) = request.operation else {
            end.refuse(unique, lisafs::Errno::IO);
            return Err(io::Error::other("the kernel's first request is not INIT"));
        };
        match answer(&init, flags2, handler, wants_ring) {
            Answer::Agreed(answer) => {
                end.answer(unique, answer.as_bytes());
                return Ok(Agreed { ring_payload: ring_payload(&answer) });
            }
            // It comes again with a number that both know.
            Answer::TryAgain(answer) => {
                end.answer(unique, answer.as_bytes());
            }
            Answer::TooOld => {
                end.refuse(unique, lisafs::Errno::from_raw_os_error(libc::EPROTO));
                let version = format!("FUSE {}.{}", init.major, init.minor);
                return Err(io::Error::new(io::ErrorKind::Unsupported, format!("this kernel's {version} is too old")));
            }
        }
    }
}

enum Answer {
    Agreed(InitOut),
    TryAgain(InitOut),
    TooOld,
}

/// How much data an entry of a ring must have room for after `answer`, if there are rings.
fn ring_payload(answer: &InitOut) -> Option<usize> {
    let has_rings = u64::from(answer.flags2) << 32 & capability::OVER_IO_URING != 0;
    let pages = usize::from(answer.max_pages) * rustix::param::page_size();
    has_rings.then(|| pages.max(answer.max_write as usize).max(LEAST_PAYLOAD))
}

fn answer<B>(init: &InitIn, flags2: u32, handler: &Handler<B>, wants_ring: bool) -> Answer {
    let mut answer = InitOut {
        major: MAJOR,
        minor: MINOR.min(init.minor),
        max_readahead: init.max_readahead,
        flags: 0,
        max_background: MAX_BACKGROUND,
        congestion_threshold: MAX_BACKGROUND / 4 * 3,
        max_write: MAX_WRITE,
        time_granularity: 1,
        max_pages: 0,
        map_alignment: 0,
        flags2: 0,
        max_stack_depth: 0,
        request_timeout: 0,
        unused: [0; 11],
    };
    if init.major > MAJOR {
        return Answer::TryAgain(answer);
    }
    if (init.major, init.minor) < (MAJOR, OLDEST_MINOR) {
        return Answer::TooOld;
    }
    let is_extended = u64::from(init.flags) & capability::INIT_EXT != 0;
    let high = if is_extended { u64::from(flags2) << 32 } else { 0 };
    let offered = u64::from(init.flags) | high;
    let agreed = handler.negotiate(offered);
    let mut flags = agreed.flags | if is_extended { capability::INIT_EXT } else { 0 };
    if wants_ring {
        flags |= offered & capability::OVER_IO_URING;
    }
    (answer.flags, answer.flags2) = halves(flags);
    let page = u32::try_from(rustix::param::page_size()).unwrap_or(4096);
    answer.max_pages = u16::try_from(MAX_WRITE.max(init.max_readahead).div_ceil(page)).unwrap_or(u16::MAX);
    answer.max_stack_depth = agreed.stack_depth;
    Answer::Agreed(answer)
}

/// The low and the high half of a number.
fn halves(number: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}
