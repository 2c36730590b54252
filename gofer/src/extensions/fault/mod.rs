//! Another file system with something wrong, to try out clients and tests: `fault:BACKEND?PARAMETER&PARAMETER..`.
//!
//! Parameters stand behind the last `?`; a directory with a `?` in its name needs one more behind it. Latencies and
//! errors can be given several times: where several are about one call, latencies add up and the first error counts.
//!
//! | parameter | meaning |
//! |---|---|
//! | `latency=DURATION[@CALL]` | calls take longer by this: a number with `ns`, `us`, `ms` or `s` |
//! | `error=ERRNO@CALL[:PROBABILITY]` | calls fail with this error, and have no effect |
//! | `short=read[:PROBABILITY]`, `short=write[:PROBABILITY]` | fewer bytes than asked for are read or written, but at least one |
//! | `exit=CALL[:PROBABILITY]` | the process that serves ends when it has done such a call, before it has answered |
//! | `defect=DEFECT[:PROBABILITY]` | answers are wrong in one of the ways below |
//! | `seed=N` | makes chance the same each time |
//!
//! CALL is a name of a [`Call`](super::wrap::Call): `walk`, `stat`, `read`, `write`, `create`, .. or `xattr` for all
//! calls about extended attributes, or `*` for all calls but `attach`, as is no CALL at all. `walk` includes walks of
//! whole paths. PROBABILITY is a number from 0 to 1, and 1 if it is left out. With a seed, whether the nth call that a
//! parameter is about is hit depends on nothing else, so one thread sees the same each time.
//!
//! | defect | what is wrong |
//! |---|---|
//! | `wrong-nlink` | files that are no directories have one link |
//! | `wrong-size` | regular files are a byte larger |
//! | `wrong-mode` | others may execute what they may not, and the other way round |
//! | `wrong-owner` | new files belong to the server's own user and group |
//! | `zero-ino` | regular files have inode number 0 |
//! | `stale-stat` | attributes stay what they were when a file was first seen |
//! | `coarse-times` | times are whole seconds |
//! | `wrong-errno` | errors are `EIO`, but for `ENOENT` |
//! | `lost-write` | data is not written |
//! | `lost-truncate` | sizes are not set |
//! | `lost-unlink` | files and directories are not removed |
//! | `lost-xattr` | extended attributes are not set |
//! | `cut-xattr` | values of extended attributes lack the last byte |
//! | `cut-link` | targets of symbolic links lack the last byte |
//! | `no-rename-replace` | a rename does not replace: `EEXIST` |
//! | `rename-over` | a rename replaces although it must not |
//! | `missing-dirent` | directories lack the first entry |
//! | `duplicate-dirent` | directories have the first entry twice |
//! | `reordered-readdir` | entries change places in pairs but their positions stay, so that going on elsewhere repeats or misses one |
//! | `wrong-dirent-type` | all entries of directories are regular files |
//! | `wrong-dirent-ino` | entries of directories have other inode numbers than the files |
//! | `changing-ino` | files have another inode number each time somebody asks |
//! | `wrong-blocks` | regular files take no space |
//! | `wrong-device` | device nodes have other numbers |
//! | `frozen-times` | times stay what they were when a file was first seen |
//! | `wrong-statfs` | more of the file system is free than there is |
//! | `wide-mode` | everybody may read and write new files |
//! | `lost-special-bits` | new files have no set-id and sticky bits |
//! | `lost-mode` | modes are not set |
//! | `lost-owner` | owners and groups are not set |
//! | `lost-times` | times are not set |
//! | `lost-rename` | nothing is renamed |
//! | `lost-allocate` | no space is reserved or freed |
//! | `lost-removexattr` | extended attributes are not removed |
//! | `missing-xattr` | lists of extended attributes lack the last one |
//! | `garbled-read` | the last byte that is read is another one |
//! | `garbled-write` | the last byte that is written is another one |
//! | `shifted-write` | data is written one byte further on |
//! | `dirty-holes` | what a write beyond the end of a file leaves out is no zeros |
//! | `ignored-excl` | creating a file that exists opens it |
//! | `ignored-noatime` | reading changes the time of access though it should not |
//! | `copied-links` | a hard link is a copy |
//! | `swallowed-errors` | calls that answer nothing but success succeed, even if they fail |
//!
//! Clients get no host descriptors of files and directories: what they do with these could not be seen here.

mod chance;
mod defect;
mod errno;
mod layer;
mod listing;
mod parameters;
#[cfg(test)]
mod tests;

pub use layer::Fault;
pub use parameters::FaultError;

use std::sync::Arc;

use super::wrap::{self, Wrapped};
use crate::extension::{Backends, Claim, Error, Extension};
use crate::seccomp::SyscallRules;

/// Brings file systems with something wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaultExtension;

impl Extension for FaultExtension {
    fn name(&self) -> &'static str {
        "fault"
    }

    fn system_calls(&self) -> SyscallRules {
        // For latencies.
        SyscallRules::new().allow(libc::SYS_clock_nanosleep)
    }

    fn check(&self, argument: &str, backends: &Backends<'_>) -> Result<(), Error> {
        let (backend, parameters) = argument.rsplit_once('?').unwrap_or((argument, ""));
        Fault::parse(parameters)?;
        wrap::check(self.name(), backend, backends)
    }

    fn open(&self, argument: &str, backends: &Backends<'_>) -> Result<Claim, Error> {
        let (backend, parameters) = argument.rsplit_once('?').unwrap_or((argument, ""));
        let fault = Fault::parse(parameters)?;
        let inner = wrap::open(self.name(), backend, backends)?;
        Ok(Claim::new(Arc::new(Wrapped::new(inner, fault))))
    }
}
