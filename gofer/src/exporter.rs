//! Figures of a running process for those who ask on a socket, as Prometheus does: the least of HTTP that does it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::listener::Listener;

/// How long a reader may take.
const LIMIT: Duration = Duration::from_secs(2);
/// The longest request.
const LONGEST: u64 = 8 << 10;

/// Where figures are read.
#[derive(Debug)]
pub enum ExporterListener {
    /// By those who may write to a socket.
    Unix(Listener),
    /// By everybody who reaches a port.
    Tcp(TcpListener),
}

/// A reader.
trait Stream: Read + Write {
    /// Limits how long it may take.
    fn limit(&self, limit: Duration) -> io::Result<()>;
}

impl ExporterListener {
    /// The next reader, or `None` if there is none after all.
    fn accept(&self) -> io::Result<Option<Box<dyn Stream>>> {
        match self {
            ExporterListener::Unix(listener) => {
                let Some(stream) = listener.accept()? else { return Ok(None) };
                stream.set_nonblocking(false)?;
                Ok(Some(Box::new(stream)))
            }
            ExporterListener::Tcp(listener) => match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false)?;
                    Ok(Some(Box::new(stream)))
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            },
        }
    }

    /// Leaves its file, if it has one, to somebody else who listens on the same socket.
    pub fn leave_file(&self) {
        if let ExporterListener::Unix(listener) = self {
            listener.leave_file();
        }
    }

    /// Removes its file, if it has one.
    pub fn remove_file(&self) {
        if let ExporterListener::Unix(listener) = self {
            listener.remove_file();
        }
    }
}

impl AsFd for ExporterListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            ExporterListener::Unix(listener) => listener.as_fd(),
            ExporterListener::Tcp(listener) => listener.as_fd(),
        }
    }
}

impl Stream for UnixStream {
    fn limit(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))?;
        self.set_write_timeout(Some(limit))
    }
}

impl Stream for TcpStream {
    fn limit(&self, limit: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(limit))?;
        self.set_write_timeout(Some(limit))
    }
}

/// Answers one reader after the other with what `render` makes of a path, until the other end of `stop` is closed.
pub fn serve(listener: &ExporterListener, stop: &UnixStream, render: impl Fn(&str) -> Option<String>) {
    loop {
        let mut polled = [listener.as_fd(), stop.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut polled, None) {
            Ok(_) if !polled[1].revents().is_empty() => return,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return tracing::error!(%error, "cannot wait for clients of the metrics"),
        }
        match listener.accept() {
            Ok(Some(mut stream)) => {
                if let Err(error) = answer(&mut *stream, &render) {
                    tracing::debug!(%error, "metrics are not read");
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept a client of the metrics");
                // Most likely there are too many open files.
                std::thread::sleep(LIMIT);
            }
        }
    }
}

/// A stream on which all must be read and written until a point in time.
struct Until<'a> {
    stream: &'a mut dyn Stream,
    deadline: Instant,
}

impl Until<'_> {
    /// The stream, with as much time as is left.
    fn now(&mut self) -> io::Result<&mut dyn Stream> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.limit(left)?;
        Ok(self.stream)
    }
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.now()?.read(buffer)
    }
}

impl Write for Until<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.now()?.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.now()?.flush()
    }
}

fn answer(stream: &mut dyn Stream, render: &impl Fn(&str) -> Option<String>) -> io::Result<()> {
    let mut stream = Until { stream, deadline: Instant::now() + LIMIT };
    let mut first = String::new();
    let mut request = BufReader::new((&mut stream).take(LONGEST));
    request.read_line(&mut first)?;
    // The rest of its head is read so that the reader gets the answer before the end.
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut words = first.split_ascii_whitespace();
    let (status, body) = match (words.next(), words.next().map(render)) {
        (Some("GET"), Some(Some(body))) => ("200 OK", body),
        (Some("GET"), _) => {
            ("404 Not Found", "there is nothing at this path; the figures are at /metrics\n".to_owned())
        }
        _ => ("405 Method Not Allowed", "only GET is known\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.0 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// What somebody who [serves](serve) on the other end of `stream` has at `path`.
pub fn ask(mut stream: UnixStream, path: &str) -> io::Result<String> {
    let mut stream = Until { stream: &mut stream, deadline: Instant::now() + LIMIT };
    let mut answer = String::new();
    let asked = write!(stream, "GET {path} HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer));
    asked.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", LIMIT.as_secs()))
        }
        _ => error,
    })?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.0 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(answer.lines().next().unwrap_or("no answer").to_owned())),
    }
}
