//! File systems that others bring: an [`Extension`] looks at a mount and claims it with a
//! [`Backend`](lisafs::backend::Backend), or declines.
//!
//! A program that wants extensions passes them to [`main_with`](crate::main_with); the [`Registry`] asks them in that
//! order. What nobody claims is served by the stock backend, and with nothing registered nothing is different from a
//! gofer without this module.

mod annotation;
mod claim;
mod hand_down;
mod recipient;
mod registry;
mod size;

pub use annotation::Stray;
pub use annotation::{BACKEND_ANNOTATION, DESTINATION_ANNOTATION, backend_annotation};
pub(crate) use annotation::{backends_of, strays, wanted};
pub use claim::{Claim, Container, MountRequest, Preparation, Source};
pub use hand_down::HandDown;
pub use recipient::Recipient;
pub use registry::{Backends, FileAccess, OpenError, Registry, RegistryError, chain, split};
pub(crate) use size::digits;
pub use size::parse_size;

use std::ffi::OsStr;

use crate::seccomp::SyscallRules;

/// Whatever an extension wants to say when something fails. People see its text.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of an extension's call.
pub type Result<T> = std::result::Result<T, Error>;

/// A source of file systems.
///
/// Only the name and [`open`](Self::open) are required. All methods are called by one thread, and all but
/// [`end`](Self::end) before the first request is answered.
pub trait Extension: Send + Sync {
    /// Its name: what stands before the colon in `NAME:ARGUMENT`. Lower-case letters, digits and `-`.
    fn name(&self) -> &'static str;

    /// The file system that `NAME:ARGUMENT` stands for, on a command line or in an annotation. `argument` can be empty.
    /// An extension that wraps other backends gets them from `backends`.
    fn open(&self, argument: &str, backends: &Backends<'_>) -> Result<Claim>;

    /// Whether `NAME:ARGUMENT` can be opened in a container, or in a service, as far as that can be told without opening
    /// it. `gofer runtime` asks before it starts a container, `gofer-volumes` when it reads its configuration, and so
    /// whoever wants that is told what is wrong; what is found later only logs say.
    fn check(&self, argument: &str, backends: &Backends<'_>) -> Result<()> {
        let _ = (argument, backends);
        Ok(())
    }

    /// Looks at a mount of a sandbox. `Ok(None)` leaves it to others; an error is fatal for the mount. In runsc's
    /// gofer, privileges are gone by now, and paths are those of the container.
    ///
    /// By default a mount is claimed if the container's spec says so by an annotation, see [`BACKEND_ANNOTATION`].
    fn claim(&self, request: &MountRequest<'_>, backends: &Backends<'_>) -> Result<Option<Claim>> {
        match backend_annotation(request).and_then(|backend| backend.split_once(':')) {
            Some((name, argument)) if name == self.name() => self.open(argument, backends).map(Some),
            _ => Ok(None),
        }
    }

    /// Who takes over whole connections of what `NAME:ARGUMENT` stands for, so that nobody in this process serves them;
    /// asked before [`open`](Self::open) and [`claim`](Self::claim), once for each connection. `in_sandbox`: an
    /// annotation says so, and paths are those of the container.
    fn recipient(&self, argument: &str, in_sandbox: bool) -> Result<Option<Box<dyn Recipient>>> {
        let _ = (argument, in_sandbox);
        Ok(None)
    }

    /// System calls that its backends need beyond those of the stock one. They are allowed in the gofers of containers
    /// with a mount that this extension serves, itself or as what another extension wraps; nothing can allow executable
    /// mappings.
    fn system_calls(&self) -> SyscallRules {
        SyscallRules::default()
    }

    /// Command-line flags of its own. Their names should begin with the extension's. runsc passes none of them to its
    /// gofers: there, they are what `/etc/gofer/runtime.json` has as `"flags": ["--NAME=VALUE"]`.
    fn flags(&self) -> Vec<clap::Arg> {
        Vec::new()
    }

    /// Called once, before privileges are dropped and system calls are filtered, and while paths are still the host's:
    /// the time to open files or sockets that backends use later. No threads, please: they would keep the privileges.
    /// [`open`](Self::open) may make some.
    fn prepare(&self, preparation: &Preparation<'_>) -> Result<()> {
        let _ = preparation;
        Ok(())
    }

    /// What a process gets from this one that is started to serve `backends`, with the same `flags`: as fusebridge
    /// starts one that has neither its terminal nor its descriptors. Called before [`prepare`](Self::prepare), or
    /// instead of it by a process that serves nothing itself; the time to ask people for what the backends need, once
    /// for all.
    fn hand_down(&self, backends: &[&OsStr], flags: &clap::ArgMatches) -> Result<Option<HandDown>> {
        let _ = (backends, flags);
        Ok(None)
    }

    /// Called once at the orderly end of the process, when all connections have ended and their backends were
    /// [detached](lisafs::backend::Backend::detach). A process that is killed does not get here, and a container's
    /// gofer often is: what must not be lost is made durable by [`sync`](lisafs::backend::OpenFile::sync). System calls
    /// are filtered by now.
    fn end(&self) {}
}
