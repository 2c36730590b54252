//! Finding places in the container's root file system, whose content is hostile and may change at any time.
//!
//! A path is walked name by name on descriptors, and no step follows a link: where one is found, its text is walked,
//! from the root again if it is absolute. So `..` and links lead nowhere outside, and what has been checked is what is
//! used.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, mkdirat, openat, readlinkat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use super::sealed::Sealed;
use super::tree::Tree;
use crate::runsc::raw::MountAttributes;

/// How many links a path may lead through.
const MOST_LINKS: usize = 255;

/// A place in the root file system.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) fd: OwnedFd,
    /// Where that is, absolute and without links.
    pub(super) path: PathBuf,
}

/// What to make where there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// Finds `path` in the file system whose root is `root`. Makes it a file or directory, with the directories that lead
/// to it, if it is not there; also on mounts that are read-only because they are `sealed`.
pub(super) fn find_or_make(root: BorrowedFd<'_>, sealed: &Sealed, path: &Path, kind: Kind) -> Result<Place, Errno> {
    let mut walk = Walk { root, found: Vec::new() };
    walk.go(path)?;
    walk.make(sealed, kind)?;
    walk.place()
}

/// The same without making anything: `ENOENT` if it is not there.
pub(super) fn find(root: BorrowedFd<'_>, path: &Path) -> Result<Place, Errno> {
    let mut walk = Walk { root, found: Vec::new() };
    walk.go(path)?;
    walk.place()
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    /// From the root to where we are.
    found: Vec<Found>,
}

struct Found {
    name: OsString,
    /// None if it is not there.
    fd: Option<OwnedFd>,
}

impl Walk<'_> {
    fn go(&mut self, path: &Path) -> Result<(), Errno> {
        let mut links = 0;
        // The next one is the last.
        let mut names = Vec::new();
        push(&mut names, path);
        while let Some(name) = names.pop() {
            if name == ".." {
                self.found.pop();
                continue;
            }
            let Some(link) = self.enter(&name)? else { continue };
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            if link.is_absolute() {
                self.found.clear();
            }
            push(&mut names, &link);
        }
        Ok(())
    }

    /// Goes on to `name`. If that is a link, stays and returns where it leads.
    fn enter(&mut self, name: &OsStr) -> Result<Option<PathBuf>, Errno> {
        let fd = match self.here() {
            None => None,
            Some(here) => match open(here, name) {
                Ok(fd) => Some(fd),
                Err(Errno::NOENT) => None,
                Err(error) => return Err(error),
            },
        };
        if let Some(fd) = &fd
            && file_type(fd.as_fd())? == FileType::Symlink
        {
            let link = readlinkat(fd, c"", Vec::new())?;
            return Ok(Some(OsString::from_vec(link.into_bytes()).into()));
        }
        self.found.push(Found { name: name.to_owned(), fd });
        Ok(None)
    }

    /// Where we are, if that exists.
    fn here(&self) -> Option<BorrowedFd<'_>> {
        match self.found.last() {
            None => Some(self.root),
            Some(found) => found.fd.as_ref().map(AsFd::as_fd),
        }
    }

    /// Makes what is missing.
    fn make(&mut self, sealed: &Sealed, kind: Kind) -> Result<(), Errno> {
        let Some(last) = self.found.len().checked_sub(1) else { return Ok(()) };
        let mut parent: Option<OwnedFd> = None;
        for (index, found) in self.found.iter_mut().enumerate() {
            let kind = if index == last { kind } else { Kind::Directory };
            if found.fd.is_none() {
                let parent = parent.as_ref().map_or(self.root, AsFd::as_fd);
                found.fd = Some(make(parent, sealed, &found.name, kind)?);
            }
            parent = found.fd.as_ref().map(|fd| fcntl_dupfd_cloexec(fd, 0)).transpose()?;
        }
        Ok(())
    }

    fn place(mut self) -> Result<Place, Errno> {
        let mut path = PathBuf::from("/");
        path.extend(self.found.iter().map(|found| &found.name));
        let fd = match self.found.pop() {
            None => fcntl_dupfd_cloexec(self.root, 0)?,
            Some(found) => found.fd.ok_or(Errno::NOENT)?,
        };
        Ok(Place { fd, path })
    }
}

/// Puts the names in `path` onto a stack.
fn push(names: &mut Vec<OsString>, path: &Path) {
    for component in path.components().rev() {
        if let Component::Normal(_) | Component::ParentDir = component {
            names.push(component.as_os_str().to_owned());
        }
    }
}

fn open(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn file_type(fd: BorrowedFd<'_>) -> Result<FileType, Errno> {
    Ok(FileType::from_raw_mode(fstat(fd)?.st_mode))
}

/// Makes `name` in `dir`. If somebody else was faster that must be the same kind of file.
fn make(dir: BorrowedFd<'_>, sealed: &Sealed, name: &OsStr, kind: Kind) -> Result<OwnedFd, Errno> {
    match make_in(dir, name, kind) {
        Err(Errno::ROFS) if sealed.has(dir) => {
            // The mount is what is read-only, and not the file system: this very directory seen through another one.
            let writable = Tree::copy(dir, true)?;
            writable.change(false, MountAttributes { clear: libc::MOUNT_ATTR_RDONLY, ..MountAttributes::default() })?;
            make_in(writable.as_fd(), name, kind)?;
        }
        other => other?,
    }
    let made = open(dir, name)?;
    let is_right = match (kind, file_type(made.as_fd())?) {
        (Kind::Directory, kind) => kind == FileType::Directory,
        (Kind::File, kind) => kind != FileType::Directory && kind != FileType::Symlink,
    };
    if is_right { Ok(made) } else { Err(Errno::STALE) }
}

fn make_in(dir: BorrowedFd<'_>, name: &OsStr, kind: Kind) -> Result<(), Errno> {
    let mode = Mode::from_raw_mode(0o777);
    let made = match kind {
        Kind::Directory => mkdirat(dir, name, mode),
        Kind::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(dir, name, flags, mode).map(drop)
        }
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use super::*;

    fn find(root: &Path, path: &str, kind: Kind) -> Result<PathBuf, Errno> {
        let fd = File::open(root).unwrap();
        let place = find_or_make(fd.as_fd(), &Sealed::default(), Path::new(path), kind)?;
        // What was found is what is there.
        let by_path = fs::symlink_metadata(root.join(place.path.strip_prefix("/").unwrap())).unwrap();
        let by_fd = fstat(&place.fd).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::ino(&by_path), by_fd.st_ino);
        Ok(place.path)
    }

    #[test]
    fn nothing_leads_outside() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("/etc", root.join("absolute")).unwrap();
        symlink("../../../..", root.join("a/up")).unwrap();
        symlink(outside.path(), root.join("dev")).unwrap();
        symlink("a/b/../missing/x", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        for (path, found) in [
            ("/", "/"),
            ("/etc", "/etc"),
            ("/absolute/new", "/etc/new"),
            ("/../../etc", "/etc"),
            ("/a/up/etc", "/etc"),
            ("/a/up/up", "/up"),
            ("/a/./b//c", "/a/b/c"),
            ("/dangling", "/a/missing/x"),
            ("/not/there/../here", "/not/here"),
        ] {
            assert_eq!(find(&root, path, Kind::Directory).unwrap(), Path::new(found), "{path}");
        }
        assert!(!root.join("not/there").exists());
        // A link to a directory of the host means the directory of that name in here.
        let inside = find(&root, "/dev/null", Kind::File).unwrap();
        assert_eq!(inside, outside.path().join("null"));
        assert!(!outside.path().join("null").exists());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        assert_eq!(find(&root, "/loop", Kind::Directory).unwrap_err(), Errno::LOOP);
    }

    #[test]
    fn what_is_missing_is_made() {
        let root = tempfile::tempdir().unwrap();
        find(root.path(), "/x/y/file", Kind::File).unwrap();
        assert!(root.path().join("x/y/file").is_file());
        find(root.path(), "/x/z", Kind::Directory).unwrap();
        assert!(root.path().join("x/z").is_dir());
        // Nothing is below a file.
        assert_eq!(find(root.path(), "/x/y/file/below", Kind::File).unwrap_err(), Errno::NOTDIR);
    }
}
