//! What can be wrong.

use std::fmt;
use std::io;

use serde::{Serialize, Serializer};

use crate::format::{BLOCK, HeaderError};

/// Something that is not as it should be.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The file in the mounted volume. What of it does not decrypt is as it is on disk. Empty for the root.
    #[serde(serialize_with = "lossy")]
    pub path: Vec<u8>,
    /// The file in the encrypted directory.
    #[serde(serialize_with = "lossy")]
    pub stored: Vec<u8>,
    /// What it is.
    #[serde(flatten)]
    pub problem: Problem,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Something is lost.
    Damage,
    /// Something could not be looked at.
    Unread,
    /// Nothing is lost.
    Note,
}

/// What is wrong with a file.
#[derive(Debug, Serialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum Problem {
    /// The directory has no initialization vector: none of its names can be decrypted.
    DirIvMissing,
    /// The directory's initialization vector has not 16 bytes or is all zeros, with the same effect.
    DirIvDamaged,
    /// The name does not decrypt.
    Name,
    /// The name decrypts, but a file of this name is looked for elsewhere.
    Misplaced,
    /// A long name without the file that says it.
    LongNameMissing,
    /// A long name whose file says another or none.
    LongNameDamaged,
    /// A file that says a long name which no file has.
    LongNameOrphan,
    /// The header is none, so no block can be decrypted.
    Header {
        /// Why.
        #[serde(serialize_with = "display")]
        reason: HeaderError,
    },
    /// Blocks that are not what was written there: changed, moved, or another file's.
    Blocks {
        /// The number of the first.
        first: u64,
        /// The number of the last.
        last: u64,
        /// Whether the file has no other.
        all: bool,
    },
    /// The last block is cut off where it must have more bytes.
    CutOff {
        /// Its number.
        block: u64,
    },
    /// The target of the symbolic link does not decrypt.
    Target,
    /// The name of an extended attribute does not decrypt.
    AttributeName {
        /// As it is on disk.
        #[serde(serialize_with = "lossy")]
        name: Vec<u8>,
    },
    /// The value of an extended attribute does not decrypt.
    AttributeValue {
        /// The attribute in the mounted volume.
        #[serde(serialize_with = "lossy")]
        name: Vec<u8>,
    },
    /// It cannot be read.
    Unread {
        /// What the kernel says.
        #[serde(serialize_with = "display")]
        reason: io::Error,
    },
    /// A file that gocryptfs or this program was about to remove, or a copy of the configuration.
    Leftover,
    /// Changes that were noted by a process that was killed, or that has the volume open. The next mount completes what is
    /// not made, and that is not damage.
    Unfinished,
}

impl Problem {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match self {
            Problem::Unread { .. } => Severity::Unread,
            Problem::Leftover | Problem::Unfinished => Severity::Note,
            _ => Severity::Damage,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::DirIvMissing => f.write_str("gocryptfs.diriv is missing, no name in the directory decrypts"),
            Problem::DirIvDamaged => f.write_str("gocryptfs.diriv is damaged, no name in the directory decrypts"),
            Problem::Name => f.write_str("the name does not decrypt"),
            Problem::Misplaced => f.write_str("the name is stored in a form that nobody looks for"),
            Problem::LongNameMissing => f.write_str("the file with the long name is missing"),
            Problem::LongNameDamaged => f.write_str("the file with the long name is damaged"),
            Problem::LongNameOrphan => f.write_str("a long name without a file"),
            Problem::Header { reason } => write!(f, "{reason}, no block decrypts"),
            Problem::Blocks { first, last, all } => {
                let (from, to) = (first * BLOCK as u64, (last + 1) * BLOCK as u64);
                match first == last {
                    true => write!(f, "block {first} is damaged (from byte {from})")?,
                    false => write!(f, "blocks {first} to {last} are damaged (bytes {from} to {to})")?,
                }
                if *all { f.write_str(", and there is no other") } else { Ok(()) }
            }
            Problem::CutOff { block } => write!(f, "block {block} is cut off"),
            Problem::Target => f.write_str("the target of the link does not decrypt"),
            Problem::AttributeName { name } => {
                write!(f, "the name of an attribute does not decrypt: {}", name.escape_ascii())
            }
            Problem::AttributeValue { name } => {
                write!(f, "the value of an attribute does not decrypt: {}", name.escape_ascii())
            }
            Problem::Unread { reason } => write!(f, "cannot be read: {reason}"),
            Problem::Leftover => f.write_str("a file that is not needed any more"),
            Problem::Unfinished => f.write_str("notes of changes, which the next mount completes if they are not made"),
        }
    }
}

impl fmt::Display for Finding {
    /// One line for people. Control characters in names are written as others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { b".".as_slice() } else { &self.path };
        write!(f, "{}: {}", printable(path), self.problem)?;
        if self.stored != self.path && !self.stored.is_empty() {
            write!(f, " [{}]", printable(&self.stored))?;
        }
        Ok(())
    }
}

/// `bytes` as text that no terminal takes for commands.
fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for char in String::from_utf8_lossy(bytes).chars() {
        match char.is_control() {
            true => text.extend(char.escape_default()),
            false => text.push(char),
        }
    }
    text
}

fn lossy<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

fn display<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
