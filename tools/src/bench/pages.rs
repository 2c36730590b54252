//! The kernel's pages of files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Reads everything in a directory, so that it is in memory.
pub(crate) fn warm(directory: &Path) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            warm(&entry.path())?;
        } else if entry.file_type()?.is_file() {
            let mut file = File::open(entry.path())?;
            while file.read(&mut buffer)? > 0 {}
        }
    }
    Ok(())
}
