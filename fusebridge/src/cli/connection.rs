//! A server, and a client that is connected to it.

use super::up::UpError;
use crate::client::{Client, ClientOptions, Root};
use crate::launch::{BackendSpec, Launcher, Server};

/// Gets a server for `spec` and connects to it.
pub(super) fn connect(
    launcher: &Launcher,
    spec: &BackendSpec,
    options: &ClientOptions,
) -> Result<(Client, Root, Server), UpError> {
    let mut server = launcher.launch(spec)?;
    let Some(socket) = server.socket.take() else { unreachable!("a new server has a connection") };
    // A gofer says in one line what is wrong, where it can be read. Of other programs one cannot know.
    let speaks = !launcher.silent && matches!(spec, BackendSpec::Host(_) | BackendSpec::Extension(_));
    let connected = Client::connect(socket, options);
    let (client, root) = connected.map_err(|source| match speaks && server.has_failed() {
        true => UpError::Said,
        false => UpError::Connect { spec: spec.to_string(), source },
    })?;
    Ok((client, root, server))
}
