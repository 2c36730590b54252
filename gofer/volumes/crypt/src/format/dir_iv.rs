//! What names in a directory are encrypted with besides the key.

use super::random;

/// The file in each directory that has its initialization vector.
pub const DIR_IV: &[u8] = b"gocryptfs.diriv";

/// What the file is called while its directory is removed, in the directory above; a number follows.
pub const DIR_IV_GONE: &[u8] = b"gocryptfs.diriv.rmdir.";

/// The initialization vector of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirIv(pub(super) [u8; 16]);

impl DirIv {
    /// Bytes in its file.
    pub const LEN: usize = 16;

    /// That of all directories, if names are deterministic.
    pub const NONE: DirIv = DirIv([0; 16]);

    /// A new one.
    pub fn random() -> Self {
        DirIv(random::array())
    }

    /// That in a file. `None` if it has another length or is all zeros, as a crash may leave it.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(DirIv).filter(|iv| *iv != Self::NONE)
    }

    /// The content of its file.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}
