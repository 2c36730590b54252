//! gocryptfs's format on disk, version 2: configuration, keys, names and content. Nothing here reads or writes a file.

mod config;
mod content;
mod dir_iv;
mod features;
mod header;
mod info;
mod keys;
mod layout;
mod name;
mod random;
mod stored;
mod symlink;
mod xattr;

pub use config::{Config, ConfigError, NewConfig, Unlocked};
pub use content::{Content, Damaged};
pub use dir_iv::{DIR_IV, DIR_IV_GONE, DirIv};
pub use features::{ContentCipher, Features, NameEncryption};
pub use header::{FileId, HEADER_LEN, HeaderError};
pub use info::{Info, ScryptInfo};
pub use keys::{Keys, MasterKey};
pub use layout::Layout;
pub use name::{NameError, Names};
pub(crate) use random::array as random_bytes;
pub use stored::{Entry, MAX_NAME, Stored};
pub use xattr::XattrError;

/// The name of the configuration in the root of a volume.
pub const CONFIG: &str = "gocryptfs.conf";

/// Plain bytes of a block.
pub const BLOCK: usize = 4096;
