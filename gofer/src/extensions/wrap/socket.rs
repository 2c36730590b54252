//! Bound sockets of a wrapped tree.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::{Call, Layer, act, around};
use lisafs::backend::{BoundSocket, Result};

/// A bound socket: that of the inner file system.
pub(super) struct Socket<L> {
    inner: Box<dyn BoundSocket>,
    layer: Arc<L>,
}

impl<L: Layer> Socket<L> {
    pub(super) fn new(inner: Box<dyn BoundSocket>, layer: Arc<L>) -> Self {
        Socket { inner, layer }
    }
}

impl<L: Layer> BoundSocket for Socket<L> {
    fn listen(&self, backlog: i32) -> Result<()> {
        act(&*self.layer, Call::Listen, || self.inner.listen(backlog))
    }

    fn accept(&self) -> Result<OwnedFd> {
        around(&*self.layer, Call::Accept, || self.inner.accept())
    }
}
