//! The mounted file system.
//!
//! | FUSE request | what the server is asked |
//! |---|---|
//! | LOOKUP | WalkStat if the name is known, to see whether it is still the same file; else Walk of one name; for several names at once, and FStat of their directory, if somebody goes through it in a shared mount whose server is slow ([`ahead`]) |
//! | FORGET | Close, in batches |
//! | GETATTR | FStat |
//! | SETATTR | SetStat and FStat; a truncation through a handle goes to its donated file |
//! | READLINK | ReadLinkAt |
//! | MKNOD, MKDIR, SYMLINK, LINK | MknodAt, MkdirAt, SymlinkAt, LinkAt |
//! | CREATE | OpenCreateAt, and OpenAt with `O_NOATIME`; if the name exists by now and need not be new, Walk and OpenAt |
//! | UNLINK, RMDIR | UnlinkAt |
//! | RENAME, RENAME2 | RenameAt, RenameAt2 |
//! | OPEN, OPENDIR | OpenAt |
//! | GETATTR in exclusive mode, when a file that the kernel may have mapped by itself was closed | OpenAt and Close, to see whether it still is |
//! | READ, WRITE | nothing with a donated file (the kernel or this process uses it), else PRead, PWrite, and several PReads at once for what comes next in a shared mount whose server is slow ([`ahead`]); before a write past the kernel's cache FGetXattr, once an open, and SetStat if there are bits to clear |
//! | FLUSH | Flush, if offered |
//! | FSYNC, FSYNCDIR | nothing with a donated file, else FSync |
//! | RELEASE, RELEASEDIR | Close, in batches |
//! | READDIR | Getdents64 |
//! | READDIRPLUS | Getdents64, then as LOOKUP for each entry, for several at once if the server is slow; then, and where descriptors are scarce, only for the first of a directory |
//! | STATFS | FStatFS |
//! | GETXATTR, SETXATTR, LISTXATTR, REMOVEXATTR | FGetXattr, FSetXattr, FListXattr, FRemoveXattr; access control lists are refused where the server keeps none, and after setting one FStat, and SetStat if the set-group-id bit must go |
//! | FALLOCATE | FAllocate |
//! | LSEEK | LSeek, if the server is of this project; nothing for donated files |
//! | COPY_FILE_RANGE | nothing: done on donated files, refused without |
//! | locks | nothing: the kernel keeps them |
//!
//! What makes it behave as a local file system: a file is one node under all its names ([`nodes`]), by device and inode
//! number ([`identity`]); who creates a file owns it, and a set-group-id directory passes its group on (`create`); an
//! offset in a directory stays good as long as it is open (`listing`); access control lists are obeyed
//! (`access_lists`) unless owners are shown as others (`owners`); what is stored in mappings and what is written past
//! the kernel's cache are both kept (`mapped`); the number of descriptors is bounded ([`evict`], [`control`]). Only
//! `fuse` knows the FUSE ABI and the FUSE library.

mod access_lists;
pub mod ahead;
pub mod bridge;
pub mod caller;
pub mod control;
mod create;
mod dir;
pub mod evict;
mod flags;
mod fuse;
pub mod handles;
pub mod identity;
mod invalidate;
mod io;
mod listing;
mod mapped;
mod names;
pub mod nodes;
mod owners;
pub mod policy;
mod privileges;
mod replaced;
mod seek;
mod shares;
mod unseen;
mod walk;
mod write_back;
mod xattr;

pub use bridge::Bridge;
pub use fuse::{FuseConnection, FuzzedEntry, InProcess, MountOptions, Mounted, Transport, calls_at_most, is_request};
pub use owners::{Ids, Owners};
pub use policy::{Access, IoMode, Policy};
