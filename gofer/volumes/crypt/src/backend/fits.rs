//! Whether a key is a volume's.

use lisafs::backend::{Access, ControlBox, ControlFile, FileType, Name, OpenHow, Result};

use super::internal;
use super::node::is_internal;
use crate::format::{CONFIG, DIR_IV, DirIv, Entry, FileId, HEADER_LEN, Keys};

/// Files that are tried for one with content that is whole.
const FILES: usize = 100;

/// Directories that are looked into for files.
const DIRECTORIES: usize = 1000;

/// Whether `keys` can be those of the volume in the directory `root`: something in it decrypts, or it is empty. `config`
/// is the entry of the root that is the configuration or that it is in, if it is not outside.
pub(crate) fn fits(root: &dyn ControlFile, keys: &Keys, config: Option<&[u8]>) -> Result<bool> {
    // What a killed `passwd` leaves, too.
    let is_no_file = |entry: &[u8]| entry.starts_with(CONFIG.as_bytes()) || is_internal(entry, config);
    let mut names = Tried::default();
    let mut contents = Tried::default();
    let mut directories: Vec<Option<ControlBox>> = vec![None];
    for _ in 0..DIRECTORIES {
        let Some(directory) = directories.pop() else { break };
        let is_root = directory.is_none();
        let directory: &dyn ControlFile = directory.as_deref().unwrap_or(root);
        let entries = match internal::list(directory) {
            Err(error) if is_root => return Err(error),
            entries => entries.unwrap_or_default(),
        };
        let iv = dir_iv(keys, directory);
        for entry in entries {
            let name = keys.names.classify(&entry.name);
            if matches!(name, Entry::DirIv | Entry::LongName(_)) || is_root && is_no_file(&entry.name) {
                continue;
            }
            if let (Entry::Name(name), Some(iv), false) = (name, &iv, keys.has_plain_names()) {
                names.count(keys.names.load(name, iv).is_ok());
            }
            if matches!(entry.file_type, Some(FileType::Symlink)) || names.is_good() && contents.is_good() {
                continue;
            }
            let Ok(found) = Name::new(&entry.name).and_then(|name| directory.walk(name)) else { continue };
            match found.stat.file_type() {
                Some(FileType::Directory) => directories.push(Some(found.file)),
                Some(FileType::Regular) if contents.tried < FILES => {
                    if let Some(is_whole) = first_block(keys, &*found.file) {
                        contents.count(is_whole);
                    }
                }
                _ => {}
            }
        }
        if names.is_good() && contents.is_good() || contents.tried >= FILES {
            break;
        }
    }
    Ok(names.may_be() && contents.may_be())
}

#[derive(Default)]
struct Tried {
    tried: usize,
    good: usize,
}

impl Tried {
    fn count(&mut self, is_good: bool) {
        self.tried += 1;
        self.good += usize::from(is_good);
    }

    fn is_good(&self) -> bool {
        self.good > 0
    }

    fn may_be(&self) -> bool {
        self.tried == 0 || self.is_good()
    }
}

fn dir_iv(keys: &Keys, directory: &dyn ControlFile) -> Option<DirIv> {
    if !keys.names.have_dir_ivs() {
        return Some(DirIv::NONE);
    }
    DirIv::parse(&internal::read::<{ DirIv::LEN }>(directory, DIR_IV).ok()??)
}

/// Whether the first block of a file is whole; `None` if there is nothing to try.
fn first_block(keys: &Keys, file: &dyn ControlFile) -> Option<bool> {
    let mut start = vec![0; HEADER_LEN + keys.content.block()];
    let opened = file.open(OpenHow::new(Access::Read).no_atime(true)).ok()?.file;
    let len = opened.read_at((&mut start[..]).into(), 0).ok()?;
    let id = FileId::parse(&start[..len]).ok()?;
    let block = &mut start[HEADER_LEN..len];
    // Zeros are a hole with any key.
    let is_something = block.iter().any(|byte| *byte != 0);
    is_something.then(|| keys.content.open_block(block, 0, id).is_ok())
}
