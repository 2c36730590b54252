//! Everything that makes the library runsc's gofer process.
//!
//! runsc starts `/proc/self/exe` as `runsc-gofer FLAGS gofer FLAGS CONTAINER-ID`; [`main`] is what happens then. In
//! this order:
//!
//! 1. The command line (`args`), the descriptors that it names (`descriptors`), the `log`, the `spec`, and what they
//!    make together (`plan`). Whatever is wrong there ends the process before it has changed anything.
//! 2. Waiting for runsc (`sync`), the container's root file system (`rootfs`) and `hooks`.
//! 3. Privileges go (`privileges`), connections are made (`serve`), system calls are filtered, and requests answered.

mod args;
pub(crate) mod call;
mod descriptors;
mod flags;
pub mod hints;
mod hooks;
mod log;
mod memory;
mod mounts;
mod plan;
mod privileges;
mod process;
pub(crate) mod raw;
mod rootfs;
mod rpc;
mod serve;
pub mod shim;
mod spec;
mod sync;

pub(crate) use log::FIRST_LINE;
pub use process::main;
