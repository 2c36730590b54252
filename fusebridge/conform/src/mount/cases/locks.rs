//! Locks between those who use the mount.

use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::{FlockOperation, flock};

use crate::mount::check::{Expect, Verdict, equal, fails};
use crate::mount::scene::Scene;

cases! { "locks":
    exclusive = "an exclusive lock excludes all others until it is released";
    shared = "shared locks coexist, and exclude an exclusive one";
    closing = "closing the file releases its lock";
    converted = "a shared lock can be upgraded";
    ranges = "locks on disjoint ranges coexist";
    told = "F_GETLK names the holder of a lock";
    without_a_name = "a lock outlives the file's name";
}

fn two(scene: &Scene) -> Verdict<(File, File)> {
    Ok((scene.file("a", b"0123456789")?, scene.open_rw("a")?))
}

fn exclusive(scene: &Scene) -> Verdict {
    let (one, two) = two(scene)?;
    flock(&one, FlockOperation::LockExclusive).offered("flock(a, LOCK_EX)")?;
    for wanted in [FlockOperation::NonBlockingLockExclusive, FlockOperation::NonBlockingLockShared] {
        fails(format_args!("flock(a, {wanted:?}) of a locked file"), flock(&two, wanted), &[Errno::EWOULDBLOCK])?;
    }
    flock(&one, FlockOperation::Unlock).of("flock(a, LOCK_UN)")?;
    flock(&two, FlockOperation::NonBlockingLockExclusive).of("flock(a, LOCK_EX|LOCK_NB) after LOCK_UN")
}

fn shared(scene: &Scene) -> Verdict {
    let (one, two) = two(scene)?;
    flock(&one, FlockOperation::LockShared).offered("flock(a, LOCK_SH)")?;
    flock(&two, FlockOperation::NonBlockingLockShared).of("flock(a, LOCK_SH|LOCK_NB) beside another")?;
    let three = scene.open("a")?;
    let refused = flock(&three, FlockOperation::NonBlockingLockExclusive);
    fails("flock(a, LOCK_EX|LOCK_NB) beside shared ones", refused, &[Errno::EWOULDBLOCK])
}

fn closing(scene: &Scene) -> Verdict {
    let (one, two) = two(scene)?;
    flock(&one, FlockOperation::LockExclusive).offered("flock(a, LOCK_EX)")?;
    drop(one);
    flock(&two, FlockOperation::NonBlockingLockExclusive).of("flock(a, LOCK_EX|LOCK_NB) after close()")
}

fn converted(scene: &Scene) -> Verdict {
    let (one, two) = two(scene)?;
    flock(&one, FlockOperation::LockShared).offered("flock(a, LOCK_SH)")?;
    flock(&one, FlockOperation::NonBlockingLockExclusive).of("flock(a, LOCK_EX|LOCK_NB) by the holder")?;
    fails("flock(a, LOCK_SH|LOCK_NB)", flock(&two, FlockOperation::NonBlockingLockShared), &[Errno::EWOULDBLOCK])
}

/// A lock on part of a file.
fn range(kind: i32, start: i64, length: i64) -> libc::flock {
    libc::flock { l_type: i16::try_from(kind).unwrap_or(0), l_whence: 0, l_start: start, l_len: length, l_pid: 0 }
}

fn lock(file: &File, kind: i32, start: i64, length: i64) -> nix::Result<i32> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&range(kind, start, length)))
}

fn ranges(scene: &Scene) -> Verdict {
    let (one, two) = two(scene)?;
    lock(&one, libc::F_WRLCK, 0, 5).offered("fcntl(a, F_OFD_SETLK, F_WRLCK, 0-4)")?;
    lock(&two, libc::F_WRLCK, 5, 5).of("fcntl(a, F_OFD_SETLK, F_WRLCK, 5-9) beside it")?;
    let refused = &[Errno::EAGAIN, Errno::EACCES];
    fails("fcntl(a, F_OFD_SETLK, F_RDLCK, 4-5) across both", lock(&two, libc::F_RDLCK, 4, 2), refused)?;
    lock(&one, libc::F_UNLCK, 4, 1).of("fcntl(a, F_OFD_SETLK, F_UNLCK, 4)")?;
    lock(&two, libc::F_RDLCK, 4, 1).of("fcntl(a, F_OFD_SETLK, F_RDLCK, 4) after that")?;
    fails("fcntl(a, F_OFD_SETLK, F_WRLCK, 4)", lock(&one, libc::F_WRLCK, 4, 1), refused).map(drop)
}

fn told(scene: &Scene) -> Verdict {
    let (one, two) = two(scene)?;
    lock(&one, libc::F_WRLCK, 2, 3).offered("fcntl(a, F_OFD_SETLK, F_WRLCK, 2-4)")?;
    let mut asked = range(libc::F_RDLCK, 0, 10);
    fcntl(&two, FcntlArg::F_OFD_GETLK(&mut asked)).of("fcntl(a, F_OFD_GETLK)")?;
    let held = (i32::from(asked.l_type), asked.l_start, asked.l_len);
    equal("type, start and length of the lock", held, (libc::F_WRLCK, 2, 3))?;
    let mut asked = range(libc::F_RDLCK, 5, 10);
    fcntl(&two, FcntlArg::F_OFD_GETLK(&mut asked)).of("fcntl(a, F_OFD_GETLK)")?;
    equal("type of a lock that is not there", i32::from(asked.l_type), libc::F_UNLCK)
}

fn without_a_name(scene: &Scene) -> Verdict {
    let (one, two) = two(scene)?;
    flock(&one, FlockOperation::LockExclusive).offered("flock(a, LOCK_EX)")?;
    scene.unlink("a")?;
    let refused = flock(&two, FlockOperation::NonBlockingLockShared);
    fails("flock(a, LOCK_SH|LOCK_NB) without a name", refused, &[Errno::EWOULDBLOCK])
}
