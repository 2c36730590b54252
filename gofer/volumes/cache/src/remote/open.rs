//! Open files and directories.

use std::sync::Arc;

use lisafs::backend::{AllocateFlags, DirSink, IoSource, IoTarget, OpenFile, Result, SeekTo, Statx};
use lisafs::client::Listing;
use lisafs::wire::FdId;
use parking_lot::Mutex;

use super::Session;

/// An open FD of the server.
pub(super) struct RemoteOpen {
    session: Arc<Session>,
    fd: FdId,
    listed: Mutex<Listing>,
}

impl RemoteOpen {
    pub(super) fn new(session: Arc<Session>, fd: FdId) -> Self {
        RemoteOpen { session, fd, listed: Mutex::default() }
    }
}

impl Drop for RemoteOpen {
    fn drop(&mut self) {
        self.session.close(self.fd);
    }
}

impl OpenFile for RemoteOpen {
    fn stat(&self) -> Result<Statx> {
        Ok(self.session.client.fstat(self.fd)?)
    }

    fn read_at(&self, mut into: IoTarget<'_>, offset: u64) -> Result<usize> {
        let client = &self.session.client;
        let mut done = 0;
        while done < into.len() {
            let len = (into.len() - done).min(client.max_read());
            let bytes = client.pread(self.fd, offset + done as u64, len, |data| data.to_vec())?;
            if bytes.is_empty() {
                break;
            }
            into.put(done, &bytes);
            done += bytes.len();
        }
        Ok(done)
    }

    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        let (client, bytes) = (&self.session.client, from.to_vec());
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            match client.pwrite(self.fd, offset + done as u64, &rest[..rest.len().min(client.max_write())]) {
                Ok(0) => break,
                Ok(count) => done += count,
                // What was written counts. Whoever writes the rest gets the error, since its cause lasts.
                Err(_) if done > 0 => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(done)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.session.client.fsync(&[self.fd])?)
    }

    fn allocate(&self, flags: AllocateFlags, offset: u64, length: u64) -> Result<()> {
        Ok(self.session.client.fallocate(self.fd, flags.bits().into(), offset, length)?)
    }

    fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        Ok(self.session.client.seek(self.fd, offset, what == SeekTo::Hole)?)
    }

    fn flush(&self) -> Result<()> {
        Ok(self.session.client.flush(self.fd)?)
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let mut listed = self.listed.lock();
        if from == 0 {
            *listed = Listing::read(&self.session.client, self.fd)?;
        }
        listed.send(from, sink);
        Ok(())
    }
}
