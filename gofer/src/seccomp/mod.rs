//! Which system calls the process may make.
//!
//! The filter is an allow list; anything else ends the process at once, by `SIGSYS`. What is on the list is data: a
//! [table](policy::TABLE) with the reason for each entry. From data to filter it goes in three steps:
//!
//! 1. [`stock`] takes those entries of the table that a configuration needs.
//! 2. [`merge`] adds what extensions ask for, except what must never be allowed.
//! 3. [`install`] hands the result to the kernel, for all threads and for good.
//!
//! The first two are pure functions. The third comes last in the start of the process: the list has no call that makes
//! a thread, so all threads must be there before.
//!
//! # What extensions can have
//!
//! Any system call, except those by which memory could become executable that is not yet, or which reach into other
//! processes; see [`merge`]. Extensions should ask for as little as they can, with conditions on arguments. Mind that
//! `io_uring` makes system calls on behalf of the process without the filter ever seeing them.
//!
//! ```
//! use gofer::seccomp::{Condition, Needs, SyscallRules, merge, stock};
//!
//! let wanted = SyscallRules::new()
//!     .allow(libc::SYS_sendto)
//!     .allow_if(libc::SYS_socket, [Condition::int(0, libc::AF_INET)]);
//! let rules = merge(&stock(Needs::default()), &[wanted]);
//! assert!(rules.mentions(libc::SYS_sendto));
//! ```

mod docs;
mod install;
mod merge;
pub mod policy;
mod rules;
#[cfg(test)]
mod tests;

pub use docs::markdown;
pub use install::{InstallError, install};
pub use merge::{merge, refused};
pub use policy::{Needs, stock};
pub use rules::{Condition, SyscallRules};
