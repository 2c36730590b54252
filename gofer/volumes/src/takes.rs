//! Taking connections over.

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gofer::volume::{Answer, LineError, MAX_REQUEST, Request, VERSION, receive_line, send_line};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, getpeername, sockopt};
use serde::Deserialize;

use crate::connections::{About, Connections};
use crate::peer::Peer;
use crate::pending::{Pending, Waiting};
use crate::shared::Shared;
use crate::stats::Stats;
use crate::status;
use crate::volumes::Key;

/// How long a client may take from connecting to its request.
const REQUEST: Duration = Duration::from_secs(60);

/// How long it may take to fetch the answer.
const ANSWER: Duration = Duration::from_secs(10);

/// What all requests have.
#[derive(Deserialize)]
struct Head<'a> {
    version: u32,
    /// For our own commands; hand-overs have none.
    #[serde(borrow, default)]
    command: Option<Cow<'a, str>>,
}

/// A control socket, from its connecting to the answer.
pub(crate) struct Arrival {
    pub(crate) shared: Arc<Shared>,
    pub(crate) control: Arc<OwnedFd>,
    pub(crate) peer: Peer,
}

impl Arrival {
    /// Waits for the request and does what it wants. Returns the number of the connection that is served from now on.
    pub(crate) fn attend(self, pending: &Arc<Pending>) -> Option<u64> {
        let waiting = pending.add(self.peer.user, &self.control);
        let received = receive_line(&*self.control, MAX_REQUEST, Instant::now() + REQUEST);
        let (line, fd) = match received {
            Ok(received) => received,
            Err(LineError::Malformed) => {
                self.refuse(&format!("the request is not one line of at most {MAX_REQUEST} bytes"));
                return None;
            }
            Err(error) => {
                tracing::debug!("{} asks for nothing: {error}", self.peer);
                return None;
            }
        };
        waiting.has_asked();
        match serde_json::from_slice::<Head<'_>>(&line) {
            Ok(Head { version, .. }) if version != VERSION => {
                self.refuse(&format!("this server speaks version {VERSION} of the hand-over, not {version}"));
                None
            }
            Ok(Head { command: Some(command), .. }) => {
                self.command(&command);
                None
            }
            Ok(_) => match serde_json::from_slice::<Request<'_>>(&line) {
                Ok(request) => self.take(&request, fd, waiting),
                Err(error) => self.invalid(&error),
            },
            Err(error) => self.invalid(&error),
        }
    }

    fn invalid(&self, error: &serde_json::Error) -> Option<u64> {
        self.refuse(&format!("the request is not valid: {error}"));
        None
    }

    fn take(&self, request: &Request<'_>, fd: Option<OwnedFd>, waiting: Waiting) -> Option<u64> {
        match self.start(request, fd) {
            Ok(number) => {
                let is_told = self.say(&Answer::taken());
                // Not before, so that somebody who waits for the end of all connections waits for this one as well.
                drop(waiting);
                if !is_told {
                    self.shared.connections.end(number);
                }
                Some(number)
            }
            Err(reason) => {
                self.refuse(&reason);
                None
            }
        }
    }

    fn start(&self, request: &Request<'_>, fd: Option<OwnedFd>) -> Result<u64, String> {
        let shared = &self.shared;
        let socket = fd.ok_or("no connection came with the request")?;
        let kind = (sockopt::socket_domain(&socket), sockopt::socket_type(&socket));
        if kind != (Ok(AddressFamily::UNIX), Ok(SocketType::STREAM)) || getpeername(&socket).is_err() {
            return Err("what came with the request is not a connected UNIX stream socket".to_owned());
        }
        let config = shared.config();
        // Who may not have it need not know that it is there.
        let unknown = || format!("there is no volume {:?}", request.volume);
        let (pattern, volume, star) = config.find(&request.volume).ok_or_else(unknown)?;
        let access = volume.access.as_ref().unwrap_or(&config.access);
        if !access.allows(self.peer.user, self.peer.group) {
            tracing::warn!("{} may not use volume {:?}", self.peer, request.volume);
            return Err(unknown());
        }
        let connections: &Connections = &shared.connections;
        let place = connections.place(config.limits.connections, &request.volume)?;
        let key = Key::new(&request.volume, &volume.backend, star);
        let open = shared.volumes.open(&key, &shared.registry, || !has_ended(&self.control))?;
        let mut claim = open.claim.clone().read_only(request.read_only || volume.read_only);
        if request.directfs && !claim.backend.attach().is_ok_and(|attached| attached.donated.is_some()) {
            return Err(
                "this volume has no descriptor to give to the sandbox; switch directfs off for the mount".to_owned()
            );
        }
        let limits = &config.limits;
        claim.options.max_fds = claim.options.max_fds.min(limits.fds).min(shared.most_fds);
        claim.options.answer_private_messages();
        claim.options.max_channels = claim.options.max_channels.min(limits.channels);
        claim.options.max_message_size = claim.options.max_message_size.min(limits.message);
        let about = Arc::new(About {
            volume: request.volume.clone().into_owned(),
            pattern: pattern.as_str().to_owned(),
            peer: self.peer,
            container: request.container.as_deref().map(str::to_owned),
            path: request.path.clone().into_owned(),
            read_only: claim.options.read_only,
            since: SystemTime::now(),
            stats: Stats::default(),
        });
        let (number, watch) = connections.watch(&about);
        let connection = open
            .server
            .connect_observed(socket, b"/", claim.backend, claim.options, watch)
            .map_err(|error| error.to_string())?;
        tracing::info!("volume {:?}: {} is served", about.volume, about.peer);
        connections.add(number, place, about, self.control.clone(), connection, open);
        Ok(number)
    }

    fn command(&self, command: &str) {
        let own = rustix::process::geteuid().as_raw();
        if ![0, own].contains(&self.peer.user) {
            return self.refuse("only root and the server's own user may ask for this");
        }
        if command != "status" {
            return self.refuse(&format!("unknown command {command:?}"));
        }
        let answer = status::now(&self.shared);
        self.send(serde_json::to_vec(&answer));
    }

    fn refuse(&self, reason: &str) {
        self.shared.refused();
        tracing::warn!("refused {}: {reason}", self.peer);
        self.say(&Answer::refused(reason));
    }

    fn say(&self, answer: &Answer) -> bool {
        self.send(serde_json::to_vec(answer))
    }

    fn send(&self, answer: serde_json::Result<Vec<u8>>) -> bool {
        let Ok(mut line) = answer else { return false };
        line.push(b'\n');
        let sent = send_line(self.control.as_fd(), &line, None, Instant::now() + ANSWER);
        if let Err(error) = sent {
            tracing::debug!("{} does not get its answer: {error}", self.peer);
        }
        sent.is_ok()
    }
}

/// Whether somebody has hung up who waits for an answer.
fn has_ended(control: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(control, PollFlags::RDHUP)];
    !matches!(poll(&mut polled, Some(&Timespec::default())), Ok(0) | Err(Errno::INTR))
}

/// Tells somebody who may not connect at all.
pub(crate) fn turn_away(control: &OwnedFd, peer: &Peer) {
    tracing::warn!("{peer} may not connect");
    let Ok(mut line) = serde_json::to_vec(&Answer::refused("this user may not connect")) else { return };
    line.push(b'\n');
    // Nobody waits for one who does not read.
    let _ = send_line(control, &line, None, Instant::now());
}
