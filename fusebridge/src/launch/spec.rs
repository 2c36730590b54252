//! What stands for a backend on the command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use gofer::extension::split;

/// Where a file system comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendSpec {
    /// A host directory, served by a gofer that is started for it.
    Host(PathBuf),
    /// An extension's file system, likewise: `NAME:ARGUMENT`.
    Extension(OsString),
    /// A server that listens on a UNIX socket.
    Unix(PathBuf),
    /// A command that serves its descriptor 3.
    Exec(OsString),
}

/// A BACKEND that means nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// It looks like `NAME:ARGUMENT` with a name that is not known.
    #[error("unknown backend {name:?}; use a directory, host:DIR, unix:SOCKET, exec:COMMAND{known}")]
    Unknown {
        /// The name.
        name: String,
        /// The extensions' names, as a list to append.
        known: String,
    },
    /// Nothing follows the colon.
    #[error(
        "{0:?} needs an argument; for example host:/srv/data, unix:/run/gofer.sock or exec:'gofer serve --fd 3 /srv'"
    )]
    Empty(String),
}

impl BackendSpec {
    /// Takes a command line argument apart; `extensions` are the names that are known besides the built-in ones. What
    /// has no name before a colon is a directory, and so is `./a:b`.
    pub fn parse(argument: &OsStr, extensions: &[&str]) -> Result<Self, SpecError> {
        let Some((name, rest)) = split(argument) else { return Ok(BackendSpec::Host(argument.into())) };
        if extensions.contains(&name) {
            return Ok(BackendSpec::Extension(argument.into()));
        }
        if !matches!(name, "host" | "unix" | "exec") {
            let known = extensions.iter().map(|name| format!(", {name}:ARGUMENT")).collect();
            return Err(SpecError::Unknown { name: name.to_owned(), known });
        }
        if rest.is_empty() {
            return Err(SpecError::Empty(format!("{name}:")));
        }
        Ok(match name {
            "unix" => BackendSpec::Unix(rest.into()),
            "exec" => BackendSpec::Exec(rest.into()),
            _ => BackendSpec::Host(rest.into()),
        })
    }
}

impl BackendSpec {
    /// The same wherever it is read: paths are absolute.
    #[must_use]
    pub fn absolute(&self) -> Self {
        let absolute = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        match self {
            BackendSpec::Host(path) => BackendSpec::Host(absolute(path)),
            BackendSpec::Unix(path) => BackendSpec::Unix(absolute(path)),
            other => other.clone(),
        }
    }
}

impl fmt::Display for BackendSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackendSpec::Host(path) => write!(f, "host:{}", path.display()),
            BackendSpec::Extension(backend) => write!(f, "{}", backend.display()),
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
        let parse = |argument: &str| BackendSpec::parse(OsStr::new(argument), &["mem"]);
        assert_eq!(parse("."), Ok(BackendSpec::Host(".".into())));
        assert_eq!(parse("host:/a:b"), Ok(BackendSpec::Host("/a:b".into())));
        assert_eq!(parse("./a:b"), Ok(BackendSpec::Host("./a:b".into())));
        assert_eq!(parse("/srv/a:b"), Ok(BackendSpec::Host("/srv/a:b".into())));
        assert_eq!(parse("unix:/run/s"), Ok(BackendSpec::Unix("/run/s".into())));
        assert_eq!(parse("exec:a b"), Ok(BackendSpec::Exec("a b".into())));
        assert_eq!(parse("mem:size=1g"), Ok(BackendSpec::Extension("mem:size=1g".into())));
        assert!(matches!(parse("s3:bucket"), Err(SpecError::Unknown { name, .. }) if name == "s3"));
        assert_eq!(parse("unix:"), Err(SpecError::Empty("unix:".into())));
    }
}
