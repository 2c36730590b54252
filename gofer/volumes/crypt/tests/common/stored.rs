//! What stands on disk, made and found without the backend.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gofer_crypt::format::{BLOCK, DIR_IV, DirIv, FileId, Keys};

/// A name as a path.
pub(crate) fn as_path(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}

/// The vector of the names in `dir`, a directory of the host.
pub(crate) fn dir_iv(keys: &Keys, dir: &Path) -> DirIv {
    if keys.names.have_dir_ivs() {
        DirIv::parse(&fs::read(dir.join(as_path(DIR_IV))).unwrap()).unwrap()
    } else {
        DirIv::NONE
    }
}

/// A whole file, encrypted.
pub(crate) fn encrypted(keys: &Keys, plain: &[u8]) -> Vec<u8> {
    if plain.is_empty() {
        return Vec::new();
    }
    let (id, content) = (FileId::random(), &keys.content);
    let mut blocks = Vec::new();
    for part in plain.chunks(BLOCK) {
        blocks.resize(blocks.len() + content.nonce(), 0);
        blocks.extend_from_slice(part);
        blocks.resize(blocks.len() + content.overhead() - content.nonce(), 0);
    }
    content.seal_blocks(&mut blocks, 0, id);
    [&id.header()[..], &blocks].concat()
}
