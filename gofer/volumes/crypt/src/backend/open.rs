//! Opening volumes.

use gofer::extension::Claim;
use lisafs::backend::{
    Access, ControlBox, ControlFile, Errno, Error, FileType, NO_ID, Name, OpenHow, Result as BackendResult, Statx,
};

use super::{CryptFs, fits, internal, make, redo};
use crate::format::{Config, ConfigError, DIR_IV, DirIv, Keys};
use crate::key_source::Unlock;

/// Bytes of the longest configuration: the usual one has less than a thousand.
const MAX_CONFIG: usize = 64 << 10;

/// Why a volume cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The inner backend fails.
    #[error("cannot read the encrypted files: {0}")]
    Inner(#[source] Error),
    /// They are not in a directory.
    #[error("the root of the encrypted files is not a directory")]
    NotADirectory,
    /// There is no configuration.
    #[error("there is no {0} in the encrypted files; is it the right place? `gofer-volumes crypt init` makes one")]
    NoConfig(String),
    /// It is not what is expected.
    #[error("{0}: {1}{advice}", advice = .1.advice())]
    Config(String, #[source] ConfigError),
    /// The master key is another volume's, or the configuration is.
    #[error("the master key does not decrypt what is in the encrypted files; it is another volume's, or {0} is")]
    MasterKey(String),
    /// It is larger than any.
    #[error("{0} is too large for a configuration")]
    Large(String),
    /// It is on the host and cannot be read.
    #[error("cannot read the configuration {0}: {1}")]
    File(String, #[source] std::io::Error),
}

impl CryptFs {
    /// Opens the volume whose encrypted files `inner` has, with the configuration at the path `config`: of this machine
    /// if it is absolute, of the encrypted files if not. `key` is the password or the master key.
    pub fn open(inner: Claim, config: &str, key: &impl Unlock) -> Result<Self, OpenError> {
        let attachment = inner.backend.attach().map_err(OpenError::Inner)?;
        let root = attachment.root;
        if root.stat.file_type() != Some(FileType::Directory) {
            return Err(OpenError::NotADirectory);
        }
        let keys = unlock(&*root.file, config, key)?;
        // Before anything is written with it.
        let config_entry = entry_of_root(config);
        if !key.is_proof() && !fits(&*root.file, &keys, config_entry).map_err(OpenError::Inner)? {
            return Err(OpenError::MasterKey(config.to_owned()));
        }
        if keys.names.have_dir_ivs() && !inner.options.read_only {
            begin(&*root.file, &root.stat).map_err(OpenError::Inner)?;
        }
        let mends = if inner.options.read_only {
            redo::mends(&keys.content, &*root.file)
        } else {
            redo::recover(&keys.content, &*root.file).map(|()| redo::Mends::default())
        };
        let mends = mends.map_err(OpenError::Inner)?;
        Ok(CryptFs::new(inner, keys, config_entry.map(<[u8]>::to_vec), root.file, mends))
    }

    /// Whether somebody with `key` may have this volume, which is open: `key` and the configuration at the path `config`
    /// lead to its keys. `inner` has its encrypted files, too.
    pub(crate) fn is_opened_by(&self, inner: &Claim, config: &str, key: &impl Unlock) -> Result<bool, OpenError> {
        let root = inner.backend.attach().map_err(OpenError::Inner)?.root;
        Ok(self.volume.keys.are(&unlock(&*root.file, config, key)?))
    }
}

/// The keys for the files below `root`.
fn unlock(root: &dyn ControlFile, config: &str, key: &impl Unlock) -> Result<Keys, OpenError> {
    let json = if config.starts_with('/') {
        read_host(config)?
    } else {
        match read_inner(root, config) {
            Err(error) if error == Errno::NOENT => return Err(OpenError::NoConfig(config.to_owned())),
            json => json.map_err(OpenError::Inner)?.ok_or_else(|| OpenError::Large(config.to_owned()))?,
        }
    };
    let wrong = |error| OpenError::Config(config.to_owned(), error);
    let parsed = Config::parse(&json).map_err(wrong)?;
    Ok(key.unlock(&parsed).map_err(wrong)?.keys(&parsed))
}

/// The entry of the root at which the path `config` of the encrypted files begins; `None` for one of this machine.
fn entry_of_root(config: &str) -> Option<&[u8]> {
    if config.starts_with('/') { None } else { config.split('/').find(|name| !name.is_empty()).map(str::as_bytes) }
}

/// The file at `path` on this machine.
fn read_host(path: &str) -> Result<Vec<u8>, OpenError> {
    use std::io::Read;
    let mut json = Vec::new();
    let limit = MAX_CONFIG as u64 + 1;
    let read = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut json));
    read.map_err(|error| OpenError::File(path.to_owned(), error))?;
    if json.len() > MAX_CONFIG { Err(OpenError::Large(path.to_owned())) } else { Ok(json) }
}

/// The file at `path` of the inner backend; `None` if it is too large.
fn read_inner(root: &dyn ControlFile, path: &str) -> BackendResult<Option<Vec<u8>>> {
    let mut file: Option<ControlBox> = None;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        file = Some(file.as_deref().unwrap_or(root).walk(Name::new(name.as_bytes())?)?.file);
    }
    let file = file.as_deref().unwrap_or(root).open(OpenHow::new(Access::Read))?.file;
    let mut json = vec![0; MAX_CONFIG + 1];
    let mut len = 0;
    while len < json.len() {
        match file.read_at((&mut json[len..]).into(), len as u64)? {
            0 => break,
            count => len += count,
        }
    }
    json.truncate(len);
    Ok((len <= MAX_CONFIG).then_some(json))
}

/// Makes an empty directory the root of a volume: one whose configuration is elsewhere, and that has nothing else yet.
fn begin(root: &dyn ControlFile, stat: &Statx) -> BackendResult<()> {
    match root.walk(Name::new(DIR_IV)?) {
        Err(error) if error == Errno::NOENT => {}
        found => return found.map(drop),
    }
    if !internal::is_empty(root)? {
        // Files inside say that it is missing.
        return Ok(());
    }
    make::initialize(root, &DirIv::random(), stat.mode, (NO_ID, NO_ID))
}
