//! The way through all directories.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, major, minor, openat, readlinkat, statat};
use rustix::io::Errno;

use super::content::Stored;
use super::levels::Levels;
use super::names::{FILE, Named, Names, Root};
use super::{Finding, Observer, Problem, Summary, attributes, content};
use crate::backend::Mends;
use crate::format::Keys;

/// A walk that is under way.
pub(super) struct Walk<'a> {
    keys: &'a Keys,
    root: Root,
    unfinished: Mends,
    observer: &'a mut dyn Observer,
    summary: Summary,
    /// Where it is, in the mounted volume and on disk.
    path: Vec<u8>,
    stored: Vec<u8>,
    /// Files with several names that have been looked at.
    linked: HashSet<(u64, u64)>,
}

/// Directories of a directory that are still to be looked at, and how long the paths to it are.
struct Pending {
    directories: Vec<Named>,
    path: usize,
    stored: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        keys: &'a Keys,
        config: Option<Vec<u8>>,
        unfinished: Mends,
        observer: &'a mut dyn Observer,
    ) -> Self {
        let (path, stored, root) = (Vec::new(), Vec::new(), Root { config });
        Walk { keys, root, unfinished, observer, summary: Summary::default(), path, stored, linked: HashSet::new() }
    }

    pub(super) fn run(mut self, root: &Path) -> io::Result<Summary> {
        let root = openat(CWD, root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let mut levels = Levels::begin(root)?;
        let mut pending = vec![self.directory(&levels)];
        while let Some(level) = pending.last_mut() {
            self.path.truncate(level.path);
            self.stored.truncate(level.stored);
            let Some(next) = level.directories.pop() else {
                pending.pop();
                levels.up()?;
                continue;
            };
            self.enter(&next);
            match levels.down(&next.stored) {
                Ok(_) => pending.push(self.directory(&levels)),
                Err(reason) => self.found(Problem::Unread { reason }),
            }
        }
        Ok(self.summary)
    }

    /// Looks at all in the directory but other directories, which are still to be looked at.
    fn directory(&mut self, levels: &Levels) -> Pending {
        self.summary.directories += 1;
        self.observer.entry();
        let mut pending = Pending { directories: Vec::new(), path: self.path.len(), stored: self.stored.len() };
        let dir = levels.last();
        self.attributes(dir);
        let entries = match entries(dir) {
            Ok(entries) => entries,
            Err(reason) => {
                self.found(Problem::Unread { reason });
                return pending;
            }
        };
        let root = (pending.stored == 0).then_some(&self.root);
        let names = Names::new(self.keys, dir, &entries, root);
        for (stored, problem) in names.problems {
            if !stored.is_empty() {
                self.enter(&Named { plain: None, stored });
            }
            self.found(problem);
            self.path.truncate(pending.path);
            self.stored.truncate(pending.stored);
        }
        for file in names.files {
            self.enter(&file);
            match statat(dir, &file.stored, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => pending.directories.push(file),
                Ok(stat) => self.file(dir, &file.stored, &stat),
                // Removed meanwhile.
                Err(Errno::NOENT) => {}
                Err(error) => self.found(Problem::Unread { reason: error.into() }),
            }
            self.path.truncate(pending.path);
            self.stored.truncate(pending.stored);
        }
        // The last is taken first.
        pending.directories.reverse();
        pending
    }

    fn file(&mut self, dir: impl AsFd, stored: &[u8], stat: &Stat) {
        self.observer.entry();
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                if stat.st_nlink > 1 && !self.linked.insert((stat.st_dev, stat.st_ino)) {
                    return;
                }
                self.summary.files += 1;
                match openat(dir, stored, FILE, Mode::empty()) {
                    Ok(file) => self.content(&file),
                    Err(error) => self.found(Problem::Unread { reason: error.into() }),
                }
            }
            FileType::Symlink => {
                self.summary.symlinks += 1;
                match readlinkat(dir, stored, Vec::new()) {
                    Ok(target) => {
                        if self.keys.load_target(target.into_bytes()).is_err() {
                            self.found(Problem::Target);
                        }
                    }
                    Err(error) => self.found(Problem::Unread { reason: error.into() }),
                }
            }
            _ => self.summary.others += 1,
        }
    }

    fn content(&mut self, file: &OwnedFd) {
        self.attributes(file.as_fd());
        let stat = match fstat(file) {
            Ok(stat) => stat,
            Err(error) => return self.found(Problem::Unread { reason: error.into() }),
        };
        let mend = self.unfinished.of((major(stat.st_dev), minor(stat.st_dev), stat.st_ino));
        let file = Stored::new(file.as_fd(), &stat, mend);
        let mut read = 0;
        let problems = content::problems(&self.keys.content, &file, &mut |bytes| {
            read += bytes;
            self.observer.read(bytes);
        });
        self.summary.bytes += read;
        self.all_found(problems);
    }

    fn attributes(&mut self, file: BorrowedFd<'_>) {
        self.all_found(attributes::problems(self.keys, file));
    }

    fn all_found(&mut self, problems: io::Result<Vec<Problem>>) {
        match problems {
            Ok(problems) => problems.into_iter().for_each(|problem| self.found(problem)),
            Err(reason) => self.found(Problem::Unread { reason }),
        }
    }

    fn found(&mut self, problem: Problem) {
        let finding = Finding { path: self.path.clone(), stored: self.stored.clone(), problem };
        self.summary.count(&finding);
        self.observer.found(&finding);
    }

    /// Goes on to `entry`.
    fn enter(&mut self, entry: &Named) {
        for (path, name) in
            [(&mut self.path, entry.plain.as_ref().unwrap_or(&entry.stored)), (&mut self.stored, &entry.stored)]
        {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
    }
}

/// The names in `dir`, in order.
fn entries(dir: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            entries.push(name.to_vec());
        }
    }
    entries.sort_unstable();
    Ok(entries)
}
