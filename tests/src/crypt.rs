//! Encrypted volumes, and gocryptfs to compare with.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::modes::{Access, Io};
use crate::mount::{self, Mount};
use crate::{bins, command, host, scratch};

const LIMIT: Duration = Duration::from_secs(60);

/// What opens the volumes of tests.
pub const PASSWORD: &str = "secret";

/// A configuration of gocryptfs, whose password costs next to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Config {
    /// What gocryptfs makes if nothing else is asked for.
    Default,
    /// XChaCha20-Poly1305, and names of more than 62 bytes are long.
    XChaCha,
}

impl Config {
    fn json(self) -> &'static str {
        match self {
            Self::Default => include_str!("../crypt/aes-gcm.json"),
            Self::XChaCha => include_str!("../crypt/xchacha.json"),
        }
    }
}

/// The file with the password, in `directory`.
pub fn password_file(directory: &Path) -> Result<PathBuf> {
    let path = directory.join("password");
    fs::write(&path, PASSWORD)?;
    Ok(path)
}

/// Makes a volume without files in the empty directory `directory`.
pub fn make(directory: &Path, config: Config) -> Result<()> {
    fs::write(directory.join("gocryptfs.conf"), config.json())?;
    fs::write(directory.join("gocryptfs.diriv"), b"16 bytes for it.")?;
    Ok(())
}

/// The flag for the file with the password.
#[must_use]
pub fn flag(password_file: &Path) -> OsString {
    let mut flag = OsString::from("--crypt-passfile=");
    flag.push(password_file);
    flag
}

/// What stands for the volume in a directory on a command line.
#[must_use]
pub fn backend(directory: &Path) -> OsString {
    let mut backend = OsString::from("crypt:");
    backend.push(mount::backend(directory));
    backend
}

/// A volume in a directory of the host.
#[derive(Debug)]
pub struct Volume {
    directory: TempDir,
    password: TempDir,
}

impl Volume {
    /// A new one, which all users may write to.
    pub fn new(config: Config) -> Result<Self> {
        let volume = Self::of(scratch::open_to_all()?)?;
        make(volume.path(), config)?;
        Ok(volume)
    }

    /// The volume that is in `directory`, or will be.
    pub fn of(directory: TempDir) -> Result<Self> {
        let password = scratch::memory()?;
        password_file(password.path())?;
        Ok(Self { directory, password })
    }

    /// One that gocryptfs makes with `options`.
    pub fn of_gocryptfs(options: &[&str]) -> Result<Self> {
        let volume = Self::of(scratch::memory()?)?;
        volume.gocryptfs(&[&["-init", "-scryptn", "10"], options].concat(), &[])?;
        Ok(volume)
    }

    /// The encrypted files.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The file with the password.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.password.path().join("password")
    }

    /// Mounts the plain files.
    pub fn mount(&self, access: Access) -> Result<Mount> {
        let mut command = mount::command(Io::Rpc, access)?;
        Mount::start(command.arg(flag(&self.password_file())).arg(backend(self.path())))
    }

    /// Runs gocryptfs on it.
    pub fn gocryptfs(&self, options: &[&str], more: &[&OsStr]) -> Result<()> {
        let mut command = Command::new("gocryptfs");
        command.args(["-quiet", "-nosyslog", "-passfile"]).arg(self.password_file()).args(options);
        // A process that stays would keep pipes open.
        command.arg(self.path()).args(more).stdin(Stdio::null());
        let said = tempfile::tempfile()?;
        command.stdout(said.try_clone()?).stderr(said.try_clone()?);
        let status = command.status().context("gocryptfs")?;
        if !status.success() {
            use std::io::{Read, Seek};
            let (mut said, mut text) = (said, String::new());
            said.rewind()?;
            said.read_to_string(&mut text)?;
            anyhow::bail!("{command:?}: {status}\n{text}");
        }
        Ok(())
    }

    /// Lets gocryptfs check it.
    pub fn check(&self) -> Result<()> {
        self.gocryptfs(&["-fsck"], &[])
    }

    /// Does `work` in gocryptfs's mount of it.
    pub fn in_gocryptfs<T>(&self, work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let point = mount::Point::new()?;
        self.gocryptfs(&["-acl"], &[point.path().as_os_str()])?;
        let outcome = work(point.path());
        command::succeed(Command::new("fusermount3").arg("-u").arg(point.path()), LIMIT)?;
        outcome
    }
}

/// Whether gocryptfs can be compared with.
#[must_use]
pub fn has_gocryptfs() -> bool {
    let found = Command::new("gocryptfs").arg("-version").stdout(Stdio::null()).status().is_ok();
    found && Path::new("/dev/fuse").exists() && host::is_root()
}

/// `fusebridge` with the volume's flag.
pub fn fusebridge(arguments: &[&str], volume: &Volume) -> Result<Command> {
    let mut command = Command::new(bins::fusebridge()?);
    command.args(arguments).arg(flag(&volume.password_file()));
    Ok(command)
}
