//! Encrypted volumes as an extension: `crypt:BACKEND?config=FILE&passfile=FILE`.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};

use gofer::clap::{Arg, ArgMatches};
use gofer::extension::{Backends, Claim, Error, Extension, HandDown, Preparation, Result, chain, split};
use parking_lot::Mutex;

use crate::CryptFs;
use crate::format::CONFIG;
use crate::key_source::{Credential, CredentialSource, PasswordSource, SecretError};

/// Brings the plain files of encrypted volumes: `crypt:BACKEND?config=FILE&passfile=FILE`.
///
/// BACKEND has the encrypted files. FILE is the configuration, by default `gocryptfs.conf` among them; a path that
/// begins with `/` is one of this machine, in a sandbox of the container. The password is in `passfile`, for volumes
/// that have one of their own; else flags say where it is, or people are asked. Options stand behind the last `?`; a
/// BACKEND that has options of its own needs one more behind these.
#[derive(Debug, Default)]
pub struct CryptExtension {
    /// What opens them all.
    credential: OnceLock<Arc<Credential>>,
    /// Volumes in host directories that are open, by directory, and whether they may not be changed: two opens of one file
    /// must meet, whichever mounts they come from.
    open: Mutex<HashMap<(PathBuf, bool), Opened>>,
}

/// A volume that is open, and what has opened it.
#[derive(Debug)]
struct Opened {
    volume: Weak<CryptFs>,
    config: String,
    credential: Weak<Credential>,
}

impl Extension for CryptExtension {
    fn name(&self) -> &'static str {
        "crypt"
    }

    fn flags(&self) -> Vec<Arg> {
        CredentialSource::flags()
    }

    fn prepare(&self, preparation: &Preparation<'_>) -> Result<()> {
        let Some(source) = CredentialSource::given(preparation.flags) else { return Ok(()) };
        if preparation.container.is_some() && source.is_descriptor() {
            return Err("the descriptors of a container's gofer belong to runsc; use --crypt-passfile=FILE".into());
        }
        if self.credential.get().is_none() {
            self.credential.set(Arc::new(source.read()?)).map_err(|_| "prepared twice")?;
        }
        Ok(())
    }

    fn hand_down(&self, backends: &[&OsStr], flags: &ArgMatches) -> Result<Option<HandDown>> {
        let is_asked_for = |(name, argument): (&str, &OsStr)| {
            name == self.name() && argument.to_str().and_then(|text| Location::parse(text).ok()?.passfile).is_none()
        };
        if !backends.iter().any(|backend| chain(backend).any(is_asked_for)) {
            return Ok(None);
        }
        let credential = match (self.credential.get(), CredentialSource::given(flags)) {
            (Some(credential), _) => credential.clone(),
            (None, Some(source)) => Arc::new(source.read()?),
            (None, None) => Arc::new(ask()?),
        };
        // This process may serve them, too.
        let credential = self.credential.get_or_init(|| credential).clone();
        Ok(Some(HandDown::new(CredentialSource::HANDED, move || credential.pipe())))
    }

    fn check(&self, argument: &str, backends: &Backends<'_>) -> Result<()> {
        let Location { backend, .. } = Location::parse(argument)?;
        Ok(backends.check(OsStr::new(backend))?)
    }

    fn open(&self, argument: &str, backends: &Backends<'_>) -> Result<Claim> {
        let Location { backend, config, passfile } = Location::parse(argument)?;
        let credential = self.credential(passfile, backends.are_for_sandbox())?;
        let inner = || backends.open(OsStr::new(backend));
        let new = || Ok::<_, Error>(Arc::new(CryptFs::open(inner()?, config, &*credential)?));
        // Other backends may be others each time that they are opened, or volumes of this extension again.
        let Some(directory) = directory(backend) else { return Ok(Claim::new(new()?)) };
        let mut open = self.open.lock();
        let read_only = backends.are_read_only();
        // Who only reads does not mind that others may do more.
        let mut usable = [false, true].into_iter().filter(|opened| read_only || !opened);
        let found = usable.find_map(|read_only| {
            let opened = open.get(&(directory.clone(), read_only))?;
            Some((opened.volume.upgrade()?, opened))
        });
        if let Some((volume, opened)) = found {
            let is_the_same = opened.config == config && opened.credential.ptr_eq(&Arc::downgrade(&credential));
            if !is_the_same && !volume.is_opened_by(&inner()?, config, &*credential)? {
                return Err(format!("{} is open with another key", directory.display()).into());
            }
            return Ok(Claim::new(volume));
        }
        let volume = new()?;
        open.retain(|_, opened| opened.volume.strong_count() > 0);
        let opened = Opened {
            volume: Arc::downgrade(&volume),
            config: config.to_owned(),
            credential: Arc::downgrade(&credential),
        };
        open.insert((directory, read_only), opened);
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

const NO_PASSWORD: &str =
    "there is no password; give one with --crypt-passfile FILE, --crypt-extpass CMD or --crypt-passfd N";

/// Asks for the password at the terminal.
fn ask() -> Result<Credential> {
    match PasswordSource::Terminal.read() {
        Ok(password) => Ok(Credential::Password(password)),
        Err(SecretError::NoTerminal) => Err(NO_PASSWORD.into()),
        Err(error) => Err(error.into()),
    }
}

impl CryptExtension {
    /// What opens a volume whose own password is in `passfile`.
    fn credential(&self, passfile: Option<&str>, in_sandbox: bool) -> Result<Arc<Credential>> {
        match (passfile, self.credential.get()) {
            // It would be a file of the container.
            (Some(_), _) if in_sandbox => {
                Err("passfile= is not allowed in annotations; use --crypt-passfile=FILE".into())
            }
            (Some(path), _) => {
                let password = PasswordSource::Files(vec![path.into()]).read()?;
                Ok(Arc::new(Credential::Password(password)))
            }
            (None, Some(credential)) => Ok(credential.clone()),
            (None, None) if in_sandbox => Err(NO_PASSWORD.into()),
            (None, None) => {
                let asked = Arc::new(ask()?);
                Ok(self.credential.get_or_init(|| asked).clone())
            }
        }
    }
}

/// What stands behind `crypt:`.
#[derive(Debug, PartialEq, Eq)]
struct Location<'a> {
    backend: &'a str,
    config: &'a str,
    passfile: Option<&'a str>,
}

impl<'a> Location<'a> {
    fn parse(argument: &'a str) -> std::result::Result<Self, String> {
        let (backend, options) = argument.rsplit_once('?').unwrap_or((argument, ""));
        if backend.is_empty() {
            return Err("no BACKEND after the colon; for example crypt:/srv/encrypted".to_owned());
        }
        let mut location = Location { backend, config: CONFIG, passfile: None };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("config", "")) => return Err("config= needs a FILE".to_owned()),
                Some(("config", file)) if file.split('/').any(|name| matches!(name, "." | "..")) => {
                    return Err(format!(
                        "config={file} leads out of the encrypted files; begin it with / for a file of this machine"
                    ));
                }
                Some(("config", file)) => location.config = file,
                Some(("passfile", "")) => return Err("passfile= needs a FILE".to_owned()),
                Some(("passfile", file)) => location.passfile = Some(file),
                _ => {
                    return Err(format!(
                        "unknown option {option:?}; known are config=FILE and passfile=FILE; put a ? after what belongs to the BACKEND"
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
        assert_eq!(parse("/srv/a"), Ok(Location { backend: "/srv/a", config: "gocryptfs.conf", passfile: None }));
        assert_eq!(
            parse("host:/srv/a?"),
            Ok(Location { backend: "host:/srv/a", config: "gocryptfs.conf", passfile: None })
        );
        assert_eq!(parse("mem:?config=/etc/c"), Ok(Location { backend: "mem:", config: "/etc/c", passfile: None }));
        assert_eq!(
            parse("blob:memory:?create?config=a/b"),
            Ok(Location { backend: "blob:memory:?create", config: "a/b", passfile: None })
        );
        let location = parse("/a?passfile=/k").unwrap();
        assert_eq!((location.config, location.passfile), (CONFIG, Some("/k")));
        for (wrong, told) in [
            ("", "no BACKEND after the colon; for example crypt:/srv/encrypted"),
            ("?config=x", "no BACKEND after the colon; for example crypt:/srv/encrypted"),
            ("/a?config=", "config= needs a FILE"),
            (
                "blob:memory:?create",
                "unknown option \"create\"; known are config=FILE and passfile=FILE; put a ? after what belongs to the BACKEND",
            ),
        ] {
            assert_eq!(parse(wrong), Err(told.to_owned()));
        }
    }
}
