//! A directory tree in words, to be compared.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use anyhow::{Context, Result};

/// One line for each file below `directory`, in the order of their names: its type, mode, owner, number of links, size
/// and content or target. Not its times.
pub fn listing(directory: &Path) -> Result<String> {
    let mut text = String::new();
    add(directory, directory, &mut text)?;
    Ok(text)
}

fn add(root: &Path, directory: &Path, text: &mut String) -> Result<()> {
    let mut entries = fs::read_dir(directory)
        .with_context(|| format!("cannot list {}", directory.display()))?
        .collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path)?;
        let name = path.strip_prefix(root)?.display();
        let kind = metadata.file_type();
        write!(text, "{name} {:o} {}:{}", metadata.mode(), metadata.uid(), metadata.gid())?;
        if kind.is_dir() {
            writeln!(text)?;
            add(root, &path, text)?;
        } else if kind.is_symlink() {
            writeln!(text, " -> {}", fs::read_link(&path)?.display())?;
        } else if kind.is_file() {
            let content = fs::read(&path)?;
            write!(text, " x{} {} bytes", metadata.nlink(), content.len())?;
            match std::str::from_utf8(&content) {
                Ok(content) if content.len() < 200 => writeln!(text, " {content:?}")?,
                _ => writeln!(text)?,
            }
        } else {
            writeln!(text, " {}", if kind.is_fifo() { "fifo" } else { "special" })?;
        }
    }
    Ok(())
}
