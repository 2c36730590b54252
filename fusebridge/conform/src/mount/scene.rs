//! Where a test plays: a directory of its own on the file system.

use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::check::{Expect, Verdict, skip};

/// A test's own directory, which is empty at first and is the working directory too.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) directory: PathBuf,
    /// Decides what is done by chance.
    pub(super) seed: u64,
}

impl Scene {
    /// The path of `name`.
    pub(super) fn at(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.join(name)
    }

    /// A new file with `content`, open for reading and writing.
    pub(super) fn file(&self, name: &str, content: &[u8]) -> Verdict<File> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).open(self.at(name));
        let file = file.of(format_args!("open({name}, O_RDWR|O_CREAT|O_EXCL)"))?;
        std::io::Write::write_all(&mut &file, content).of(format_args!("write({name}, {} bytes)", content.len()))?;
        Ok(file)
    }

    /// A new file with `content`, closed.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Verdict {
        self.file(name, content).map(drop)
    }

    /// A new directory.
    pub(super) fn dir(&self, name: &str) -> Verdict<PathBuf> {
        let path = self.at(name);
        fs::create_dir(&path).of(format_args!("mkdir({name})"))?;
        Ok(path)
    }

    /// The file, open for reading.
    pub(super) fn open(&self, name: &str) -> Verdict<File> {
        File::open(self.at(name)).of(format_args!("open({name}, O_RDONLY)"))
    }

    /// The file, open for reading and writing.
    pub(super) fn open_rw(&self, name: &str) -> Verdict<File> {
        OpenOptions::new().read(true).write(true).open(self.at(name)).of(format_args!("open({name}, O_RDWR)"))
    }

    /// All of a file.
    pub(super) fn read(&self, name: &str) -> Verdict<Vec<u8>> {
        fs::read(self.at(name)).of(format_args!("read({name})"))
    }

    /// Attributes, behind symbolic links.
    pub(super) fn stat(&self, name: &str) -> Verdict<Metadata> {
        fs::metadata(self.at(name)).of(format_args!("stat({name})"))
    }

    /// Attributes of the file itself.
    pub(super) fn lstat(&self, name: &str) -> Verdict<Metadata> {
        fs::symlink_metadata(self.at(name)).of(format_args!("lstat({name})"))
    }

    /// Sets the permission bits, of the test's directory if the name is empty.
    pub(super) fn chmod(&self, name: &str, mode: u32) -> Verdict {
        let path = if name.is_empty() { self.directory.clone() } else { self.at(name) };
        fs::set_permissions(path, Permissions::from_mode(mode)).of(format_args!("chmod({name}, {mode:#o})"))
    }

    /// Removes a name.
    pub(super) fn unlink(&self, name: &str) -> Verdict {
        fs::remove_file(self.at(name)).of(format_args!("unlink({name})"))
    }

    /// Makes a hard link. A file system that has none says so with `EPERM`.
    pub(super) fn link(&self, from: &str, to: &str) -> Verdict {
        match fs::hard_link(self.at(from), self.at(to)) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => skip(format!("link({from}, {to}): EPERM")),
            outcome => outcome.offered(format_args!("link({from}, {to})")),
        }
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> Verdict {
        fs::rename(self.at(from), self.at(to)).of(format_args!("rename({from}, {to})"))
    }

    /// The names in a directory, sorted.
    pub(super) fn names(&self, name: &str) -> Verdict<Vec<String>> {
        let operation = || format!("readdir({})", if name.is_empty() { "." } else { name });
        let mut names = Vec::new();
        for entry in fs::read_dir(self.at(name)).of(operation())? {
            names.push(entry.of(operation())?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

/// This thread's file system calls are somebody else's as long as this lives.
pub(super) struct Impersonation {
    uid: Uid,
    gid: Gid,
}

/// An ordinary user, who is nobody in particular.
pub(super) const SOMEBODY: u32 = 65534;
/// Another one.
pub(super) const SOMEBODY_ELSE: u32 = 65533;

impl Impersonation {
    /// Becomes the user and group `id`.
    pub(super) fn new(id: u32) -> Verdict<Self> {
        if !Uid::effective().is_root() {
            return skip("acting as another user needs root");
        }
        let gid = setfsgid(Gid::from_raw(id));
        let uid = setfsuid(Uid::from_raw(id));
        Ok(Impersonation { uid, gid })
    }
}

impl Drop for Impersonation {
    fn drop(&mut self) {
        setfsuid(self.uid);
        setfsgid(self.gid);
    }
}

/// This thread does not administer the system as long as this lives: it has no effective capabilities.
pub(super) struct Incapable(CapabilitySets);

impl Incapable {
    /// Gives capabilities up for a while.
    pub(super) fn new() -> Verdict<Self> {
        let before = capabilities(None).of("capget()")?;
        let none = CapabilitySets { effective: CapabilitySet::empty(), ..before };
        set_capabilities(None, none).of("capset()")?;
        Ok(Incapable(before))
    }
}

impl Drop for Incapable {
    fn drop(&mut self) {
        // They are still permitted.
        let _ = set_capabilities(None, self.0);
    }
}
