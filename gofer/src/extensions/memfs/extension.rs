//! Files in memory as an extension: `mem:OPTIONS`.

use std::sync::Arc;

use super::{MemFs, MemOptions};
use crate::extension::{Backends, Claim, Extension, Result};

/// Brings file systems in memory. Each one that is opened is a new and empty one.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemExtension;

impl Extension for MemExtension {
    fn name(&self) -> &'static str {
        "mem"
    }

    fn open(&self, argument: &str, backends: &Backends<'_>) -> Result<Claim> {
        // A sandbox cannot open FIFOs that are made here.
        let defaults = MemOptions { special: !backends.are_for_sandbox(), ..MemOptions::default() };
        Ok(Claim::new(Arc::new(MemFs::new(defaults.and(argument)?)?)))
    }
}
