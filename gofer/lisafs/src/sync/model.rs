//! Locks of loom's that are used as parking_lot's are.

use std::fmt;
use std::ops::{Deref, DerefMut};

pub(crate) use loom::sync::atomic::AtomicBool;

#[derive(Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

pub(crate) struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().unwrap()))
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap()
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mutex")
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().unwrap()
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().unwrap()
    }
}

#[derive(Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        guard.0 = guard.0.take().map(|inner| self.0.wait(inner).unwrap());
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Lets nobody in to read while somebody waits to write, but for those who say that they may have it already.
pub(crate) struct RwLock<T> {
    holders: Mutex<Holders>,
    changed: Condvar,
    value: T,
}

#[derive(Default)]
struct Holders {
    readers: usize,
    is_written: bool,
    waiting_writers: usize,
}

pub(crate) struct RwLockGuard<'a, T> {
    lock: &'a RwLock<T>,
    writes: bool,
}

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        RwLock { holders: Mutex::default(), changed: Condvar::new(), value }
    }

    fn guard(&self, writes: bool) -> RwLockGuard<'_, T> {
        RwLockGuard { lock: self, writes }
    }

    pub(crate) fn read(&self) -> RwLockGuard<'_, T> {
        let mut holders = self.holders.lock();
        while holders.is_written || holders.waiting_writers > 0 {
            self.changed.wait(&mut holders);
        }
        holders.readers += 1;
        self.guard(false)
    }

    pub(crate) fn read_recursive(&self) -> RwLockGuard<'_, T> {
        let mut holders = self.holders.lock();
        while holders.is_written {
            self.changed.wait(&mut holders);
        }
        holders.readers += 1;
        self.guard(false)
    }

    pub(crate) fn try_read(&self) -> Option<RwLockGuard<'_, T>> {
        let mut holders = self.holders.lock();
        if holders.is_written || holders.waiting_writers > 0 {
            return None;
        }
        holders.readers += 1;
        Some(self.guard(false))
    }

    pub(crate) fn write(&self) -> RwLockGuard<'_, T> {
        let mut holders = self.holders.lock();
        holders.waiting_writers += 1;
        while holders.is_written || holders.readers > 0 {
            self.changed.wait(&mut holders);
        }
        holders.waiting_writers -= 1;
        holders.is_written = true;
        self.guard(true)
    }

    pub(crate) fn try_write(&self) -> Option<RwLockGuard<'_, T>> {
        let mut holders = self.holders.lock();
        if holders.is_written || holders.readers > 0 {
            return None;
        }
        holders.is_written = true;
        Some(self.guard(true))
    }
}

impl<T> Drop for RwLockGuard<'_, T> {
    fn drop(&mut self) {
        let mut holders = self.lock.holders.lock();
        if self.writes {
            holders.is_written = false;
        } else {
            holders.readers -= 1;
        }
        drop(holders);
        self.lock.changed.notify_all();
    }
}

impl<T> Deref for RwLockGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock.value
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RwLock")
    }
}
