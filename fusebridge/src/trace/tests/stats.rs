//! Figures of a trace that is known.

use lisafs::wire::message::FStatReq;
use lisafs::wire::{FdId, MessageId};

use super::super::{Filter, NoAnswer, Reader, Stats};
use super::{ROOT, Session};

#[test]
fn a_known_trace_has_known_figures() {
    let mut session = Session::new();
    for micros in 1..=100 {
        session.stat(ROOT, micros);
    }
    session.refused(&FStatReq { fd: FdId(9) }, libc::EBADF, 101);
    let file = session.walk(ROOT, "file", 3, 0o100_644);
    let open = session.open(file, 4);
    session.read(open, &[0; 100]);
    session.read(open, &[0; 11]);
    session.unanswered(&FStatReq { fd: ROOT }, NoAnswer::TimedOut);
    let trace = session.finished();
    let stats = Stats::of(&mut Reader::open(trace.path()).unwrap(), &Filter::default()).unwrap();
    assert_eq!(stats.count(), 1 + 100 + 1 + 1 + 1 + 2 + 1);
    let times = stats.of_message(MessageId::FSTAT).unwrap();
    assert_eq!((times.count(), times.errors, times.bytes), (102, 2, 0));
    assert_eq!([50, 90, 99, 100].map(|percent| times.percentile(percent).as_micros()), [51, 92, 101, 1000]);
    assert_eq!(times.total().as_micros(), 5050 + 101 + 1000);
    assert_eq!(stats.of_message(MessageId::PREAD).unwrap().bytes, 111);
    assert!(stats.of_message(MessageId::PWRITE).is_none());

    let text = stats.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..4],
        [
            "message  count  errors  bytes    total     mean      p50      p90      p99      max  512 ns .. 1.04 ms",
            "FStat      102       2      -  6.15 ms  60.3 µs  51.0 µs  92.0 µs   101 µs  1.00 ms  ▁▁▁▁▂▄██  ▁",
            "PRead        2       -    111  80.0 µs  40.0 µs  40.0 µs  40.0 µs  40.0 µs  40.0 µs        █",
            "OpenAt       1       -      -  30.0 µs  30.0 µs  30.0 µs  30.0 µs  30.0 µs  30.0 µs       █",
        ],
        "{text}"
    );
    assert!(text.ends_with("\n\n107 messages in 107 ms\ncommunicators: ch2 107\nerrors: EBADF 1\n"), "{text}");
}

#[test]
fn a_filter_chooses_what_is_counted() {
    let mut session = Session::new();
    let file = session.walk(ROOT, "file", 3, 0o100_644);
    session.stat(file, 1);
    session.stat(ROOT, 1);
    let trace = session.finished();
    let filter = Filter { paths: vec![b"/file".to_vec()], ..Filter::default() };
    let stats = Stats::of(&mut Reader::open(trace.path()).unwrap(), &filter).unwrap();
    assert_eq!(stats.count(), 2);
    let none = Filter { errnos: vec![1], ..Filter::default() };
    let stats = Stats::of(&mut Reader::open(trace.path()).unwrap(), &none).unwrap();
    assert_eq!(stats.to_string(), "no messages\n");
}
