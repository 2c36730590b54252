//! Files of the inner backend.

use std::sync::OnceLock;

use lisafs::backend::{ControlBox, Errno, Error, FileType, Found, Name, Result, Statx, StatxMask};

use super::redo::is_note;
use super::{Volume, internal};
use crate::format::{CONFIG, DIR_IV, DirIv, NameError, Stored};

/// A position in the inner tree.
pub(super) struct Node {
    pub(super) inner: ControlBox,
    pub(super) kind: Option<FileType>,
    pub(super) identity: Identity,
    is_root: bool,
    /// What names in this directory are encrypted with. It never changes as long as the directory lives.
    iv: OnceLock<DirIv>,
}

/// What a file is: device and inode number.
pub(super) type Identity = (u32, u32, u64);

/// Which file has these attributes.
pub(super) fn identity(stat: &Statx) -> Identity {
    (stat.dev_major, stat.dev_minor, stat.ino)
}

impl Node {
    pub(super) fn new(found: Found) -> Self {
        let Found { file, stat, .. } = found;
        Node { inner: file, kind: stat.file_type(), identity: identity(&stat), is_root: false, iv: OnceLock::new() }
    }

    pub(super) fn root(found: Found) -> Self {
        Node { is_root: true, ..Self::new(found) }
    }

    /// A directory whose initialization vector is known.
    pub(super) fn with_iv(found: Found, iv: Option<DirIv>) -> Self {
        Node { iv: iv.map(OnceLock::from).unwrap_or_default(), ..Self::new(found) }
    }

    /// What names in this directory are encrypted with. [`Volume::names`] must not be held.
    pub(super) fn iv(&self, volume: &Volume) -> Result<DirIv> {
        if !volume.keys.names.have_dir_ivs() {
            return Ok(DirIv::NONE);
        }
        if let Some(iv) = self.iv.get() {
            return Ok(*iv);
        }
        let read = || internal::read::<{ DirIv::LEN }>(&*self.inner, DIR_IV);
        let bytes = match read() {
            // It may have been made or removed just now.
            Err(error) if error == Errno::NOENT => {
                let _names = volume.names.read();
                read()
            }
            result => result,
        };
        let damaged = |what: &str| {
            volume.damage.error(|| format!("{what} in the directory with inode number {}", self.identity.2))
        };
        let bytes = match bytes {
            // That of a directory that was removed is gone, too.
            Err(error) if error == Errno::NOENT && self.is_removed() => return Err(Error::NOENT),
            Err(error) if error == Errno::NOENT => return Err(damaged("there is no gocryptfs.diriv")),
            result => result?,
        };
        let iv = bytes.as_deref().and_then(DirIv::parse).ok_or_else(|| damaged("a damaged gocryptfs.diriv"))?;
        Ok(*self.iv.get_or_init(|| iv))
    }

    fn is_removed(&self) -> bool {
        self.inner.stat().is_ok_and(|stat| stat.mask.contains(StatxMask::NLINK) && stat.nlink == 0)
    }

    /// What `name` is called in this directory. [`Volume::names`] must not be held.
    pub(super) fn stored(&self, volume: &Volume, name: Name<'_>) -> Result<Stored> {
        if self.is_reserved(volume, name.as_bytes()) {
            return Err(Error::PERM);
        }
        volume.keys.names.store(name.as_bytes(), &self.iv(volume)?).map_err(|error| match error {
            NameError::TooLong => Error::NAMETOOLONG,
            NameError::Damaged => Error::INVAL,
        })
    }

    /// Whether `name` is that of a file of the volume's own, which could be met if names are plain.
    pub(super) fn is_reserved(&self, volume: &Volume, name: &[u8]) -> bool {
        self.is_internal(volume, name) && volume.keys.has_plain_names()
    }

    /// Whether `entry` of this directory is the volume's configuration, or has its notes.
    pub(super) fn is_internal(&self, volume: &Volume, entry: &[u8]) -> bool {
        self.is_root && is_internal(entry, volume.config.as_deref())
    }
}

/// Whether `entry` of the root is no file of the volume: a configuration, of which one may be called, or be in, `config`,
/// or notes.
pub(crate) fn is_internal(entry: &[u8], config: Option<&[u8]>) -> bool {
    entry == CONFIG.as_bytes() || Some(entry) == config || is_note(entry)
}

/// The entry as a name for the inner backend.
pub(super) fn entry(stored: &Stored) -> Result<Name<'_>> {
    Name::new(stored.entry())
}
