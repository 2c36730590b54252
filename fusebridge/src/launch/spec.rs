//! What stands for a backend on the command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Where a file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendSpec {
    /// A host directory, served by a gofer that is started for it.
    Host(PathBuf),
    /// A server that listens on a UNIX socket.
    Unix(PathBuf),
    /// A command that serves its descriptor 3.
    Exec(OsString),
}

/// A BACKEND that means nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// It looks like `NAME:ARGUMENT` with a name that is not known.
    #[error("unknown backend {0:?}; use a directory, host:DIR, unix:SOCKET or exec:COMMAND")]
    Unknown(String),
    /// Nothing follows the colon.
    #[error(
        "nothing follows {0:?}; for example host:/srv/data, unix:/run/gofer.sock or exec:'gofer serve --fd 3 /srv'"
    )]
    Empty(String),
}

impl BackendSpec {
    /// Takes a command line argument apart. What has no known name before a colon is a directory, and so is `./a:b`.
    pub fn parse(argument: &OsStr) -> Result<Self, SpecError> {
        let bytes = argument.as_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':');
        let Some((name, rest)) = colon.map(|colon| (&bytes[..colon], &bytes[colon + 1..])) else {
            return Ok(BackendSpec::Host(argument.into()));
        };
        if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Ok(BackendSpec::Host(argument.into()));
        }
        let shown = String::from_utf8_lossy(name).into_owned();
        if !matches!(name, b"host" | b"unix" | b"exec") {
            return Err(SpecError::Unknown(shown));
        }
        if rest.is_empty() {
            return Err(SpecError::Empty(format!("{shown}:")));
        }
        let rest = OsString::from_vec(rest.to_vec());
        Ok(match name {
            b"unix" => BackendSpec::Unix(rest.into()),
            b"exec" => BackendSpec::Exec(rest),
            _ => BackendSpec::Host(rest.into()),
        })
    }
}

impl fmt::Display for BackendSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackendSpec::Host(path) => write!(f, "host:{}", path.display()),
            BackendSpec::Unix(path) => write!(f, "unix:{}", path.display()),
            BackendSpec::Exec(command) => write!(f, "exec:{}", command.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        let parse = |argument: &str| BackendSpec::parse(OsStr::new(argument));
        assert_eq!(parse("."), Ok(BackendSpec::Host(".".into())));
        assert_eq!(parse("host:/a:b"), Ok(BackendSpec::Host("/a:b".into())));
        assert_eq!(parse("./a:b"), Ok(BackendSpec::Host("./a:b".into())));
        assert_eq!(parse("/srv/a:b"), Ok(BackendSpec::Host("/srv/a:b".into())));
        assert_eq!(parse("unix:/run/s"), Ok(BackendSpec::Unix("/run/s".into())));
        assert_eq!(parse("exec:a b"), Ok(BackendSpec::Exec("a b".into())));
        assert_eq!(parse("s3:bucket"), Err(SpecError::Unknown("s3".into())));
        assert_eq!(parse("unix:"), Err(SpecError::Empty("unix:".into())));
    }
}
