//! A thread with a working directory and credentials of its own.
//!
//! Connecting and binding UNIX sockets takes a path of at most 108 bytes, and connecting in another user's name takes
//! that user's credentials. Both belong to a thread in Linux, so one thread of the process does these things for all
//! others. It never blocks: the sockets do not.

use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::Mode;
use rustix::process::{Gid, Uid, fchdir, getegid, geteuid, getgroups, umask};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use super::errno;
use lisafs::backend::{Credentials, NO_ID};
use rustix::io::{Errno, Result};

/// A way to the thread, which ends when the last one is dropped.
pub(super) struct Helper {
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce(&mut ThreadState) + Send>;

impl Helper {
    /// Starts the thread with the directory `/proc/self/fd` as its working directory.
    pub(super) fn start(proc_fds: OwnedFd) -> Result<Self> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (started, has_started) = mpsc::sync_channel(1);
        let body = move || {
            let state = ThreadState::new(proc_fds);
            // If nobody waits for it there will be no jobs either.
            let _ = started.send(state.as_ref().map(drop).map_err(|errno| *errno));
            let Ok(mut state) = state else { return };
            while !state.is_stranded
                && let Ok(job) = todo.recv()
            {
                job(&mut state);
            }
        };
        thread::Builder::new().name("hostfs-sockets".into()).spawn(body).map_err(|error| errno(&error))?;
        has_started.recv().map_err(|_| Errno::IO)??;
        Ok(Helper { jobs })
    }

    /// Does `job` in the thread and waits for it. `EIO` if the thread is no more.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut ThreadState) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = mpsc::sync_channel(1);
        let job = Box::new(move |state: &mut ThreadState| {
            let _ = reply.send(job(state));
        });
        self.jobs.send(job).map_err(|_| Errno::IO)?;
        answer.recv().map_err(|_| Errno::IO)?
    }
}

/// What jobs find in the thread.
pub(super) struct ThreadState {
    proc_fds: OwnedFd,
    uid: Uid,
    gid: Gid,
    capabilities: CapabilitySets,
    /// Whether nothing but user and group says what the thread may do.
    has_no_groups: bool,
    /// Whether the thread has not got its own credentials back, and must end.
    is_stranded: bool,
}

impl ThreadState {
    fn new(proc_fds: OwnedFd) -> Result<Self> {
        unshare(CloneFlags::CLONE_FS).map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
        fchdir(&proc_fds)?;
        // The client's modes are ready made, whatever the process's umask is now.
        umask(Mode::empty());
        Ok(ThreadState {
            proc_fds,
            uid: geteuid(),
            gid: getegid(),
            capabilities: capabilities(None)?,
            has_no_groups: set_thread_groups(&[]).is_ok() || getgroups()?.is_empty(),
            is_stranded: false,
        })
    }

    /// Does `job` with the directory of descriptor number `dir` as working directory.
    pub(super) fn in_dir<T>(&mut self, dir: &str, job: impl FnOnce() -> Result<T>) -> Result<T> {
        rustix::process::chdir(dir)?;
        let result = job();
        // Descriptor numbers would mean something else in any other directory.
        self.is_stranded |= fchdir(&self.proc_fds).is_err();
        result
    }

    /// Does `job` in the name of somebody, without groups and without capabilities that this one would not have.
    /// `EPERM` if that cannot be.
    pub(super) fn as_user<T>(&mut self, somebody: Credentials, job: impl FnOnce() -> Result<T>) -> Result<T> {
        if !self.has_no_groups || somebody.uid == NO_ID || somebody.gid == NO_ID {
            return Err(Errno::PERM);
        }
        let switched = self.become_user(somebody);
        let result = if switched.is_ok() { job() } else { Err(Errno::PERM) };
        self.is_stranded |= self.become_oneself().is_err();
        result
    }

    fn become_user(&self, somebody: Credentials) -> Result<()> {
        set_thread_res_gid(None, Gid::from_raw(somebody.gid), None)?;
        set_thread_res_uid(None, Uid::from_raw(somebody.uid), None)?;
        if somebody.uid != 0 {
            // The kernel does that only when the user was 0 before.
            set_capabilities(None, CapabilitySets { effective: CapabilitySet::empty(), ..self.capabilities })?;
        }
        Ok(())
    }

    fn become_oneself(&self) -> Result<()> {
        set_thread_res_uid(None, self.uid, None)?;
        set_capabilities(None, self.capabilities)?;
        set_thread_res_gid(None, self.gid, None)
    }
}
