//! Umasks that belong to a thread.
//!
//! The kernel itself decides whether a new file's mode loses the bits of the umask or what the directory's default
//! access control list says, in the moment in which it makes the file. To find that out before would be too early.

use std::cell::Cell;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::Mode;
use rustix::io::{Errno, Result};
use rustix::process::umask;

thread_local! {
    /// Whether this thread's umask is no other thread's.
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Makes a file under the umask `masked`, where the process has none.
pub(super) fn with_umask<T>(masked: lisafs::backend::Mode, make: impl FnOnce() -> Result<T>) -> Result<T> {
    if masked.bits() == 0 {
        return make();
    }
    if !IS_OWN.get() {
        unshare(CloneFlags::CLONE_FS).map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
        IS_OWN.set(true);
    }
    let before = umask(Mode::from_raw_mode(masked.bits().into()));
    let made = make();
    umask(before);
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_for_one_thread_and_one_file() {
        let before = umask(Mode::empty());
        umask(before);
        let current = || {
            let current = umask(Mode::empty());
            umask(current);
            current
        };
        let thread = std::thread::spawn(move || {
            let within = with_umask(lisafs::backend::Mode::new(0o137), || Ok(current())).unwrap();
            assert_eq!(within, Mode::from_raw_mode(0o137));
            assert_eq!(current(), before);
            // Another thread's is not the same.
            let (umask_is_set, go_on) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
            std::thread::scope(|scope| {
                let masked = scope.spawn(|| {
                    with_umask(lisafs::backend::Mode::new(0o137), || {
                        umask_is_set.wait();
                        go_on.wait();
                        Ok(())
                    })
                });
                umask_is_set.wait();
                let here = current();
                go_on.wait();
                masked.join().unwrap().unwrap();
                assert_eq!(here, before);
            });
        });
        thread.join().unwrap();
    }
}
