//! Writing to files of which the kernel may have pages in mappings.

use std::ops::Range;

use super::bridge::{Bridge, Result};
use super::handles::Handle;
use super::identity::NodeId;
use super::mapped::{Mapped, Writing};

impl Bridge {
    /// Writes what the kernel has in its cache back to `id`: pages of a mapping.
    pub fn write_back(&self, id: NodeId, handle: &Handle, offset: u64, data: &[u8]) -> Result<usize> {
        let _changing = self.changing(id);
        let Some(mapped) = handle.mapped() else { return self.write_at(handle, offset, data) };
        let _writing = mapped.writing();
        let changed = mapped.pages.lock().replaced.changed(offset, data);
        let Some(changed) = changed else { return self.write_at(handle, offset, data) };
        for part in changed {
            let mut at = part.start;
            while at < part.end {
                match self.write_at(handle, offset.saturating_add(at as u64), &data[at..part.end])? {
                    0 => return Ok(at),
                    n => at += n,
                }
            }
        }
        // What the kernel has there now nobody has written.
        self.invalidator.data(id, offset, data.len() as u64);
        Ok(data.len())
    }

    /// Changes `length` bytes of `id` at `offset` by `change`, not through the kernel's cache.
    pub(super) fn change<T>(
        &self,
        id: NodeId,
        handle: &Handle,
        offset: u64,
        length: u64,
        change: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let _changing = self.changing(id);
        let Some(mapped) = handle.mapped() else { return change() };
        let writing = mapped.writing();
        if let Writing::Unmapped(_) = writing {
            return change();
        }
        let (known, reader) = {
            let pages = mapped.pages.lock();
            (pages.replaced.known(offset, length), pages.reader.clone())
        };
        let Some(reader) = reader.filter(|_| !known.is_empty()) else { return change() };
        for part in &known {
            self.keep(id, mapped, &reader, part)?;
        }
        let result = change()?;
        for part in known {
            self.invalidator.data(id, part.start, part.end - part.start);
        }
        Ok(result)
    }

    fn keep(&self, id: NodeId, mapped: &Mapped<Handle>, reader: &Handle, part: &Range<u64>) -> Result<()> {
        const AT_ONCE: u64 = 1 << 20;
        let mut offset = part.start;
        while offset < part.end {
            let size = usize::try_from((part.end - offset).min(AT_ONCE)).unwrap_or(0);
            let mut bytes = self.read(id, reader, offset, size, |data| data.to_vec())?;
            // As the kernel has it: behind the end are zeros.
            bytes.resize(size, 0);
            mapped.pages.lock().replaced.keep(offset, &bytes);
            offset += size as u64;
        }
        Ok(())
    }
}
