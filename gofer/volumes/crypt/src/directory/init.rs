//! New volumes.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::{DirectoryError, fits, write};
use crate::format::{CONFIG, Config, DIR_IV, DirIv, NewConfig, Unlocked};
use crate::secret::Password;

/// As gocryptfs has them, so that nobody changes them by mistake.
pub(super) const CONFIG_MODE: u32 = 0o400;
const DIR_IV_MODE: u32 = 0o444;

/// Makes a volume in `dir`, which is made if there is none, else it must be empty. Its configuration will be at
/// `config`. The answer is its master key.
pub fn init(dir: &Path, config: &Path, new: &NewConfig, password: &Password) -> Result<Unlocked, DirectoryError> {
    let is_new = match fs::read_dir(dir).map(Iterator::count) {
        Ok(0) => false,
        Ok(_) => return Err(DirectoryError::NotEmpty(dir.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(DirectoryError::io(dir)(error)),
    };
    if config.symlink_metadata().is_ok() {
        return Err(DirectoryError::Exists(config.to_owned()));
    }
    // Takes a while, and may fail.
    let (content, key) = Config::create(new, password).map_err(DirectoryError::format(config))?;
    if is_new {
        DirBuilder::new().mode(0o700).create(dir).map_err(DirectoryError::io(dir))?;
    }
    // With the configuration it is a volume, and must be a whole one.
    let dir_iv = key.keys(&content).names.have_dir_ivs().then(|| dir.join(OsStr::from_bytes(DIR_IV)));
    let result = create(dir_iv.as_ref(), config, &content.to_json());
    if result.is_err() {
        // What was made is of no use to anybody. The first error is the one to tell.
        if let Some(path) = &dir_iv {
            let _ = fs::remove_file(path);
        }
        if is_new {
            let _ = fs::remove_dir(dir);
        }
    }
    result.map(|()| key)
}

fn create(dir_iv: Option<&PathBuf>, config: &Path, content: &[u8]) -> Result<(), DirectoryError> {
    if let Some(path) = dir_iv {
        write::create(path, DirIv::random().as_bytes(), DIR_IV_MODE).map_err(DirectoryError::io(path))?;
    }
    write::create(config, content, CONFIG_MODE).map_err(DirectoryError::io(config))
}

/// Makes a new configuration for the volume in `dir`, which has lost its own. `new` must be as the volume was made;
/// whether it is, and `key` the volume's, is tried with what is in it.
pub fn restore(
    dir: &Path,
    config: &Path,
    new: &NewConfig,
    key: &Unlocked,
    password: &Password,
) -> Result<(), DirectoryError> {
    for path in [config, &dir.join(CONFIG)] {
        if path.symlink_metadata().is_ok() {
            return Err(DirectoryError::Exists(path.to_owned()));
        }
    }
    let content = Config::create_with(new, key, password).map_err(DirectoryError::format(config))?;
    if !fits(dir, config, &key.keys(&content))? {
        return Err(DirectoryError::MasterKey(dir.to_owned()));
    }
    write::create(config, &content.to_json(), CONFIG_MODE).map_err(DirectoryError::io(config))
}
