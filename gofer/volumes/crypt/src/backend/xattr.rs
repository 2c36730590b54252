//! Extended attributes and statistics.
//!
//! As gocryptfs has them: names and values are encrypted, those of access control lists are not, since the inner file
//! system is to act on them. There is no `security.capability`, as with gocryptfs unless it is told to honour set-id
//! bits: kernels ask for it before programs are run and files are written.

use lisafs::backend::{Error, Result, StatFs, XattrFlags};

use super::control::Control;
use crate::format::{MAX_NAME, NameEncryption, NameError, XattrError};

/// The namespace whose names are the inner file system's business.
const ACL: &[u8] = b"system.posix_acl_";

const CAPABILITY: &[u8] = b"security.capability";

impl Control {
    pub(super) fn attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        if name.starts_with(ACL) {
            return self.node.inner.get_xattr(name);
        }
        if name == CAPABILITY {
            return Err(Error::NODATA);
        }
        let value = self.node.inner.get_xattr(&self.stored_attribute(name)?)?;
        self.volume.keys.load_value(value).map_err(|error| {
            self.volume
                .damage
                .error(|| format!("an attribute of the file with inode number {}: {error}", self.node.identity.2))
        })
    }

    pub(super) fn set_attribute(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        if name.starts_with(ACL) {
            return self.node.inner.set_xattr(name, value, flags);
        }
        self.node.inner.set_xattr(&self.stored_attribute(name)?, &self.volume.keys.store_value(value), flags)
    }

    pub(super) fn remove_attribute(&self, name: &[u8]) -> Result<()> {
        if name.starts_with(ACL) {
            return self.node.inner.remove_xattr(name);
        }
        self.node.inner.remove_xattr(&self.stored_attribute(name)?)
    }

    pub(super) fn attributes(&self) -> Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for stored in self.node.inner.list_xattr()? {
            match self.volume.keys.load_attribute(&stored) {
                Ok(name) => names.push(name),
                Err(XattrError::Foreign) if stored.starts_with(ACL) => names.push(stored),
                Err(XattrError::Foreign) => {}
                Err(error @ XattrError::Damaged) => {
                    self.volume.damage.log(|| format!("the file with inode number {}: {error}", self.node.identity.2));
                }
            }
        }
        Ok(names)
    }

    fn stored_attribute(&self, name: &[u8]) -> Result<Vec<u8>> {
        if name == CAPABILITY {
            return Err(Error::OPNOTSUPP);
        }
        self.volume.keys.store_attribute(name).map_err(|error| match error {
            NameError::TooLong => Error::RANGE,
            NameError::Damaged => Error::INVAL,
        })
    }

    /// Statistics of a file system with names of its own.
    pub(super) fn plain_fs(&self, stat: StatFs) -> StatFs {
        /// Plain bytes of the longest name that fits into an entry when it is encrypted.
        const SHORT: u64 = 175;
        let name_length = match self.volume.keys.names.encryption() {
            NameEncryption::Plain => stat.name_length,
            NameEncryption::Eme { long_names: Some(_), .. } => MAX_NAME as u64,
            NameEncryption::Eme { long_names: None, .. } => SHORT,
        };
        StatFs { name_length, ..stat }
    }
}
