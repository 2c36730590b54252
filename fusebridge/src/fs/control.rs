//! The server's control FDs for files.

use std::sync::Arc;

use lisafs::client::Client;
use lisafs::wire::FdId;

/// A control FD. It is given back when nobody uses it any more: neither the file's node nor a request that is under
/// way.
pub struct Control {
    client: Arc<Client>,
    fd: FdId,
}

impl Control {
    /// Takes care of `fd`.
    pub(super) fn new(client: &Arc<Client>, fd: FdId) -> Arc<Self> {
        Arc::new(Control { client: client.clone(), fd })
    }

    /// Its number.
    pub(super) fn id(&self) -> FdId {
        self.fd
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.client.close(self.fd);
    }
}
