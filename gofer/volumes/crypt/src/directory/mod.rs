//! Volumes in directories of the host: making them, and changing their passwords.

mod init;
mod passwd;
mod write;

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use gofer::hostfs::{HostFs, HostOptions};
use lisafs::backend::Backend;

use crate::backend;
use crate::format::{CONFIG, Config, ConfigError, Keys};

pub use init::{init, restore};
pub use passwd::{Changed, passwd};

/// Why nothing was done. Each says it in one line.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is something already.
    #[error("{} is not empty; name an empty directory, or one that does not exist", .0.display())]
    NotEmpty(PathBuf),
    /// It would lose its key.
    #[error("a configuration already exists: {}; use `passwd` to change its password", .0.display())]
    Exists(PathBuf),
    /// Nothing is there that could be opened.
    #[error("cannot read {}: {source}; is this an encrypted directory? `init` makes one, --config FILE names another configuration", path.display())]
    Config {
        /// The configuration.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The configuration cannot be used.
    #[error("{}: {source}{}", path.display(), source.advice())]
    Format {
        /// The configuration.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// The master key is another volume's.
    #[error("the master key does not match the files in {}; nothing was changed", .0.display())]
    MasterKey(PathBuf),
    /// Something cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

impl DirectoryError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| DirectoryError::Io { path: path.to_owned(), source }
    }

    /// About the configuration at `path`.
    pub fn format(path: &Path) -> impl FnOnce(ConfigError) -> Self {
        move |source| DirectoryError::Format { path: path.to_owned(), source }
    }
}

/// Whether `keys` can be those of the volume in `dir`, whose configuration is or will be at `config`.
fn fits(dir: &Path, config: &Path, keys: &Keys) -> Result<bool, DirectoryError> {
    let volume = HostFs::open(dir, HostOptions::default()).map_err(DirectoryError::io(dir))?;
    let entry = config_entry(dir, config);
    let fits = volume.attach().and_then(|attachment| backend::fits(&*attachment.root.file, keys, entry.as_deref()));
    fits.map_err(|error| DirectoryError::io(dir)(io::Error::from_raw_os_error(error.errno().raw_os_error())))
}

/// Where the configuration of the volume in `dir` is, if it is not said.
pub fn config_path(dir: &Path) -> PathBuf {
    dir.join(CONFIG)
}

/// The entry of `dir` that the file `config` is or is in, if it is in `dir` at all.
pub(crate) fn config_entry(dir: &Path, config: &Path) -> Option<Vec<u8>> {
    // It need not be there yet.
    let parent = config.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let config = parent.canonicalize().ok()?.join(config.file_name()?);
    let entry = config.strip_prefix(dir.canonicalize().ok()?).ok()?.components().next()?;
    Some(entry.as_os_str().as_bytes().to_vec())
}

/// The bytes of the configuration at `path`.
pub fn read_config(path: &Path) -> Result<Vec<u8>, DirectoryError> {
    /// None is so long; what is named by mistake may be.
    const LONGEST: u64 = 1 << 20;
    let read = || {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, LONGEST), &mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| DirectoryError::Config { path: path.to_owned(), source })
}

/// The configuration at `path`.
pub fn load_config(path: &Path) -> Result<Config, DirectoryError> {
    Config::parse(&read_config(path)?).map_err(DirectoryError::format(path))
}
