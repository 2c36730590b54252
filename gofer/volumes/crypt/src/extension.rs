//! Encrypted volumes as an extension: `crypt:BACKEND?config=FILE`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use gofer::clap::Arg;
use gofer::extension::{Backends, Claim, Error, Extension, Preparation, Result, split};
use parking_lot::Mutex;

use crate::CryptFs;
use crate::format::CONFIG;
use crate::key_source::PasswordSource;
use crate::secret::Password;

/// Brings the plain files of encrypted volumes: `crypt:BACKEND?config=FILE`.
///
/// BACKEND has the encrypted files. FILE is the configuration, by default `gocryptfs.conf` among them; a path that begins with `/`
/// is one of this machine, in a sandbox of the container. Options stand behind the last `?`; a BACKEND that has options of its own
/// needs one more behind these.
#[derive(Debug, Default)]
pub struct CryptExtension {
    password: OnceLock<Password>,
    /// Volumes in host directories that are open, by directory and configuration: two opens of one file must meet, whichever mounts
    /// they come from.
    open: Mutex<HashMap<(PathBuf, String), Weak<CryptFs>>>,
}

impl Extension for CryptExtension {
    fn name(&self) -> &'static str {
        "crypt"
    }

    fn flags(&self) -> Vec<Arg> {
        PasswordSource::flags()
    }

    fn prepare(&self, preparation: &Preparation<'_>) -> Result<()> {
        if let Some(source) = PasswordSource::given(preparation.flags) {
            self.password.set(source.read()?).map_err(|_| "prepared twice")?;
        }
        Ok(())
    }

    fn open(&self, argument: &str, backends: &Backends<'_>) -> Result<Claim> {
        let Location { backend, config } = Location::parse(argument)?;
        let password = self.password.get().ok_or("there is no password; give one with --crypt-passfile FILE")?;
        let new = || Ok::<_, Error>(Arc::new(CryptFs::open(backends.open(OsStr::new(backend))?, config, password)?));
        // Other backends may be others each time that they are opened, or volumes of this extension again.
        let Some(directory) = directory(backend) else { return Ok(Claim::new(new()?)) };
        let mut open = self.open.lock();
        let key = (directory, config.to_owned());
        if let Some(volume) = open.get(&key).and_then(Weak::upgrade) {
            return Ok(Claim::new(volume));
        }
        let volume = new()?;
        open.insert(key, Arc::downgrade(&volume));
        Ok(Claim::new(volume))
    }
}

/// The host directory that `backend` stands for, however it is written.
fn directory(backend: &str) -> Option<PathBuf> {
    let path = match split(OsStr::new(backend)) {
        None => Path::new(backend),
        Some(("host", path)) => Path::new(path),
        Some(_) => return None,
    };
    // What cannot be found is told of when it is opened.
    Some(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
}

/// What stands behind `crypt:`.
#[derive(Debug, PartialEq, Eq)]
struct Location<'a> {
    backend: &'a str,
    config: &'a str,
}

impl<'a> Location<'a> {
    fn parse(argument: &'a str) -> std::result::Result<Self, String> {
        let (backend, options) = argument.rsplit_once('?').unwrap_or((argument, ""));
        if backend.is_empty() {
            return Err("no BACKEND after the colon; for example crypt:/srv/encrypted".to_owned());
        }
        let mut location = Location { backend, config: CONFIG };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("config", "")) => return Err("config= needs a FILE".to_owned()),
                Some(("config", file)) => location.config = file,
                _ => {
                    return Err(format!(
                        "unknown option {option:?}; known is config=FILE; put a ? behind what belongs to the BACKEND"
                    ));
                }
            }
        }
        Ok(location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_directory_is_one_volume_however_it_is_written() {
        assert_eq!(directory("/proc/../dev"), directory("host:/dev/"));
        assert_eq!(directory("host:/nonexistent"), Some("/nonexistent".into()));
        assert_eq!((directory("mem:"), directory("crypt:/dev")), (None, None));
    }

    #[test]
    fn arguments_are_understood() {
        let parse = Location::parse;
        assert_eq!(parse("/srv/a"), Ok(Location { backend: "/srv/a", config: "gocryptfs.conf" }));
        assert_eq!(parse("host:/srv/a?"), Ok(Location { backend: "host:/srv/a", config: "gocryptfs.conf" }));
        assert_eq!(parse("mem:?config=/etc/c"), Ok(Location { backend: "mem:", config: "/etc/c" }));
        assert_eq!(
            parse("blob:memory:?create?config=a/b"),
            Ok(Location { backend: "blob:memory:?create", config: "a/b" })
        );
        for (wrong, told) in [
            ("", "no BACKEND after the colon; for example crypt:/srv/encrypted"),
            ("?config=x", "no BACKEND after the colon; for example crypt:/srv/encrypted"),
            ("/a?config=", "config= needs a FILE"),
            (
                "blob:memory:?create",
                "unknown option \"create\"; known is config=FILE; put a ? behind what belongs to the BACKEND",
            ),
        ] {
            assert_eq!(parse(wrong), Err(told.to_owned()));
        }
    }
}
