//! Control sockets whose request has not come yet, or was not answered.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::net::{Shutdown, shutdown};

/// How many one user may have whose request has not come.
const MOST: usize = 64;

/// All of them, the oldest first.
#[derive(Default)]
pub(crate) struct Pending(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    next: u64,
    /// With their users. Of those whose request has come, but is not answered, only the number.
    sockets: BTreeMap<u64, Option<(u32, Arc<OwnedFd>)>>,
}

/// One of them. Dropping it says that its request was answered, or will not come.
pub(crate) struct Waiting {
    pending: Arc<Pending>,
    number: u64,
}

impl Pending {
    /// Adds a control socket of `user`. If there are too many of this user, the oldest one is ended.
    pub(crate) fn add(self: &Arc<Self>, user: u32, socket: &Arc<OwnedFd>) -> Waiting {
        let mut inner = self.0.lock();
        let of_user = inner.sockets.iter().filter(|(_, socket)| socket.as_ref().is_some_and(|(of, _)| *of == user));
        if let (MOST.., Some((&oldest, _))) = (of_user.clone().count(), of_user.clone().next())
            && let Some(Some((_, socket))) = inner.sockets.remove(&oldest)
        {
            // Its thread sees the end and gives up.
            let _ = shutdown(&*socket, Shutdown::Both);
        }
        let number = inner.next;
        inner.next += 1;
        inner.sockets.insert(number, Some((user, socket.clone())));
        Waiting { pending: self.clone(), number }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().sockets.is_empty()
    }
}

impl Waiting {
    /// Its request has come: no later one takes its place.
    pub(crate) fn has_asked(&self) {
        if let Some(socket) = self.pending.0.lock().sockets.get_mut(&self.number) {
            *socket = None;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pending.0.lock().sockets.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn the_oldest_of_the_same_user_goes() {
        let pending = Arc::new(Pending::default());
        let pairs: Vec<_> = (0..=MOST).map(|_| UnixStream::pair().unwrap()).collect();
        let mut others = Vec::new();
        let mut waiting = Vec::new();
        let (stranger, mut stranger_end) = UnixStream::pair().unwrap();
        waiting.push(pending.add(1, &Arc::new(stranger.into())));
        for (ours, theirs) in pairs {
            waiting.push(pending.add(2, &Arc::new(ours.into())));
            others.push(theirs);
        }
        assert_eq!(others[0].read(&mut [0]).unwrap(), 0);
        for open in others[1..].iter_mut().chain([&mut stranger_end]) {
            open.set_nonblocking(true).unwrap();
            assert!(open.read(&mut [0]).is_err());
        }
        drop(waiting);
        assert!(pending.is_empty());
    }

    #[test]
    fn who_has_asked_may_wait() {
        let pending = Arc::new(Pending::default());
        let pairs: Vec<_> = (0..3 * MOST).map(|_| UnixStream::pair().unwrap()).collect();
        let mut waiting = Vec::new();
        for (ours, theirs) in pairs {
            let ours = Arc::new(ours.into());
            let one = pending.add(1, &ours);
            one.has_asked();
            waiting.push((one, ours, theirs));
        }
        for (_, _, theirs) in &mut waiting {
            theirs.set_nonblocking(true).unwrap();
            assert!(theirs.read(&mut [0]).is_err());
        }
        assert!(!pending.is_empty());
        drop(waiting);
        assert!(pending.is_empty());
    }
}
