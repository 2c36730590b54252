//! A read-only view of another backend: `readonly:BACKEND`.
//!
//! The server refuses changes before they reach a backend, so the files are the other backend's own.

use std::sync::Arc;

use super::wrap;
use crate::extension::{Backends, Claim, Error, Extension};
use lisafs::backend::{Attachment, Backend, Options, Result};

/// Brings file systems that cannot be changed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnlyExtension;

impl Extension for ReadOnlyExtension {
    fn name(&self) -> &'static str {
        "readonly"
    }

    fn check(&self, argument: &str, backends: &Backends<'_>) -> std::result::Result<(), Error> {
        wrap::check(self.name(), argument, backends)
    }

    fn open(&self, argument: &str, backends: &Backends<'_>) -> std::result::Result<Claim, Error> {
        let inner = wrap::open_read_only(self.name(), argument, backends)?;
        Ok(Claim::new(Arc::new(ReadOnly::new(inner))))
    }
}

/// Another file system, read-only.
#[derive(Debug)]
pub struct ReadOnly(Claim);

impl ReadOnly {
    /// A read-only view of `inner`.
    pub fn new(inner: Claim) -> Self {
        ReadOnly(inner.read_only(true))
    }
}

impl Backend for ReadOnly {
    fn options(&self) -> Options {
        self.0.options.clone().donates_root(false)
    }

    fn attach(&self) -> Result<Attachment> {
        // With a descriptor of the root a client could change files without asking.
        Ok(self.0.backend.attach()?.donating(None))
    }

    fn detach(&self) {
        self.0.backend.detach();
    }
}

#[cfg(test)]
mod tests {
    use crate::extensions::wrap::testing::{open, open_error};

    #[test]
    fn only_the_options_are_different() {
        let (claim, inner) = (open("readonly:mem:size=1m"), open("mem:size=1m"));
        assert!(claim.options.read_only && !inner.options.read_only);
        assert_eq!(claim.options.walk_stat, inner.options.walk_stat);
        assert_eq!(claim.options.tree_locks, inner.options.tree_locks);
        assert!(claim.backend.attach().is_ok());
    }

    #[test]
    fn what_wraps_it_stays_read_only() {
        assert!(open("stats:stats:readonly:mem:").options.read_only);
        assert!(open("readonly:stats:mem:").options.read_only);
    }

    #[test]
    fn mistakes_are_told_in_one_line() {
        let example = "no BACKEND after the colon; for example readonly:/srv/data or readonly:mem:";
        assert_eq!(open_error("readonly:"), format!("readonly: {example}"));
        assert_eq!(open_error("readonly:mem:x"), {
            "readonly: mem: unknown option \"x\"; known are size=, inodes=, mode=, uid=, gid=, special, nospecial, ro, rw and private"
        });
    }
}
