//! A socket that clients connect to.

use std::fs::{Permissions, remove_file, rename, set_permissions, symlink_metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags, Stat, fstat, lstat, open, renameat_with};

/// A listening socket in the file system. Its file is removed with it.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
    /// The file, to remove no other.
    file: Option<Held>,
    /// The file is somebody else's to remove.
    is_left: AtomicBool,
}

impl Listener {
    /// Listens at `path`. A socket file there that nobody listens on is left over from a server that died, and
    /// replaced.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                remove_stale(path)?;
                UnixListener::bind(path)?
            }
            result => result?,
        };
        listener.set_nonblocking(true)?;
        Ok(Listener { listener, path: path.to_owned(), file: Held::at(path).ok(), is_left: AtomicBool::new(false) })
    }

    /// Listens at `path`, where nobody else listens any more who should: whoever connects there from now on reaches this
    /// socket. A file that is not a socket stays.
    pub fn take_over(path: &Path) -> io::Result<Self> {
        match Held::at(path) {
            Ok(file) => file.must_be_socket()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let aside = path.with_added_extension(format!("{}.new", std::process::id()));
        let mut listener = Self::bind(&aside)?;
        rename(&aside, path)?;
        listener.path = path.to_owned();
        Ok(listener)
    }

    /// Listens on a socket that somebody else has made. Its file is removed with it if it is at `path`.
    pub fn adopt(listener: UnixListener, path: Option<&Path>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let file = path.and_then(|path| Held::at(path).ok());
        let path = path.unwrap_or(Path::new("")).to_owned();
        Ok(Listener { listener, path, file, is_left: AtomicBool::new(false) })
    }

    /// Whether the file is removed with it.
    pub fn owns_file(&self) -> bool {
        self.file.is_some() && !self.is_left.load(Ordering::Relaxed)
    }

    /// Lets those connect who may write to its file when that has `mode`.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        match &self.file {
            Some(file) => set_permissions(file.path(), Permissions::from_mode(mode)),
            None => Ok(()),
        }
    }

    /// The mode of the file that it was bound to, whoever has made it, if there is one.
    pub fn mode(&self) -> Option<u32> {
        let address = self.listener.local_addr().ok()?;
        Some(symlink_metadata(address.as_pathname()?).ok()?.permissions().mode() & 0o777)
    }

    /// Leaves the file, and with it everybody who is going to connect, to somebody else who listens on the same socket.
    pub fn leave_file(&self) {
        self.is_left.store(true, Ordering::Relaxed);
    }

    /// Removes the file, if it is still this socket's. Nobody can connect after that.
    pub fn remove_file(&self) {
        if let Some(file) = self.file.as_ref().filter(|_| self.owns_file())
            && let Err(error) = file.remove_from(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket");
        }
    }

    /// The next client, or `None` if there is none after all.
    pub fn accept(&self) -> io::Result<Option<UnixStream>> {
        match self.listener.accept() {
            Ok((client, _)) => Ok(Some(client)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove_file();
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    let file = Held::at(path)?;
    file.must_be_socket()?;
    match UnixStream::connect(file.path()) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => file.remove_from(path),
        _ => Err(io::Error::new(io::ErrorKind::AddrInUse, "a server listens there")),
    }
}

/// A file that is held: as long as it is, no other has its number, also if it was removed.
#[derive(Debug)]
struct Held(OwnedFd);

impl Held {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Held(open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// A path that leads to it and nothing else.
    fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }

    fn must_be_socket(&self) -> io::Result<()> {
        if FileType::from_raw_mode(fstat(&self.0)?.st_mode) != FileType::Socket {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is not a socket"));
        }
        Ok(())
    }

    fn is_at(&self, path: &Path) -> io::Result<bool> {
        let number = |stat: Stat| (stat.st_dev, stat.st_ino);
        Ok(number(fstat(&self.0)?) == lstat(path).map(number)?)
    }

    /// Removes it from `path`. What others have put there instead stays.
    fn remove_from(&self, path: &Path) -> io::Result<()> {
        if !self.is_at(path).unwrap_or(false) {
            return Ok(());
        }
        // From where nobody puts anything else between the look and the removal.
        let aside = path.with_added_extension(format!("{}.gone", std::process::id()));
        renameat_with(CWD, path, CWD, &aside, RenameFlags::NOREPLACE)?;
        if self.is_at(&aside)? {
            remove_file(&aside)
        } else {
            Ok(renameat_with(CWD, &aside, CWD, path, RenameFlags::NOREPLACE)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_own_socket_goes_with_the_listener() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(Listener::bind(&path).unwrap());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn who_takes_over_is_reached() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let first = Listener::take_over(&path).unwrap();
        let second = Listener::take_over(&path).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        assert!(first.accept().unwrap().is_none());
        assert!(second.accept().unwrap().is_some());
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(second);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);

        fs::write(&path, "data").unwrap();
        assert_eq!(Listener::take_over(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }

    #[test]
    fn a_later_socket_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let first = Listener::bind(&path).unwrap();
        remove_file(&path).unwrap();
        // File systems give the number of the removed file to the next one.
        let second = Listener::bind(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn only_a_socket_that_nobody_listens_on_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let first = Listener::bind(&path).unwrap();
        let error = Listener::bind(&path).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        fs::write(&path, "precious").unwrap();
        let error = Listener::bind(&path).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
