//! Files in memory as an extension: `mem:OPTIONS`.

use std::sync::Arc;

use super::{MemFs, MemOptions};
use crate::extension::{Backends, Claim, Extension, Result, Source};

/// Brings file systems in memory. Each one that is opened is a new and empty one.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemExtension;

impl Extension for MemExtension {
    fn name(&self) -> &'static str {
        "mem"
    }

    fn check(&self, argument: &str, backends: &Backends<'_>) -> Result<()> {
        options(argument, backends).map(drop)
    }

    fn open(&self, argument: &str, backends: &Backends<'_>) -> Result<Claim> {
        Ok(Claim::new(Arc::new(MemFs::new(options(argument, backends)?)?)))
    }
}

/// Files that one container writes and another one never sees are worse than none.
const SHARED: &str = "the hints share this mount among the containers of the pod, but each would have files of its own; say \
                      mem:private if that is meant, or use volume:NAME (a mem: volume of gofer-volumes)";

fn options(argument: &str, backends: &Backends<'_>) -> Result<MemOptions> {
    // A sandbox cannot open FIFOs that are made here.
    let mut defaults = MemOptions { special: !backends.are_for_sandbox(), ..MemOptions::default() };
    if let Some(Source { mode, uid, gid }) = backends.source() {
        defaults = MemOptions { mode, uid, gid, ..defaults };
    }
    let options = defaults.and(argument)?;
    if backends.are_shared() && !options.private {
        return Err(SHARED.into());
    }
    Ok(options)
}
