//! The state of the machine: mounts, rights, caches.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Whether we are root.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether FUSE can be used at all.
#[must_use]
pub fn has_fuse() -> bool {
    Path::new("/dev/fuse").exists()
}

/// Whether the kernel is new enough for FUSE passthrough, which came with 6.9.
#[must_use]
pub fn can_pass_through() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map_while(|word| word.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (6, 9)
}

/// The mountpoints of this mount namespace with the type of what is mounted there.
pub fn mounts() -> Result<Vec<(PathBuf, String)>> {
    let table = fs::read("/proc/self/mountinfo").context("cannot read the mount table")?;
    Ok(table.split(|&byte| byte == b'\n').filter_map(entry).collect())
}

/// The type of the topmost mount at exactly `path`, if there is one.
pub fn mounted(path: &Path) -> Result<Option<String>> {
    Ok(mounts()?.into_iter().rev().find(|(point, _)| point == path).map(|(_, kind)| kind))
}

/// Makes the kernel forget cached inodes, names and pages, also of FUSE mounts. Needs root.
pub fn drop_caches() -> Result<()> {
    // Dirty inodes cannot be dropped.
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").context("cannot drop the kernel's caches")
}

/// Makes the kernel forget cached names and inodes, but not pages. Needs root.
pub fn drop_names() -> Result<()> {
    rustix::fs::sync();
    fs::write("/proc/sys/vm/drop_caches", "2").context("cannot drop the kernel's caches")
}

/// Mountpoint and type of one line.
fn entry(line: &[u8]) -> Option<(PathBuf, String)> {
    let mut words = line.split(|&byte| byte == b' ');
    let point = unescape(words.nth(4)?);
    let kind = words.skip_while(|&word| word != b"-").nth(1)?;
    Some((PathBuf::from(OsString::from_vec(point)), String::from_utf8_lossy(kind).into_owned()))
}

/// Undoes the octal escapes of the mount table.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                out.push(byte);
                rest = &tail[3..];
            }
            _ => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn mount_table_lines_are_understood() {
        let line = br"36 35 98:0 /mnt1 /mnt/with\040space rw,noatime master:1 - fuse.fusebridge host:/x rw";
        let (point, kind) = entry(line).expect("a well-formed line");
        assert_eq!(point.as_os_str().as_bytes(), b"/mnt/with space");
        assert_eq!(kind, "fuse.fusebridge");
        assert!(entry(b"").is_none());
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(mounted(Path::new("/")).expect("a mount table").is_some());
    }
}
