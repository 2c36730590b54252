//! Other passwords.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{DirectoryError, fits, read_config, write};
use crate::format::{Config, ConfigError};
use crate::key_source::{Credential, Unlock};
use crate::secret::Password;

/// A password that was changed.
#[derive(Debug)]
pub struct Changed {
    /// A copy of the configuration as it was. There is one if nobody knew the old password, since then nothing proves
    /// that it is of no more use.
    pub backup: Option<PathBuf>,
}

/// Gives the volume in `dir`, whose configuration is at `config`, the password that `new` answers. `old` is the one
/// before, or the master key, with which the configuration's own key may be damaged. The cost of guessing stays unless
/// `scrypt_n` says another. Nothing is changed before all is known, and then at once.
pub fn passwd<E: From<DirectoryError>>(
    dir: &Path,
    config: &Path,
    old: &Credential,
    scrypt_n: Option<u8>,
    new: impl FnOnce() -> Result<Password, E>,
) -> Result<Changed, E> {
    // Not the symbolic link that leads to it.
    let path = config.canonicalize().map_err(|source| DirectoryError::Config { path: config.to_owned(), source })?;
    let json = read_config(&path)?;
    let parsed = match (Config::parse(&json), old) {
        (Err(ConfigError::Scrypt(_) | ConfigError::KeySize(_) | ConfigError::Syntax(_)), Credential::MasterKey(_)) => {
            Config::parse_without_key(&json)
        }
        (parsed, _) => parsed,
    };
    let before = parsed.map_err(DirectoryError::format(config))?;
    let key = old.unlock(&before).map_err(DirectoryError::format(config))?;
    let has_proof = matches!(old, Credential::Password(_));
    if !has_proof && !fits(dir, &path, &key.keys(&before))? {
        return Err(DirectoryError::MasterKey(dir.to_owned()).into());
    }
    let password = new()?;
    let scrypt_n = scrypt_n.unwrap_or(before.scrypt().0);
    let after = before.change_password(&key, &password, scrypt_n).map_err(DirectoryError::format(config))?;
    let backup = (!has_proof).then(|| back_up(&path, &json)).transpose()?;
    write::replace(&path, &after.to_json()).map_err(DirectoryError::io(&path))?;
    Ok(Changed { backup })
}

/// Keeps the file at `path`, which has `bytes`, under another name.
fn back_up(path: &Path, bytes: &[u8]) -> Result<PathBuf, DirectoryError> {
    let mut backup = path.as_os_str().to_owned();
    backup.push(".bak");
    let backup = PathBuf::from(backup);
    let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
    let linked = fs::hard_link(path, &backup);
    // There are file systems without links.
    let copy =
        |error| if is_taken(&error) { Err(error) } else { write::create(&backup, bytes, super::init::CONFIG_MODE) };
    match linked.or_else(copy) {
        Ok(()) => {}
        Err(error) if is_taken(&error) => {
            let why = "an older backup is in the way; move it elsewhere if the volume can be opened";
            return Err(DirectoryError::io(&backup)(io::Error::other(why)));
        }
        Err(error) => return Err(DirectoryError::io(&backup)(error)),
    }
    write::sync_directory(&backup).map_err(DirectoryError::io(&backup))?;
    Ok(backup)
}
