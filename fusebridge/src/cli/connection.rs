//! A server, and a client that is connected to it.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};

use super::signals::Event;
use crate::launch::{BackendSpec, LaunchError, Launcher, Server};
use crate::reconnect::{self, Connected, Link, Terms};
use lisafs::Errno;
use lisafs::client::{Client, ClientOptions, ConnectError, Root};

/// Why there is no connection to a server.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("{0}")]
    Launch(#[from] LaunchError),
    #[error("cannot connect to {spec}: {source}{advice}", advice = advice(source))]
    Connect { spec: String, source: ConnectError },
    /// The server's process has said why by itself.
    #[error("the server did not start")]
    Reported,
    #[error("cannot prepare for another connection: {0}")]
    Reconnect(#[from] reconnect::StartError),
    #[error("interrupted before anything was mounted")]
    Interrupted,
}

impl ConnectionError {
    /// Whether the user was told of it by the server.
    pub(super) fn is_reported(&self) -> bool {
        matches!(self, ConnectionError::Reported)
    }
}

/// What to do about `error`, if that is known.
fn advice(error: &ConnectError) -> &'static str {
    match error {
        // As the server has told it.
        ConnectError::Mount(why) if why.ends_with(&Errno::MFILE.to_string()) => {
            "; allow it more open files, for example with: ulimit -n 1024"
        }
        _ => "",
    }
}

/// Gets a server for `spec` and connects to it.
pub(super) fn connect(
    launcher: &Launcher,
    spec: &BackendSpec,
    options: &ClientOptions,
) -> Result<(Client, Root, Server), ConnectionError> {
    let (server, socket, options) = launch(launcher, spec, options)?;
    finish(server, spec, Client::connect(socket.into(), &options))
}

/// [`connect`], which a server can make take long; a signal in `events` ends it.
pub(super) fn connect_unless_interrupted(
    launcher: &Launcher,
    spec: &BackendSpec,
    options: &ClientOptions,
    (sender, receiver): (&Sender<Event>, &Receiver<Event>),
) -> Result<(Client, Root, Server), ConnectionError> {
    let (server, socket, options) = launch(launcher, spec, options)?;
    let hang_up = socket.try_clone().map_err(LaunchError::Start)?;
    let (connected, is_interrupted) = std::thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            let connected = Client::connect(socket.into(), &options);
            // The receiver lives until this thread has ended.
            let _ = sender.send(Event::Connected);
            connected
        });
        let mut is_interrupted = false;
        while let Ok(event) = receiver.recv() {
            match event {
                Event::Connected => break,
                Event::Signal(_) => {
                    is_interrupted = true;
                    // It may have been hung up at the other end already.
                    let _ = hang_up.shutdown(Shutdown::Both);
                }
                _ => {}
            }
        }
        (connecting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), is_interrupted)
    });
    drop(hang_up);
    if is_interrupted {
        drop(connected);
        return Err(ConnectionError::Interrupted);
    }
    finish(server, spec, connected)
}

/// Keeps connected to the server for `spec`, to which `first` is a connection that was made with `options`: gives
/// another one, to the files of whichever server there is, for a client with options `own`. `is_exclusive`: nobody else
/// changes them.
pub(super) fn keep_connected(
    first: Connected,
    launcher: Launcher,
    spec: BackendSpec,
    options: ClientOptions,
    own: &ClientOptions,
    is_exclusive: bool,
) -> Result<(Client, Root, Server, Arc<Link>), ConnectionError> {
    let (terms, name) = (Terms { time_limit: options.time_limit, is_exclusive }, spec.to_string());
    let again = move || connect(&launcher, &spec, &options).map_err(|error| error.to_string());
    let (mut server, link) = reconnect::start(first, Box::new(again), terms)?;
    let Some((socket, direct)) = server.socket.take().zip(server.direct()) else {
        unreachable!("a new server in this process has a connection")
    };
    let connected = Client::connect(socket.into(), &own.clone().direct(direct));
    let (client, root) = connected.map_err(|source| ConnectionError::Connect { spec: name, source })?;
    Ok((client, root, server, link))
}

/// Gets a server for `spec`, and the options for a connection to it.
fn launch(
    launcher: &Launcher,
    spec: &BackendSpec,
    options: &ClientOptions,
) -> Result<(Server, UnixStream, ClientOptions), LaunchError> {
    let mut server = launcher.launch(spec)?;
    let Some(socket) = server.socket.take() else { unreachable!("a new server has a connection") };
    let options = options.clone();
    let options = match server.direct() {
        Some(server) => options.direct(server),
        None => options,
    };
    Ok((server, socket, options))
}

fn finish(
    mut server: Server,
    spec: &BackendSpec,
    connected: Result<(Client, Root), ConnectError>,
) -> Result<(Client, Root, Server), ConnectionError> {
    // A gofer says in one line what is wrong. Of other programs one cannot know.
    let speaks = matches!(spec, BackendSpec::Host(_) | BackendSpec::Extension(_));
    let (client, root) = connected.map_err(|source| match speaks && server.has_failed() {
        true => ConnectionError::Reported,
        false => ConnectionError::Connect { spec: spec.to_string(), source },
    })?;
    Ok((client, root, server))
}
