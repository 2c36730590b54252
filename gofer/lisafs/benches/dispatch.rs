//! What it costs that the server does not know its backends: the same call on a file of a known type, through the
//! trait, and as a whole round trip over a connection. The difference of the first two should vanish in the third.

use std::hint::black_box;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use lisafs::backend::{
    Attachment, Backend, ControlFile, Error, Found, Name, OpenHow, Opened, Options, Result, Statx, StatxMask,
};
use lisafs::server::Server;
use lisafs::transport::Socket;
use lisafs::wire::{FdId, MessageId, SocketHeader, Wire, message::FStatReq};
use zerocopy::IntoBytes;

/// A backend that does nothing, so that nothing hides the cost of reaching it.
#[derive(Clone)]
struct Null;

const ATTRIBUTES: Statx =
    Statx { mask: StatxMask::BASIC_STATS, mode: 0o040_755, nlink: 2, ino: 1, dev_major: 79, blksize: 4096, ..zero() };

const fn zero() -> Statx {
    zerocopy::transmute!([0_u8; size_of::<Statx>()])
}

impl Backend for Null {
    fn options(&self) -> Options {
        Options::default()
    }

    fn attach(&self) -> Result<Attachment> {
        Ok(Attachment::new(Found::new(Null, ATTRIBUTES)))
    }
}

impl ControlFile for Null {
    fn stat(&self) -> Result<Statx> {
        Ok(black_box(ATTRIBUTES))
    }

    fn walk(&self, _: Name<'_>) -> Result<Found> {
        Err(Error::NOENT)
    }

    fn open(&self, _: OpenHow) -> Result<Opened> {
        Err(Error::OPNOTSUPP)
    }
}

/// One request and its answer over the main socket.
fn exchange(socket: &Socket, message: MessageId, payload: &[u8], answer: &mut [u8]) {
    let header = SocketHeader::new(message, payload.len().try_into().expect("requests are small"));
    let request = [header.as_bytes(), payload].concat();
    socket.send(&request, &[], None).expect("the server listens");
    let mut header = [0; size_of::<SocketHeader>()];
    socket.receive(&mut header, None, None).expect("the server answers");
    let header = SocketHeader::from_bytes(&header).expect("the header is complete");
    socket.receive(&mut answer[..header.payload_len as usize], None, None).expect("the payload follows");
    assert_eq!(header.message, message.0, "the request is answered");
}

/// The median of many runs of `call`, in nanoseconds each.
fn median(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 2000;
    let mut rounds: Vec<Duration> = (0..51)
        .map(|_| {
            let start = Instant::now();
            (0..CALLS).for_each(|_| call());
            start.elapsed()
        })
        .collect();
    rounds.sort();
    rounds[rounds.len() / 2].as_secs_f64() * 1e9 / f64::from(CALLS)
}

fn main() {
    let mut criterion =
        Criterion::default().sample_size(20).measurement_time(Duration::from_secs(1)).configure_from_args();
    let known = Null;
    let erased: Box<dyn ControlFile> = Box::new(Null);
    let erased = black_box(erased);
    criterion.bench_function("stat of a known type", |bench| bench.iter(|| known.stat()));
    criterion.bench_function("stat through the trait", |bench| bench.iter(|| erased.stat()));
    criterion.final_summary();
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (ours, theirs) = UnixStream::pair().expect("sockets");
    let _connection = Server::new().connect(theirs.into(), b"/", Arc::new(Null)).expect("a connection");
    let (socket, mut answer) = (Socket::new(ours.into()), [0; 4096]);
    exchange(&socket, MessageId::MOUNT, &[], &mut answer);
    let request = FStatReq { fd: FdId(1) };
    let (of_known, through_trait) = (median(|| _ = black_box(known.stat())), median(|| _ = black_box(erased.stat())));
    let round_trip = median(|| exchange(&socket, MessageId::FSTAT, request.fd.as_bytes(), &mut answer));
    let dispatch = (through_trait - of_known).max(0.0);
    println!(
        "known type {of_known:.1} ns, through the trait {through_trait:.1} ns, FStat over the socket {round_trip:.0} ns"
    );
    println!("dispatch is {:.3} % of the round trip", dispatch / round_trip * 100.0);
}
