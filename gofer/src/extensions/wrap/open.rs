//! Open files of a wrapped tree.

use std::sync::Arc;

use super::{Call, Layer, around, around_bytes};
use crate::backend::{DirSink, IoSource, IoTarget, OpenBox, OpenFile, Result, Statx};

/// An open file: that of the inner file system.
pub(super) struct Open<L> {
    inner: OpenBox,
    layer: Arc<L>,
}

impl<L: Layer> Open<L> {
    pub(super) fn new(inner: OpenBox, layer: Arc<L>) -> Self {
        Open { inner, layer }
    }

    /// A call whose answer is its success.
    fn act(&self, call: Call, work: impl FnOnce() -> Result<()>) -> Result<()> {
        around(&*self.layer, call, || if self.layer.skips(call) { Ok(()) } else { work() })
    }
}

impl<L: Layer> OpenFile for Open<L> {
    fn stat(&self) -> Result<Statx> {
        let mut stat = around(&*self.layer, Call::Stat, || self.inner.stat())?;
        self.layer.stat(&mut stat);
        Ok(stat)
    }

    fn read_at(&self, into: IoTarget<'_>, offset: u64) -> Result<usize> {
        around_bytes(
            &*self.layer,
            Call::Read,
            |count| *count,
            || {
                let len = self.layer.length(Call::Read, into.len());
                self.inner.read_at(into.into_part(0, len), offset)
            },
        )
    }

    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        around_bytes(
            &*self.layer,
            Call::Write,
            |count| *count,
            || {
                let len = self.layer.length(Call::Write, from.len());
                if self.layer.skips(Call::Write) { Ok(len) } else { self.inner.write_at(from.part(0, len), offset) }
            },
        )
    }

    fn sync(&self) -> Result<()> {
        self.act(Call::Sync, || self.inner.sync())
    }

    fn allocate(&self, mode: u32, offset: u64, length: u64) -> Result<()> {
        self.act(Call::Allocate, || self.inner.allocate(mode, offset, length))
    }

    fn flush(&self) -> Result<()> {
        self.act(Call::Flush, || self.inner.flush())
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let mut list = |sink: &mut dyn DirSink| self.inner.read_dir(from, sink);
        around(&*self.layer, Call::ReadDir, || self.layer.read_dir(from, sink, &mut list))
    }
}
