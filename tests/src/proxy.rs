//! A proxy for HTTP that makes the network and the server behind it worse.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;

/// How long an answer that is sent slowly stands still.
const PAUSE: Duration = Duration::from_millis(50);

/// A running proxy. Its threads end with the process.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    down: AtomicBool,
    strips_conditions: AtomicBool,
    /// Requests of this method are refused with this answer of the server; of any if it is empty.
    refusal: Mutex<Option<(&'static str, String)>>,
    /// Milliseconds before each answer.
    latency: AtomicU64,
    /// Time before the server gets requests with this in their path.
    delay: Mutex<Option<(&'static str, Duration)>>,
    /// Of so many requests one fails; none if zero.
    one_of: AtomicU64,
    random: Mutex<Rng>,
    failed: AtomicU64,
    requests: AtomicU64,
    answers: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// What has passed through a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests that the server was asked.
    pub requests: u64,
    /// Those that were answered.
    pub answers: u64,
    /// Bytes of the bodies of requests.
    pub sent: u64,
    /// Bytes of answers.
    pub received: u64,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    /// 503, without that the server sees the request.
    Refused,
    /// The connection breaks before the server sees the request,
    ResetBefore,
    /// or after it has done what was asked.
    ResetAfter,
    /// Half of the answer comes.
    Cut,
    /// The answer comes in two halves.
    Slow,
}

impl Proxy {
    /// A proxy before the server at `upstream`. `seed` says what will fail.
    pub fn start(upstream: SocketAddr, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(seed));
        let shared = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = shared.clone();
                // What fails, fails for the client, who sees it.
                thread::spawn(move || state.serve(client, upstream));
            }
        });
        Ok(Proxy { address, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the server cannot be reached.
    pub fn set_down(&self, down: bool) {
        self.state.down.store(down, Ordering::Relaxed);
    }

    /// Has the server forget that writes are conditional.
    pub fn strip_conditions(&self) {
        self.state.strips_conditions.store(true, Ordering::Relaxed);
    }

    /// Has all requests of a method (of any if it is empty) refused, as S3 does in cases that no local server knows.
    pub fn refuse(&self, method: &'static str, status: &str, code: &str, more: &str) {
        let body = format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>No.</Message>{more}</Error>");
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        *self.state.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some((method, answer));
    }

    /// Has one of `requests` requests fail, in some way; none if zero.
    pub fn fail_one_of(&self, requests: u64) {
        self.state.one_of.store(requests, Ordering::Relaxed);
    }

    /// Has each answer take longer.
    pub fn set_latency(&self, latency: Duration) {
        self.state.latency.store(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Has requests with `part` in their path reach the server later.
    pub fn delay(&self, part: &'static str, by: Duration) {
        *self.state.delay.lock().unwrap_or_else(PoisonError::into_inner) = Some((part, by));
    }

    /// What has passed so far.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let State { requests, answers, sent, received, .. } = &*self.state;
        Traffic { requests: get(requests), answers: get(answers), sent: get(sent), received: get(received) }
    }

    /// How many requests have failed so far.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.state.failed.load(Ordering::Relaxed)
    }
}

impl State {
    fn new(seed: u64) -> Self {
        State {
            down: AtomicBool::default(),
            strips_conditions: AtomicBool::default(),
            refusal: Mutex::default(),
            latency: AtomicU64::default(),
            delay: Mutex::default(),
            one_of: AtomicU64::default(),
            random: Mutex::new(Rng::with_seed(seed)),
            failed: AtomicU64::default(),
            requests: AtomicU64::default(),
            answers: AtomicU64::default(),
            sent: AtomicU64::default(),
            received: AtomicU64::default(),
        }
    }

    fn serve(&self, mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
        if self.down.load(Ordering::Relaxed) {
            return client.shutdown(Shutdown::Both);
        }
        let Some(mut request) = read_request(&mut client)? else { return Ok(()) };
        if self.strips_conditions.load(Ordering::Relaxed) {
            request.head.retain(|line| !line.to_ascii_lowercase().starts_with("if-none-match"));
        }
        if let Some((method, answer)) = &*self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
            && request.head.first().is_some_and(|line| line.starts_with(method))
        {
            return client.write_all(answer.as_bytes());
        }
        thread::sleep(Duration::from_millis(self.latency.load(Ordering::Relaxed)));
        let delay = *self.delay.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((part, by)) = delay
            && request.head.first().is_some_and(|line| line.contains(part))
        {
            thread::sleep(by);
        }
        let fate = self.fate();
        match fate {
            Fate::Refused => {
                return client.write_all(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
            Fate::ResetBefore => return client.shutdown(Shutdown::Both),
            _ if self.down.load(Ordering::Relaxed) => return client.shutdown(Shutdown::Both),
            _ => {}
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.sent.fetch_add(request.body.len() as u64, Ordering::Relaxed);
        let mut server = TcpStream::connect(upstream)?;
        server.write_all(&request.bytes())?;
        if fate == Fate::Answered {
            // Bytes go on as they come: clients may time what they read.
            let count = io::copy(&mut server, &mut client)?;
            self.received.fetch_add(count, Ordering::Relaxed);
            self.answers.fetch_add(1, Ordering::Relaxed);
            return client.shutdown(Shutdown::Both);
        }
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        let (first, second) = answer.split_at(answer.len() / 2);
        match fate {
            Fate::ResetAfter => return client.shutdown(Shutdown::Both),
            Fate::Cut => client.write_all(first)?,
            Fate::Slow => {
                client.write_all(first)?;
                thread::sleep(PAUSE);
                client.write_all(second)?;
            }
            _ => client.write_all(&answer)?,
        }
        client.shutdown(Shutdown::Both)
    }

    fn fate(&self) -> Fate {
        let one_of = self.one_of.load(Ordering::Relaxed);
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        if one_of == 0 || random.u64(..one_of) != 0 {
            return Fate::Answered;
        }
        self.failed.fetch_add(1, Ordering::Relaxed);
        let failures = [Fate::Refused, Fate::ResetBefore, Fate::ResetAfter, Fate::Cut, Fate::Slow];
        failures[random.usize(..failures.len())]
    }
}

/// A request, whose connection ends with the answer.
struct Request {
    head: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    fn bytes(&self) -> Vec<u8> {
        let head = self.head.join("\r\n");
        [format!("{head}\r\nConnection: close\r\n\r\n").as_bytes(), &self.body].concat()
    }
}

/// Reads a request; nothing if the client has none.
fn read_request(client: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 << 10];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..end]);
            let (waits, head): (Vec<_>, Vec<_>) = text
                .split("\r\n")
                .map(str::to_owned)
                .partition(|line| line.to_ascii_lowercase().starts_with("expect: 100-continue"));
            if !waits.is_empty() {
                client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let length = head.iter().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            let mut body = bytes.split_off(end + 4);
            let missing = length.unwrap_or_default().saturating_sub(body.len());
            let there = body.len();
            body.resize(there + missing, 0);
            client.read_exact(&mut body[there..])?;
            return Ok(Some(Request { head, body }));
        }
        match client.read(&mut part)? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&part[..count]),
        }
    }
}
