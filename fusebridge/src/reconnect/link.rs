//! The connection, whichever it is, and waiting for it.

use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use lisafs::backend::{Errno, Error, Result};
use lisafs::client::{Client, Root};
use lisafs::wire::{FdId, Inode};
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::identity::Identity;
use super::outcome::Outcome;
use super::places::{PlaceId, Places, ROOT};
use super::{Connect, Connected, Terms};
use crate::launch::Server;

/// How long to wait before a server is looked for again, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Which connection: later ones have larger numbers, the first is 1.
pub(super) type Generation = u64;

/// The way to a server that may be started again.
pub(crate) struct Link {
    state: Mutex<State>,
    changed: Condvar,
    time_limit: Duration,
    /// Nobody else changes the files.
    pub(super) is_exclusive: bool,
    pub(super) places: Mutex<Places>,
}

struct State {
    /// The connection, if there is one.
    session: Option<Arc<Session>>,
    /// That of the latest connection.
    generation: Generation,
    /// Why there is none.
    obstacle: String,
    /// Somebody has waited for one in vain, and was told.
    is_overdue: bool,
    is_over: bool,
}

/// One connection.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) generation: Generation,
    /// `None`: it is not the file system that was mounted.
    root: Option<FdId>,
    /// Ends when nobody uses the connection any more.
    _server: Server,
}

impl Session {
    /// The root's control FD.
    pub(super) fn root(&self) -> Result<FdId> {
        self.root.ok_or(Error::STALE)
    }

    /// Whether a call has failed with `error` because the connection has ended.
    fn has_ended_by(&self, error: &Error) -> bool {
        *error == Errno::IO && self.client.is_dead()
    }
}

/// An FD of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) generation: Generation,
    pub(super) fd: FdId,
}

impl Link {
    /// Keeps a connection, `first` to begin with, and then those that `connect` makes.
    pub(super) fn start(first: Connected, connect: Connect, terms: Terms) -> std::io::Result<Arc<Self>> {
        let state = State { session: None, generation: 0, obstacle: String::new(), is_overdue: false, is_over: false };
        let link = Arc::new(Link {
            state: Mutex::new(state),
            changed: Condvar::new(),
            time_limit: terms.time_limit,
            is_exclusive: terms.is_exclusive,
            places: Mutex::new(Places::new(Identity::of(&first.1.inode.stat))),
        });
        link.install(first);
        let keeper = link.clone();
        Builder::new().name("reconnect".into()).spawn(move || keeper.keep_up(&connect))?;
        Ok(link)
    }

    /// No more connections than the one there may be, and no more waiting for one.
    pub(crate) fn end(&self) {
        self.state.lock().is_over = true;
        self.changed.notify_all();
    }

    /// Ends the connection, too, and waits for the end of a server that was started for it.
    pub(super) fn finish(&self) {
        self.end();
        let last = self.state.lock().session.take();
        drop(last);
    }

    fn install(self: &Arc<Self>, (client, Root { inode, .. }, server): Connected) {
        let is_same = self.places.lock().identity(ROOT).is(&Identity::of(&inode.stat));
        if !is_same {
            tracing::error!("the server has other files than before; what was in use is stale until it has them again");
        }
        let root = is_same.then_some(inode.control_fd);
        let session = {
            let mut state = self.state.lock();
            state.generation += 1;
            state.is_overdue = false;
            let session = Arc::new(Session { client, generation: state.generation, root, _server: server });
            state.session = Some(session.clone());
            session
        };
        self.changed.notify_all();
        let (link, generation) = (Arc::downgrade(self), session.generation);
        session.client.on_death(move || {
            if let Some(link) = link.upgrade() {
                link.lose(generation);
            }
        });
    }

    /// Connection `generation` has ended.
    fn lose(&self, generation: Generation) {
        let lost = self.state.lock().session.take_if(|session| session.generation == generation);
        self.changed.notify_all();
        drop(lost);
    }

    /// Makes connections whenever there is none.
    fn keep_up(self: Arc<Self>, connect: &Connect) {
        let mut pause = FIRST_PAUSE;
        loop {
            let since = Instant::now();
            let mut state = self.state.lock();
            while state.session.is_some() && !state.is_over {
                self.changed.wait(&mut state);
            }
            if state.is_over {
                return;
            }
            drop(state);
            tracing::warn!("the server is gone; calls wait until it is back");
            let has_lasted = since.elapsed() > pause;
            pause = if has_lasted { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            // One that ends at once is not asked for again and again.
            if !has_lasted && self.is_over_within(pause) {
                return;
            }
            while let Err(obstacle) = connect().map(|connected| self.install(connected)) {
                tracing::debug!("{obstacle}");
                self.state.lock().obstacle = obstacle;
                if self.is_over_within(pause) {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            tracing::warn!("the server is back");
        }
    }

    /// Waits for `pause`, unless it is all over.
    fn is_over_within(&self, pause: Duration) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while_for(&mut state, |state| !state.is_over, pause);
        state.is_over
    }

    /// A connection; waits for one until `deadline`.
    fn session(&self, deadline: Instant) -> Result<Arc<Session>> {
        let mut state = self.state.lock();
        loop {
            if let Some(session) = state.session.as_ref().filter(|session| !session.client.is_dead()) {
                return Ok(session.clone());
            }
            if state.is_over {
                return Err(Error::IO);
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return Err(self.overdue(&mut state));
            }
        }
    }

    fn overdue(&self, state: &mut MutexGuard<'_, State>) -> Error {
        if !state.is_overdue {
            state.is_overdue = true;
            let obstacle = &state.obstacle;
            tracing::error!("the server is not back within {:?}; calls fail until it is: {obstacle}", self.time_limit);
        }
        Error::IO
    }

    /// Makes `call` on a connection, and again on the next one if it has ended meanwhile.
    pub(super) fn ask<T>(&self, call: impl FnMut(&Session) -> Result<T>) -> Result<(Arc<Session>, T)> {
        self.ask_until(Instant::now() + self.time_limit, call)
    }

    fn ask_until<T>(
        &self,
        deadline: Instant,
        mut call: impl FnMut(&Session) -> Result<T>,
    ) -> Result<(Arc<Session>, T)> {
        loop {
            let session = self.session(deadline)?;
            match call(&session) {
                Err(error) if session.has_ended_by(&error) => {}
                result => return result.map(|answer| (session, answer)),
            }
        }
    }

    /// Makes a change on a connection, with what `find` has found there. If that ends before it has answered, `look`
    /// says on the next one what has become of the change, which is made again if nothing has.
    pub(super) fn change<F: Copy, T>(
        &self,
        mut find: impl FnMut(&Session) -> Result<F>,
        mut change: impl FnMut(&Client, F) -> std::result::Result<T, Errno>,
        mut look: impl FnMut(&Session, F) -> Result<Outcome<T>>,
    ) -> Result<(Arc<Session>, T)> {
        let deadline = Instant::now() + self.time_limit;
        let mut is_unsure = false;
        loop {
            let (session, found) = self.ask_until(deadline, &mut find)?;
            if is_unsure {
                match look(&session, found) {
                    Ok(Outcome::Done(answer)) => return Ok((session, answer)),
                    Ok(Outcome::NotDone) => {}
                    Ok(Outcome::Unknown) => {
                        return Err(
                            Errno::IO.because("the server has ended before it has answered; it may have been done")
                        );
                    }
                    Err(error) if session.has_ended_by(&error) => continue,
                    Err(error) => return Err(error),
                }
            }
            let error = match change(&session.client, found) {
                Ok(answer) => return Ok((session, answer)),
                Err(errno) => errno.into(),
            };
            if session.has_ended_by(&error) {
                is_unsure = true;
                continue;
            }
            if is_unsure && let Ok(Outcome::Done(answer)) = look(&session, found) {
                // It has failed by its own success, which has come late.
                return Ok((session, answer));
            }
            return Err(error);
        }
    }

    /// Walks to `place` on this connection. The control FD is the caller's to [close](Self::close), but for the root's.
    pub(super) fn find(&self, session: &Session, place: PlaceId) -> Result<FdId> {
        let root = session.root()?;
        if place == ROOT {
            return Ok(root);
        }
        let (identity, ways) = {
            let places = self.places.lock();
            (places.identity(place), places.ways(place))
        };
        for way in ways {
            let names: Vec<&[u8]> = way.names.iter().map(|name| &**name).collect();
            let Some(inode) = walk(&session.client, root, &names)? else { continue };
            if Identity::of(&inode.stat).is(&identity) {
                self.places.lock().found(&way);
                return Ok(inode.control_fd);
            }
            session.client.close(inode.control_fd);
        }
        Err(Errno::STALE.because("its name leads nowhere or to another file since the server was started again"))
    }

    /// Gives an FD back, if its connection still is the one.
    pub(super) fn close(&self, held: Held) {
        let state = self.state.lock();
        if let Some(session) = state.session.as_ref().filter(|session| session.generation == held.generation) {
            session.client.close(held.fd);
        }
    }
}

/// The file that `names` lead to from `root`, if they lead to one.
fn walk(client: &Client, root: FdId, names: &[&[u8]]) -> Result<Option<Inode>> {
    /// Bytes for a name in a request and a file in the answer.
    const ROOM: usize = 512;
    let at_once = (client.max_read() / ROOM).clamp(1, 64);
    let mut reached = None;
    for names in names.chunks(at_once) {
        let from = reached.map_or(root, |inode: Inode| inode.control_fd);
        let walked = client.walk(from, names);
        if let Some(inode) = reached.take() {
            client.close(inode.control_fd);
        }
        let mut inodes = match walked {
            Ok((_, inodes)) => inodes,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let last = (inodes.len() == names.len()).then(|| inodes.pop()).flatten();
        let on_the_way: Vec<FdId> = inodes.iter().map(|inode| inode.control_fd).collect();
        client.close_all(&on_the_way);
        reached = last;
        if reached.is_none() {
            return Ok(None);
        }
    }
    Ok(reached)
}
