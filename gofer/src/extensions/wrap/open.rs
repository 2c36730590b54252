//! Open files of a wrapped tree.

use std::sync::Arc;

#[cfg(feature = "testing")]
use super::deviation::{Deviation, LAST_BYTE, fill_hole, garbled};
use super::{Call, Layer, act, around, around_bytes};
use lisafs::backend::{AllocateFlags, DirSink, IoSource, IoTarget, OpenBox, OpenFile, Result, SeekTo, Statx};

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
        act(&*self.layer, call, work)
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
                let mut into = into.into_part(0, len);
                let count = self.inner.read_at(into.reborrow(), offset)?;
                #[cfg(feature = "testing")]
                if count > 0 && self.layer.deviates(Deviation::GarbleReads) {
                    into.put(count - 1, &LAST_BYTE);
                }
                Ok(count)
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
                if self.layer.skips(Call::Write) {
                    return Ok(len);
                }
                #[cfg(feature = "testing")]
                let offset = offset + u64::from(self.layer.deviates(Deviation::ShiftWrites));
                #[cfg(feature = "testing")]
                if self.layer.deviates(Deviation::FillHoles) {
                    fill_hole(&*self.inner, offset)?;
                }
                #[cfg(feature = "testing")]
                if self.layer.deviates(Deviation::GarbleWrites) {
                    return self.inner.write_at(garbled(&from.part(0, len)).as_slice().into(), offset);
                }
                self.inner.write_at(from.part(0, len), offset)
            },
        )
    }

    fn sync(&self) -> Result<()> {
        self.act(Call::Sync, || self.inner.sync())
    }

    fn allocate(&self, flags: AllocateFlags, offset: u64, length: u64) -> Result<()> {
        self.act(Call::Allocate, || self.inner.allocate(flags, offset, length))
    }

    fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        around(&*self.layer, Call::Seek, || self.inner.seek(offset, what))
    }

    fn flush(&self) -> Result<()> {
        self.act(Call::Flush, || self.inner.flush())
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let mut list = |sink: &mut dyn DirSink| self.inner.read_dir(from, sink);
        around(&*self.layer, Call::ReadDir, || self.layer.read_dir(from, sink, &mut list))
    }
}
