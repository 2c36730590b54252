//! The client's side: handing a connection over.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, connect, shutdown, socket_with};
use serde::Deserialize;

use super::{ANNOTATION, Answer, LineError, MAX_ANSWER, MAX_REQUEST, NameError, Request, VERSION, check_name};
use super::{receive_line, send_line};
use crate::configuration::{self, Configuration, ConfigurationError};

/// What the machine's configuration says of a volume or of a pattern.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VolumeConfiguration {
    /// The server's socket.
    #[serde(deserialize_with = "absolute")]
    pub socket: PathBuf,
    /// Whether it is read-only for everybody.
    #[serde(default)]
    pub read_only: bool,
    /// Whose the socket must be, if neither root's nor the client's own.
    #[serde(default)]
    pub owner: Option<u32>,
    /// How many seconds the server may take.
    #[serde(default = "default_time_limit", deserialize_with = "seconds")]
    pub time_limit: u64,
}

fn default_time_limit() -> u64 {
    10
}

fn absolute<'de, D: serde::Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(from)?;
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(serde::de::Error::custom(format!("{} is not an absolute path", path.display())))
    }
}

fn seconds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(from)?;
    if (1..=3600).contains(&seconds) {
        Ok(seconds)
    } else {
        Err(serde::de::Error::custom("time_limit is not within 1 to 3600 seconds"))
    }
}

/// A volume, and where its server is.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    name: String,
    star: Option<String>,
    configuration: VolumeConfiguration,
}

/// The mount that a connection is for.
#[derive(Clone, Copy, Debug)]
pub struct Mount<'a> {
    /// Where it is in the container.
    pub path: &'a Path,
    /// Whether changes must be refused.
    pub read_only: bool,
    /// Whether its client only works on a descriptor of the root.
    pub directfs: bool,
    /// The container's ID; none outside of containers.
    pub container: Option<&'a str>,
    /// The container's annotations.
    pub annotations: Option<&'a HashMap<String, String>>,
}

/// A control socket. As long as it is there the connection that was handed over with it lives, unless it has
/// [ended](Self::wait).
#[derive(Debug)]
pub struct Control {
    socket: OwnedFd,
    volume: Volume,
}

/// Why a connection is not handed over. One line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandOverError {
    /// There cannot be such a volume.
    #[error("{0}")]
    Name(#[from] NameError),
    /// The configuration cannot be read.
    #[error("{0}")]
    Configuration(#[from] ConfigurationError),
    /// The configuration has no such volume.
    #[error("no volume {name:?} in {}", file.display())]
    Unknown {
        /// Its name.
        name: String,
        /// The configuration.
        file: PathBuf,
    },
    /// The server does not take it.
    #[error("volume {name:?} at {}: {problem}", socket.display())]
    Server {
        /// The volume.
        name: String,
        /// The server's socket.
        socket: PathBuf,
        /// What is wrong.
        problem: Problem,
        /// The connection, if it was to be handed over already.
        abandoned: Option<Abandoned>,
    },
}

/// A connection that nobody serves. Dropping it ends it, even if a server finds it among what it has not read: whoever
/// has it can say what is wrong before the client notices.
#[derive(Debug)]
pub struct Abandoned(OwnedFd);

impl Drop for Abandoned {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = shutdown(&self.0, Shutdown::Both);
    }
}

/// What is wrong with a volume's server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is none, or it does not let us.
    #[error("cannot connect: {}", std::io::Error::from(*.0).kind_text())]
    Connect(Errno),
    /// There is something else.
    #[error("this is not a socket")]
    NoSocket,
    /// It may be anybody's.
    #[error("the socket belongs to user {found}, not to {wanted}")]
    Owner {
        /// Whose it is.
        found: u32,
        /// Whose it should be.
        wanted: Owner,
    },
    /// It is too slow, or stopped.
    #[error("no answer within {0} s")]
    TimedOut(u64),
    /// It has closed the control socket.
    #[error("the server hung up without an answer")]
    HungUp,
    /// It says something else.
    #[error("the answer is not valid: {0}")]
    Invalid(String),
    /// It is newer, or older.
    #[error("the server speaks version {0} of the hand-over, this gofer speaks {VERSION}")]
    Version(u32),
    /// It does not want to.
    #[error("refused: {0}")]
    Refused(String),
    /// What the container says is too long.
    #[error("the container's annotations about it are longer than {MAX_REQUEST} bytes")]
    TooLong,
    /// The control socket fails.
    #[error("cannot talk to the server: {}", std::io::Error::from(*.0).kind_text())]
    Socket(Errno),
}

/// Whose a server's socket should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Root or the client's user.
    Trusted,
    /// This user.
    User(u32),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Trusted => f.write_str("root"),
            Owner::User(user) => write!(f, "user {user}"),
        }
    }
}

/// The text of a system error without its number.
trait KindText {
    fn kind_text(&self) -> String;
}

impl KindText for std::io::Error {
    fn kind_text(&self) -> String {
        let text = self.to_string();
        text.split(" (os error").next().unwrap_or_default().to_owned()
    }
}

impl Volume {
    /// The volume `name` of the machine's configuration.
    pub fn configured(name: &str) -> Result<Self, HandOverError> {
        check_name(name)?;
        let mut volumes = Configuration::read()?.volumes;
        let found = super::Pattern::find(volumes.keys(), name);
        let found = found.map(|(pattern, star)| (pattern.clone(), star.map(str::to_owned)));
        let unknown = || HandOverError::Unknown { name: name.to_owned(), file: configuration::path() };
        let (pattern, star) = found.ok_or_else(unknown)?;
        let configuration = volumes.remove(&pattern).ok_or_else(unknown)?;
        Ok(Volume { name: name.to_owned(), star, configuration })
    }

    /// The volume `name` of the server at `socket`, of which no configuration need know.
    pub fn at(socket: &Path, name: &str) -> Result<Self, HandOverError> {
        check_name(name)?;
        let configuration = VolumeConfiguration {
            socket: socket.to_owned(),
            read_only: false,
            owner: None,
            time_limit: default_time_limit(),
        };
        Ok(Volume { name: name.to_owned(), star: None, configuration })
    }

    /// The name by which a container has asked for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Connects to its server. Paths are no longer needed after that.
    pub fn connect(&self) -> Result<Control, HandOverError> {
        let socket = self.socket().map_err(|problem| self.error(problem, None))?;
        Ok(Control { socket, volume: self.clone() })
    }

    fn socket(&self) -> Result<OwnedFd, Problem> {
        let path = &self.configuration.socket;
        // Held, so that what is connected to is what has been looked at.
        let file = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(Problem::Connect)?;
        let stat = fstat(&file).map_err(Problem::Connect)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return Err(Problem::NoSocket);
        }
        let is_trusted = match self.configuration.owner {
            Some(owner) => stat.st_uid == owner,
            None => stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw(),
        };
        if !is_trusted {
            let wanted = self.configuration.owner.map_or(Owner::Trusted, Owner::User);
            return Err(Problem::Owner { found: stat.st_uid, wanted });
        }
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(Problem::Socket)?;
        let limit = Duration::from_secs(self.configuration.time_limit);
        set_socket_timeout(&socket, Timeout::Send, Some(limit)).map_err(Problem::Socket)?;
        let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(Problem::Connect)?;
        match connect(&socket, &address) {
            Ok(()) => Ok(socket),
            Err(Errno::AGAIN) => Err(Problem::TimedOut(self.configuration.time_limit)),
            Err(errno) => Err(Problem::Connect(errno)),
        }
    }

    fn error(&self, problem: Problem, abandoned: Option<Abandoned>) -> HandOverError {
        HandOverError::Server { name: self.name.clone(), socket: self.configuration.socket.clone(), problem, abandoned }
    }

    fn request<'a>(&'a self, mount: &Mount<'a>) -> Request<'a> {
        let prefix = format!("{ANNOTATION}{}.", self.name);
        let annotations = mount.annotations.into_iter().flatten();
        let annotations = annotations.filter(|(key, _)| key.starts_with(&prefix));
        Request {
            version: VERSION,
            volume: Cow::Borrowed(&self.name),
            star: self.star.as_deref().map(Cow::Borrowed),
            read_only: mount.read_only || self.configuration.read_only,
            directfs: mount.directfs,
            path: mount.path.to_string_lossy(),
            container: mount.container.map(Cow::Borrowed),
            annotations: annotations
                .map(|(key, value)| (Cow::Borrowed(key.as_str()), Cow::Borrowed(value.as_str())))
                .collect::<BTreeMap<_, _>>(),
        }
    }
}

impl Control {
    /// The volume that the connection was handed to.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Hands `connection` over for `mount`. Whether it is taken or not, nothing of it stays here.
    pub fn hand_over(&self, connection: OwnedFd, mount: &Mount<'_>) -> Result<(), HandOverError> {
        self.ask(connection.as_fd(), mount).map_err(|problem| self.volume.error(problem, Some(Abandoned(connection))))
    }

    fn ask(&self, connection: BorrowedFd<'_>, mount: &Mount<'_>) -> Result<(), Problem> {
        let mut line =
            serde_json::to_vec(&self.volume.request(mount)).map_err(|error| Problem::Invalid(error.to_string()))?;
        line.push(b'\n');
        if line.len() > MAX_REQUEST {
            return Err(Problem::TooLong);
        }
        let limit = self.volume.configuration.time_limit;
        let failed = |error| match error {
            LineError::TimedOut => Problem::TimedOut(limit),
            LineError::HungUp => Problem::HungUp,
            LineError::Malformed => Problem::Invalid(format!("it is not one line of at most {MAX_ANSWER} bytes")),
            LineError::System(errno) => Problem::Socket(errno),
        };
        let deadline = || Instant::now() + Duration::from_secs(limit);
        // A server that hangs up may have said why before.
        match send_line(&self.socket, &line, Some(connection), deadline()) {
            Ok(()) | Err(LineError::HungUp) => {}
            Err(error) => return Err(failed(error)),
        }
        let (line, _) = receive_line(&self.socket, MAX_ANSWER, deadline()).map_err(failed)?;
        let answer: Answer = serde_json::from_slice(&line).map_err(|error| Problem::Invalid(error.to_string()))?;
        match answer {
            Answer { version, .. } if version != VERSION => Err(Problem::Version(version)),
            Answer { ok: true, error: None, .. } => Ok(()),
            Answer { ok: false, error: Some(error), .. } => {
                let error = error.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
                Err(Problem::Refused(error.collect()))
            }
            _ => Err(Problem::Invalid("it must have either \"ok\": true or \"error\"".to_owned())),
        }
    }

    /// Waits until the connection that was handed over has ended, or its server.
    pub fn wait(&self) {
        let mut polled = [PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::RDHUP)];
        loop {
            match poll(&mut polled, None) {
                Err(Errno::INTR) => {}
                // What cannot be waited for is over.
                Ok(_) | Err(_) => return,
            }
        }
    }
}

impl AsFd for Control {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
