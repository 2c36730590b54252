//! How a file system in memory is to be.

use rustix::process::{getegid, geteuid};

use super::space::{BLOCK, all_memory};
use crate::extension::{digits, parse_size};

/// How a [`MemFs`](super::MemFs) behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemOptions {
    /// How many bytes it may hold. Without, as many as the machine has.
    pub size: Option<u64>,
    /// How many names it may have, the root's included. Without, about four billion.
    pub inodes: Option<u64>,
    /// Permissions of the root.
    pub mode: u16,
    /// Owner of the root, and of files that are made in nobody's name.
    pub uid: u32,
    /// Group of the root, and of files that are made in nobody's name.
    pub gid: u32,
    /// Whether FIFOs, sockets and devices can be made. If not, a sandbox makes FIFOs and sockets of its own, which it
    /// can also open. The whiteouts of overlays (character device 0:0) can always be made.
    pub special: bool,
    /// Nothing may be changed.
    pub read_only: bool,
    /// Other containers of the pod need not see it, whatever hints say.
    pub private: bool,
}

/// Half of the machine's memory, a name for each of its pages in that half, and the root for the caller alone to
/// change.
impl Default for MemOptions {
    fn default() -> Self {
        let size = all_memory() / 2;
        MemOptions {
            size: Some(size),
            inodes: Some(size / BLOCK),
            mode: 0o755,
            uid: geteuid().as_raw(),
            gid: getegid().as_raw(),
            special: true,
            read_only: false,
            private: false,
        }
    }
}

/// Why options were not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemOptionsError {
    /// There is no such option.
    #[error(
        "unknown option {0:?}; known are size=, inodes=, mode=, uid=, gid=, special, nospecial, ro, rw and private"
    )]
    Unknown(String),
    /// The option needs something behind a `=`, or must have nothing there.
    #[error("{0} {1}")]
    Value(&'static str, &'static str),
    /// What is behind the `=` means nothing.
    #[error("{option}={value}: {wanted}")]
    Meaning {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        wanted: &'static str,
    },
}

impl MemOptions {
    /// The same with room for so many bytes, or for as many as the machine has.
    #[must_use]
    pub fn size(self, size: Option<u64>) -> Self {
        MemOptions { size, ..self }
    }

    /// The same with room for so many names, or for about four billion.
    #[must_use]
    pub fn inodes(self, inodes: Option<u64>) -> Self {
        MemOptions { inodes, ..self }
    }

    /// The same with other permissions of the root.
    #[must_use]
    pub fn mode(self, mode: u16) -> Self {
        MemOptions { mode, ..self }
    }

    /// The same with another owner of the root.
    #[must_use]
    pub fn uid(self, uid: u32) -> Self {
        MemOptions { uid, ..self }
    }

    /// The same with another group of the root.
    #[must_use]
    pub fn gid(self, gid: u32) -> Self {
        MemOptions { gid, ..self }
    }

    /// The same with or without FIFOs, sockets and devices.
    #[must_use]
    pub fn special(self, special: bool) -> Self {
        MemOptions { special, ..self }
    }

    /// The same, refusing changes or not.
    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        MemOptions { read_only, ..self }
    }

    /// The same for one container of a pod, or for all.
    #[must_use]
    pub fn private(self, private: bool) -> Self {
        MemOptions { private, ..self }
    }

    /// Takes options as of `mount -o`, with commas between them: `size=1g,inodes=1m,mode=755,uid=0,gid=0,ro`.
    ///
    /// A size is a number of bytes, with k, m, g or t behind it for powers of 1024, or a percentage of the machine's
    /// memory; a number of inodes may have these letters too. 0 is for no limit, as it is with `tmpfs`. Of what is
    /// given twice, the last counts.
    ///
    /// Names and attributes take memory that is not part of the size: with a size and without a number of inodes, there
    /// is one for each KiB of it, and 1024 at least.
    pub fn parse(text: &str) -> Result<Self, MemOptionsError> {
        Self::default().and(text)
    }

    /// These options with others, which count where they say something else.
    pub(super) fn and(mut self, text: &str) -> Result<Self, MemOptionsError> {
        let options = || text.split(',').filter(|option| !option.is_empty());
        for option in options() {
            self.set(option)?;
        }
        if let Some(size) = self.size
            && options().any(|option| option.starts_with("size="))
            && !options().any(|option| option.starts_with("inodes="))
        {
            self.inodes = Some((size / 1024).max(1024));
        }
        Ok(self)
    }

    fn set(&mut self, option: &str) -> Result<(), MemOptionsError> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        match name {
            "size" => {
                let wanted = "not a size; for example 512m, 2g or 50%";
                self.size = Some(parse("size", value, wanted, size)?).filter(|size| *size != 0);
            }
            "inodes" => {
                let wanted = "not a number; for example 10000, 200k or 1m";
                self.inodes = Some(parse("inodes", value, wanted, parse_size)?).filter(|inodes| *inodes != 0);
            }
            "mode" => self.mode = parse("mode", value, "not permissions in octal; for example 755 or 1777", mode)?,
            "uid" => self.uid = parse("uid", value, "not a user's number", id)?,
            "gid" => self.gid = parse("gid", value, "not a group's number", id)?,
            "special" => self.special = flag("special", value, true)?,
            "nospecial" => self.special = flag("nospecial", value, false)?,
            "ro" => self.read_only = flag("ro", value, true)?,
            "rw" => self.read_only = flag("rw", value, false)?,
            "private" => self.private = flag("private", value, true)?,
            _ => return Err(MemOptionsError::Unknown(name.to_owned())),
        }
        Ok(())
    }
}

fn parse<T>(
    option: &'static str,
    value: Option<&str>,
    wanted: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, MemOptionsError> {
    let value = value.ok_or(MemOptionsError::Value(option, "needs a value"))?;
    parse(value).ok_or_else(|| MemOptionsError::Meaning { option, value: value.escape_debug().to_string(), wanted })
}

fn flag(option: &'static str, value: Option<&str>, set: bool) -> Result<bool, MemOptionsError> {
    if value.is_some() { Err(MemOptionsError::Value(option, "takes no value")) } else { Ok(set) }
}

fn size(text: &str) -> Option<u64> {
    match text.strip_suffix('%') {
        Some(percent) => Some(all_memory() / 100 * digits(percent).filter(|percent| *percent <= 100)?),
        None => parse_size(text),
    }
}

fn mode(text: &str) -> Option<u16> {
    let octal = text.bytes().all(|byte| byte.is_ascii_digit());
    u16::from_str_radix(text, 8).ok().filter(|mode| octal && *mode <= 0o7777)
}

fn id(text: &str) -> Option<u32> {
    digits(text)?.try_into().ok().filter(|id| *id != lisafs::backend::NO_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_understood() {
        assert_eq!(MemOptions::parse(""), Ok(MemOptions::default()));
        let all = MemOptions::parse("size=1g,inodes=2M,mode=1777,uid=7,gid=8,nospecial,ro,private").unwrap();
        let expected = MemOptions {
            size: Some(1 << 30),
            inodes: Some(2 << 20),
            mode: 0o1777,
            uid: 7,
            gid: 8,
            special: false,
            read_only: true,
            private: true,
        };
        assert_eq!(all, expected);
        let size = |text: &str| MemOptions::parse(&format!("size={text}")).unwrap().size;
        assert_eq!((size("0"), size("12"), size("3k"), size("4T")), (None, Some(12), Some(3 << 10), Some(4 << 40)));
        assert_eq!(size("50%"), Some(all_memory() / 100 * 50));
        assert_eq!(MemOptions::parse("ro,,rw,inodes=0").unwrap().inodes, None);
        let inodes = |text: &str| MemOptions::parse(text).unwrap().inodes;
        assert_eq!((inodes("size=1m"), inodes("size=1g"), inodes("size=4k")), (Some(1024), Some(1 << 20), Some(1024)));
        assert_eq!((inodes("inodes=7,size=1g"), inodes("size=0")), (Some(7), MemOptions::default().inodes));
    }

    #[test]
    fn mistakes_are_told_in_one_line() {
        let error = |text: &str| MemOptions::parse(text).unwrap_err().to_string();
        assert_eq!(error("size=1x"), "size=1x: not a size; for example 512m, 2g or 50%");
        assert_eq!(error("ro,sise=1"), {
            "unknown option \"sise\"; known are size=, inodes=, mode=, uid=, gid=, special, nospecial, ro, rw and private"
        });
        assert_eq!(error("mode"), "mode needs a value");
        assert_eq!(error("ro=1"), "ro takes no value");
        assert_eq!(error("uid=a\nb"), "uid=a\\nb: not a user's number");
        for bad in ["size=", "size=k", "size=-1", "size=+1", "size=101%", "size=99999999t", "size=1é", "inodes=5%"] {
            assert!(MemOptions::parse(bad).is_err(), "{bad}");
        }
        for bad in ["mode=888", "mode=10000", "mode=+7", "mode=", "uid=4294967295", "gid=-1", "=", "a=b"] {
            assert!(MemOptions::parse(bad).is_err(), "{bad}");
        }
    }
}
