//! The command line on which runsc starts its gofer: `runsc-gofer GLOBAL-FLAGS gofer FLAGS CONTAINER-ID`.
//!
//! Releases differ in their global flags, so unknown ones are passed over. The flags of the command itself are
//! instructions: one that is not understood is an error.

mod command;
mod effect;
mod globals;
mod legacy_overlay;
mod mount_confs;
mod syntax;

use std::ffi::OsString;

pub(crate) use command::{Command, USAGE};
pub(crate) use globals::{CharDevices, Globals, LogFormat};
pub(crate) use legacy_overlay::LegacyOverlay;
#[cfg(test)]
pub(crate) use mount_confs::Lower;
pub(crate) use mount_confs::MountConf;

/// Why a command line is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgsError {
    #[error("an argument is not UTF-8: {0:?}")]
    NotText(OsString),
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    #[error("invalid value {value:?} for flag -{name}: expected {expected}")]
    Value { name: String, value: String, expected: &'static str },
    #[error("invalid value {0:?} for flag -gofer-mount-confs: expected LOWER:UPPER[:size=SIZE]")]
    MountConf(String),
    #[error("flag provided but not defined: -{0}")]
    Unknown(String),
    #[error("--{0} is missing")]
    Missing(&'static str),
    #[error("expected one container ID, found {0} arguments")]
    Positional(usize),
    #[error("--fsgofer-host-uds and --host-uds are mutually exclusive")]
    TwoSocketPolicies,
    #[error("expected the command gofer, found {0:?}")]
    OtherCommand(String),
}

/// A whole command line.
#[derive(Debug)]
pub(crate) struct Call {
    /// What stands before the command.
    pub(crate) globals: Globals,
    /// The command's own flags.
    pub(crate) command: Command,
}

/// The arguments after the program's name as text.
pub(crate) fn texts(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, ArgsError> {
    arguments.into_iter().map(|argument| argument.into_string().map_err(ArgsError::NotText)).collect()
}

/// What stands before the command as far as it is understood, and the command with its arguments, if all of it is.
pub(crate) fn globals(arguments: &[String]) -> (Globals, Result<&[String], ArgsError>) {
    Globals::parse(arguments)
}

/// What comes after the global flags: `gofer` and its arguments. `is_extra` knows flags of extensions.
pub(crate) fn call(mut globals: Globals, rest: &[String], is_extra: impl Fn(&str) -> bool) -> Result<Call, ArgsError> {
    match rest {
        [command, arguments @ ..] if command == "gofer" => {
            let command = Command::parse(arguments, is_extra)?;
            if command.mount_confs.is_none() {
                globals.be_legacy();
            }
            Ok(Call { globals, command })
        }
        other => Err(ArgsError::OtherCommand(other.first().cloned().unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests;
