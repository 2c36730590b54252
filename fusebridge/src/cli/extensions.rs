//! The extensions that are in this program, as far as the command line is concerned: their file systems are served by
//! this process or a gofer process, which is this program once more.

use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use clap::ArgMatches;
use clap::parser::ValueSource;
use gofer::extension::{Extension, HandDown, Registry};

use super::Failure;
use crate::launch;

/// What the commands need to know of the extensions.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    /// Their names.
    pub(super) names: Vec<&'static str>,
    /// Their flags as they were given, for the process that serves them.
    pub(super) flags: Vec<OsString>,
    /// What that process gets from this one.
    pub(super) hand_downs: Vec<HandDown>,
    /// They themselves.
    pub(super) here: launch::Extensions,
}

impl Extensions {
    /// Those of `registry`, with the flags that were given to the command. For `backends` they may ask people for
    /// something.
    pub(super) fn new(registry: &Arc<Registry>, given: &ArgMatches, backends: &[&OsStr]) -> Result<Self, Failure> {
        let flags = registry.iter().flat_map(Extension::flags).flat_map(|flag| repeat(&flag, given)).collect();
        let hand_downs = registry.hand_down(backends, given)?;
        let names = registry.iter().map(Extension::name).collect();
        Ok(Extensions { names, flags, hand_downs, here: launch::Extensions::new(registry.clone(), given.clone()) })
    }
}

/// `flag` once more, as it was given.
fn repeat(flag: &clap::Arg, given: &ArgMatches) -> Vec<OsString> {
    let (id, Some(name)) = (flag.get_id().as_str(), flag.get_long()) else { return Vec::new() };
    if !matches!(given.try_contains_id(id), Ok(true)) || given.value_source(id) != Some(ValueSource::CommandLine) {
        return Vec::new();
    }
    if !flag.get_action().takes_values() {
        return vec![format!("--{name}").into()];
    }
    let values = given.get_raw(id).into_iter().flatten();
    values
        .map(|value| {
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(value);
            argument
        })
        .collect()
}
