//! Encrypted volumes as an extension: `crypt:BACKEND?config=FILE`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::sync::{Arc, OnceLock, Weak};

use gofer::clap::Arg;
use gofer::extension::{Backends, Claim, Extension, Preparation, Result, split};
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
    /// Volumes in host directories that are open: two opens of one file must meet, whichever mounts they come from.
    open: Mutex<HashMap<String, Weak<CryptFs>>>,
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
        let mut open = self.open.lock();
        // Other backends may be others each time that they are opened.
        let is_directory = matches!(split(OsStr::new(backend)), None | Some(("host", _)));
        if let Some(volume) = open.get(argument).and_then(Weak::upgrade).filter(|_| is_directory) {
            return Ok(Claim::new(volume));
        }
        let inner = backends.open(OsStr::new(backend))?;
        let volume = Arc::new(CryptFs::open(inner, config, password)?);
        open.insert(argument.to_owned(), Arc::downgrade(&volume));
        Ok(Claim::new(volume))
    }
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
