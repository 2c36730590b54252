//! Locks and flags of what is modelled: the tree of a server and the pool of a client.
//!
//! In models (`cfg(loom)`) they are ones of which every order of use is tried.

#[cfg(all(test, loom))]
mod model;

#[cfg(all(test, loom))]
pub(crate) use self::model::{AtomicBool, Condvar, Mutex, RwLock};
#[cfg(not(all(test, loom)))]
pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
#[cfg(not(all(test, loom)))]
pub(crate) use std::sync::atomic::AtomicBool;
