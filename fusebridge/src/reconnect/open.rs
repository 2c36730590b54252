//! Open files and directories.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use lisafs::Errno;
use lisafs::backend::{AllocateFlags, DirSink, IoSource, IoTarget, OpenFile, OpenHow, Opened, Result, SeekTo, Statx};
use lisafs::client::{Client, Listing};
use lisafs::wire::FdId;
use parking_lot::Mutex;

use super::link::{Generation, Held, Link, Session};
use super::outcome::Outcome;
use super::places::{PlaceId, ROOT};

/// An open FD of each connection on which it was needed.
pub(super) struct Open {
    link: Arc<Link>,
    place: PlaceId,
    /// Its inode number, as it is told.
    number: u64,
    /// How to open it again.
    how: OpenHow,
    held: Mutex<Held>,
    unsynced: Mutex<Unsynced>,
    listed: Mutex<Listing>,
    /// The server has given a descriptor of the file away: it has its files from the kernel of this machine, which
    /// loses nothing of them when the server ends.
    is_kernels: bool,
}

/// What was written and not yet made durable.
#[derive(Default)]
struct Unsynced {
    /// On which connection; 0: nothing.
    on: Generation,
    /// There was something on one that has ended: its server may have had it in memory only.
    is_lost: bool,
}

impl Unsynced {
    /// There is something on connection `on`.
    fn add(&mut self, on: Generation) {
        self.is_lost |= self.on != 0 && self.on != on;
        self.on = on;
    }

    /// Fails if something may be lost, now that connection `current` is the one.
    fn check(&self, current: Generation) -> Result<()> {
        if self.is_lost || self.on != 0 && self.on != current {
            return Err(Errno::IO.because("the server has ended before it has made durable what was written"));
        }
        Ok(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.link.close(*self.held.get_mut());
        self.link.places.lock().release(self.place);
    }
}

impl Open {
    /// The file at `place`, which was opened on this connection.
    pub(super) fn opened(
        link: &Arc<Link>,
        session: &Session,
        place: PlaceId,
        how: OpenHow,
        (fd, donated): (FdId, Option<OwnedFd>),
    ) -> Opened {
        let number = {
            let mut places = link.places.lock();
            places.hold(place);
            places.number(place)
        };
        let file = Open {
            link: link.clone(),
            place,
            number,
            how: how.truncate(false),
            held: Mutex::new(Held { generation: session.generation, fd }),
            unsynced: Mutex::default(),
            listed: Mutex::default(),
            is_kernels: donated.is_some(),
        };
        Opened::new(file).donating(donated)
    }

    /// The open FD on this connection.
    fn fd(&self, session: &Session) -> Result<FdId> {
        let mut held = self.held.lock();
        if held.generation != session.generation {
            let control = self.link.find(session, self.place)?;
            let opened = session.client.open_at(control, self.how.flags());
            if self.place != ROOT {
                session.client.close(control);
            }
            let (fd, _) = opened.map_err(|errno| match errno {
                Errno::IO | Errno::STALE => errno.into(),
                _ => Errno::IO.because(format!("it cannot be opened again: {errno}")),
            })?;
            *held = Held { generation: session.generation, fd };
        }
        Ok(held.fd)
    }

    /// Asks something that can be asked again.
    fn ask<T>(&self, mut ask: impl FnMut(&Client, FdId) -> std::result::Result<T, Errno>) -> Result<T> {
        self.link.ask(|session| Ok(ask(&session.client, self.fd(session)?)?)).map(|(_, answer)| answer)
    }

    /// The content was changed on this connection.
    fn changed(&self, session: &Session) {
        if !self.is_kernels {
            self.unsynced.lock().add(session.generation);
        }
    }
}

impl OpenFile for Open {
    fn stat(&self) -> Result<Statx> {
        self.ask(|client, fd| client.fstat(fd)).map(|stat| Statx { ino: self.number, ..stat })
    }

    fn read_at(&self, mut into: IoTarget<'_>, offset: u64) -> Result<usize> {
        let mut done = 0;
        while done < into.len() {
            let (len, at) = (into.len() - done, offset.saturating_add(done as u64));
            let bytes = self.ask(|client, fd| client.pread(fd, at, len, |data| data.to_vec()))?;
            if bytes.is_empty() {
                break;
            }
            into.put(done, &bytes);
            done += bytes.len();
        }
        Ok(done)
    }

    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        let bytes = from.to_vec();
        let mut done = 0;
        while done < bytes.len() {
            let at = offset.saturating_add(done as u64);
            // Where it is written is always said, also for files that were opened with O_APPEND: a second time changes
            // nothing.
            let write = |session: &Session| Ok(session.client.pwrite(self.fd(session)?, at, &bytes[done..])?);
            match self.link.ask(write) {
                Ok((_, 0)) => break,
                Ok((session, count)) => {
                    self.changed(&session);
                    done += count;
                }
                // What was written counts. Whoever writes the rest gets the error, since its cause lasts.
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn sync(&self) -> Result<()> {
        let sync = |session: &Session| {
            let fd = self.fd(session)?;
            // What is written from now on is not made durable by this.
            let before = std::mem::take(&mut *self.unsynced.lock());
            if let Err(error) = before.check(session.generation) {
                // Told once, as the kernel does.
                return Ok(Err(error));
            }
            let synced = session.client.fsync(&[fd]);
            if synced.is_err() && before.on != 0 {
                self.unsynced.lock().add(before.on);
            }
            Ok(Ok(synced?))
        };
        self.link.ask(sync)?.1
    }

    fn allocate(&self, flags: AllocateFlags, offset: u64, length: u64) -> Result<()> {
        let bits = flags.bits().into();
        let allocate = |client: &Client, fd| client.fallocate(fd, bits, offset, length);
        // Twice would be two ranges.
        let (session, ()) = if flags.intersects(AllocateFlags::COLLAPSE_RANGE | AllocateFlags::INSERT_RANGE) {
            self.link.change(|session| self.fd(session), allocate, |_, _| Ok(Outcome::Unknown))?
        } else {
            self.link.ask(|session| Ok(allocate(&session.client, self.fd(session)?)?))?
        };
        self.changed(&session);
        Ok(())
    }

    fn seek(&self, offset: u64, what: SeekTo) -> Result<u64> {
        self.ask(|client, fd| client.seek(fd, offset, what == SeekTo::Hole))
    }

    fn flush(&self) -> Result<()> {
        let flush = |session: &Session| {
            let fd = self.fd(session)?;
            if let Err(error) = self.unsynced.lock().check(session.generation) {
                return Ok(Err(error));
            }
            Ok(Ok(session.client.flush(fd)?))
        };
        self.link.ask(flush)?.1
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let mut listed = self.listed.lock();
        if from == 0 {
            *listed = self.ask(Listing::read)?;
        }
        listed.send(from, sink);
        Ok(())
    }
}
