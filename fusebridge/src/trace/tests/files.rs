//! What is written is what is read, and how much is left of a file that was cut off or damaged.

use std::time::Duration;

use lisafs::wire::message::{FStatReq, OpenAtReq, OpenAtResp, PReadHead, PWriteHead, PWriteReq, PWriteResp};
use lisafs::wire::{FdId, MessageId, Pad, Wire};

use super::super::{Answer, Ending, NoAnswer, Reader, RecorderOptions, TraceError};
use super::{ROOT, Session, bytes};
use lisafs::trace::format::RecordHead;

fn numbers_and_ending(path: &std::path::Path) -> (Vec<MessageId>, Option<Ending>) {
    let mut reader = Reader::open(path).unwrap();
    let mut messages = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        messages.push(record.message);
        assert_eq!(record.number, messages.len() as u64);
    }
    assert!(reader.next_record().unwrap().is_none(), "the end stays the end");
    (messages, reader.ending())
}

#[test]
fn messages_come_back_as_they_were() {
    let mut session = Session::new();
    session.refused(&FStatReq { fd: FdId(7) }, libc::EBADF, 1500);
    session.unanswered(&FStatReq { fd: FdId(8) }, NoAnswer::TimedOut);
    let open = OpenAtReq { fd: ROOT, flags: 2, pad: Pad };
    session.raw(&open, false, &bytes(&OpenAtResp { open_fd: FdId(9) }), 1, 3);
    let trace = session.finished();

    let mut reader = Reader::open(trace.path()).unwrap();
    assert_eq!(reader.facts().get("backend"), Some("mem:"));
    assert!(reader.started().elapsed().unwrap_or_default() < Duration::from_secs(60));
    assert!(!reader.with_data());
    assert_eq!(reader.next_record().unwrap().unwrap().message, MessageId::MOUNT);
    let record = reader.next_record().unwrap().unwrap();
    assert_eq!((record.message, record.communicator), (MessageId::FSTAT, 2));
    assert_eq!((record.start, record.duration), (Duration::from_millis(2), Duration::from_micros(1500)));
    assert_eq!(record.request, bytes(&FStatReq { fd: FdId(7) }));
    assert_eq!((record.outcome, record.errno()), (Answer::Refused(9), Some(9)));
    let record = reader.next_record().unwrap().unwrap();
    assert_eq!(record.outcome, Answer::Unanswered(NoAnswer::TimedOut));
    let record = reader.next_record().unwrap().unwrap();
    assert_eq!(record.request, bytes(&open));
    assert_eq!(record.outcome, Answer::Answered(&bytes(&OpenAtResp { open_fd: FdId(9) })));
    assert_eq!(record.donated, 1);
    assert!(reader.next_record().unwrap().is_none());
    assert_eq!(reader.ending(), Some(Ending::Complete));
}

#[test]
fn file_data_is_recorded_only_when_asked_for() {
    for data in [false, true] {
        let mut session = Session::with(RecorderOptions::default().data(data));
        session.read(FdId(5), &[1; 3000]);
        let write = PWriteReq { offset: 10, fd: FdId(5), data: &[2; 1000] };
        session.answered(&write, &PWriteResp { count: 1000 }, 10);
        let trace = session.finished();
        let mut reader = Reader::open(trace.path()).unwrap();
        assert_eq!(reader.with_data(), data);
        reader.next_record().unwrap();
        let read = reader.next_record().unwrap().unwrap();
        let Answer::Answered(answer) = read.outcome else { panic!("{read:?}") };
        assert_eq!(PReadHead::from_bytes(answer).unwrap().count, 3000);
        assert_eq!(answer.len(), PReadHead::SIZE + if data { 3000 } else { 0 });
        assert_eq!(read.bytes_moved(), 3000);
        let written = reader.next_record().unwrap().unwrap();
        assert_eq!(PWriteHead::from_bytes(written.request).unwrap().count, 1000);
        assert_eq!(written.request.len(), PWriteHead::SIZE + if data { 1000 } else { 0 });
        assert_eq!(written.bytes_moved(), 1000);
    }
}

#[test]
fn a_trace_that_is_cut_off_anywhere_is_read_up_to_there() {
    let mut session = Session::new();
    session.stat(ROOT, 10);
    session.stat(ROOT, 10);
    let trace = session.finished();
    let whole = std::fs::read(trace.path()).unwrap();
    let record = RecordHead::SIZE + 8 + 144;
    let mount = whole.len() - RecordHead::SIZE - 2 * record;
    for length in mount..whole.len() {
        std::fs::write(trace.path(), &whole[..length]).unwrap();
        let (messages, ending) = numbers_and_ending(trace.path());
        assert_eq!(messages.len(), 1 + (length - mount) / record, "of {length} bytes");
        let at_a_record = (length - mount).is_multiple_of(record);
        assert_eq!(ending, Some(if at_a_record { Ending::Unfinished } else { Ending::Truncated }), "{length}");
    }
    std::fs::write(trace.path(), &whole).unwrap();
    let (messages, ending) = numbers_and_ending(trace.path());
    assert_eq!(messages, [MessageId::MOUNT, MessageId::FSTAT, MessageId::FSTAT]);
    assert_eq!((ending, Ending::Complete.warning()), (Some(Ending::Complete), None));
}

#[test]
fn damage_is_told_and_hides_nothing_before_it() {
    let mut session = Session::new();
    session.stat(ROOT, 10);
    let trace = session.finished();
    let whole = std::fs::read(trace.path()).unwrap();
    let at = whole.len() - RecordHead::SIZE - (RecordHead::SIZE + 8 + 144);
    // The length, the outcome, the length of the request.
    for (byte, value) in [(3, 0xff), (0, 1), (6, 9), (26, 0xff)] {
        let mut damaged = whole.clone();
        damaged[at + byte] = value;
        if byte == 0 {
            damaged[at + 1] = 0;
        }
        std::fs::write(trace.path(), &damaged).unwrap();
        let (messages, ending) = numbers_and_ending(trace.path());
        assert_eq!(messages, [MessageId::MOUNT]);
        assert_eq!(ending, Some(Ending::Damaged(at as u64)), "byte {byte}");
    }
}

#[test]
fn other_files_are_no_traces() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    assert!(matches!(Reader::open(&path), Err(TraceError::Io { .. })));
    let whole = std::fs::read(Session::new().finished().path()).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    for bytes in [Vec::new(), b"text".to_vec(), vec![0; 100], whole[..40].to_vec(), changed(27, 0xff)] {
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(Reader::open(&path), Err(TraceError::NotATrace(_))));
    }
    std::fs::write(&path, changed(8, 9)).unwrap();
    assert!(matches!(Reader::open(&path), Err(TraceError::ByteOrder(_))));
    std::fs::write(&path, changed(12, 9)).unwrap();
    let error = Reader::open(&path).unwrap_err().to_string();
    assert!(error.contains("format 9"), "{error}");
}

#[test]
fn many_threads_record_at_once_and_a_flush_is_seen() {
    let session = Session::new();
    let (threads, each) = (4_u64, 5_000_u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let recorder = &session.recorder;
            scope.spawn(move || {
                for at in 0..each {
                    let fd = FdId(thread << 32 | at);
                    let exchange = super::Exchange::new(MessageId::FSTAT, 0, recorder.started(), Duration::ZERO);
                    recorder.record(&exchange, &FStatReq { fd }, &super::Outcome::Unanswered(NoAnswer::ShutDown));
                }
            });
        }
    });
    session.recorder.flush().unwrap();
    assert_eq!(session.recorder.records(), 1 + threads * each);
    let mut reader = Reader::open(&session.path()).unwrap();
    reader.next_record().unwrap();
    let mut next = vec![0; 4];
    while let Some(record) = reader.next_record().unwrap() {
        let fd = FStatReq::from_bytes(record.request).unwrap().fd.0;
        let next = &mut next[usize::try_from(fd >> 32).unwrap()];
        assert_eq!(fd & 0xffff_ffff, *next, "each thread's own order");
        *next += 1;
    }
    assert_eq!(next, [each; 4]);
    assert_eq!(reader.ending(), Some(Ending::Unfinished));
}

#[test]
fn a_full_disk_ends_the_trace_and_nothing_else() {
    let full = std::path::Path::new("/dev/full");
    // The header goes there at once.
    let error = super::Recorder::create(full, &super::Facts::new(), RecorderOptions::default()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));

    // A pipe that nobody reads any more fails later.
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let recorder = super::Recorder::create(&pipe, &super::Facts::new(), RecorderOptions::default()).unwrap();
    drop(reader);
    let record = || {
        let exchange = super::Exchange::new(MessageId::FSTAT, 0, recorder.started(), Duration::ZERO);
        recorder.record(&exchange, &FStatReq { fd: ROOT }, &super::Outcome::Unanswered(NoAnswer::ShutDown));
    };
    // A child that another test starts has all descriptors for a moment, the reader's too.
    let mut errors = (0..100_000).filter_map(|_| {
        record();
        recorder.flush().err()
    });
    let error = errors.next().unwrap();
    assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
    let records = recorder.records();
    record();
    assert_eq!(recorder.records(), records, "what comes later is left out");
    assert!(recorder.finish().is_err());
}
