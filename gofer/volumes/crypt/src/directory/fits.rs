//! Whether a key is a volume's.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::format::{CONFIG, DIR_IV, DirIv, Entry, FileId, HEADER_LEN, Keys};

/// Files that are tried for one with content that is whole.
const FILES: usize = 100;

/// Directories that are looked into for files.
const DIRECTORIES: usize = 1000;

/// Whether `keys` can be those of the volume in `dir`: something in it decrypts, or it is empty.
pub(super) fn fits(dir: &Path, keys: &Keys) -> io::Result<bool> {
    let mut names = Tried::default();
    let mut contents = Tried::default();
    let mut directories = vec![dir.to_owned()];
    for _ in 0..DIRECTORIES {
        let Some(directory) = directories.pop() else { break };
        let is_root = directory == dir;
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if is_root => return Err(error),
            Err(_) => continue,
        };
        let iv = dir_iv(keys, &directory);
        for entry in entries.filter_map(Result::ok) {
            let raw = entry.file_name();
            let name = keys.names.classify(raw.as_bytes());
            if matches!(name, Entry::DirIv | Entry::LongName(_))
                || is_root && raw.as_bytes().starts_with(CONFIG.as_bytes())
            {
                continue;
            }
            if let (Entry::Name(name), Some(iv), false) = (name, &iv, keys.has_plain_names()) {
                names.count(keys.names.load(name, iv).is_ok());
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                Ok(kind) if kind.is_file() && contents.tried < FILES => {
                    if let Some(is_whole) = first_block(keys, &entry.path()) {
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

fn dir_iv(keys: &Keys, directory: &Path) -> Option<DirIv> {
    if !keys.names.have_dir_ivs() {
        return Some(DirIv::NONE);
    }
    let path: PathBuf = directory.join(std::ffi::OsStr::from_bytes(DIR_IV));
    DirIv::parse(&fs::read(path).ok()?)
}

/// Whether the first block of a file is whole; `None` if there is nothing to try.
fn first_block(keys: &Keys, path: &Path) -> Option<bool> {
    let mut start = Vec::new();
    let limit = (HEADER_LEN + keys.content.block()) as u64;
    File::open(path).ok()?.take(limit).read_to_end(&mut start).ok()?;
    let id = FileId::parse(&start).ok()?;
    let block = &mut start[HEADER_LEN..];
    // Zeros are a hole with any key.
    let is_something = block.iter().any(|byte| *byte != 0);
    is_something.then(|| keys.content.open_block(block, 0, id).is_ok())
}
