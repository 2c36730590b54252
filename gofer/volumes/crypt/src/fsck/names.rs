//! Names in one directory.

use std::collections::HashSet;
use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::io::{Errno, read, retry_on_intr};

use super::Problem;
use crate::backend::{is_internal, is_note};
use crate::format::{CONFIG, DIR_IV, DirIv, Entry, Keys};

/// More than any long name has.
const LONGEST: usize = 512;

/// Opens a file without waiting for anybody.
pub(super) const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// What there is in the root of a volume besides its files.
pub(super) struct Root {
    /// The entry that is the configuration or that it is in.
    pub(super) config: Option<Vec<u8>>,
}

/// An entry that is a file of the volume, by its name.
pub(super) struct Named {
    /// On disk.
    pub(super) stored: Vec<u8>,
    /// In the mounted volume, if that can be said.
    pub(super) plain: Option<Vec<u8>>,
}

/// What is called how in a directory, and what is wrong with names.
#[derive(Default)]
pub(super) struct Names {
    pub(super) files: Vec<Named>,
    /// By the entry that it is about; of none if it is about the directory.
    pub(super) problems: Vec<(Vec<u8>, Problem)>,
}

impl Names {
    /// Of `entries` in `dir`, which may be the root.
    pub(super) fn new(keys: &Keys, dir: BorrowedFd<'_>, entries: &[Vec<u8>], root: Option<&Root>) -> Self {
        let mut names = Names::default();
        let present: HashSet<&[u8]> = entries.iter().map(Vec::as_slice).collect();
        let iv = names.dir_iv(keys, dir, &present);
        for stored in entries {
            if root.is_some() && is_note(stored) {
                names.problems.push((stored.clone(), Problem::Unfinished));
                continue;
            }
            if root.is_some_and(|root| is_internal(stored, root.config.as_deref())) {
                continue;
            }
            if root.is_some() && !keys.has_plain_names() && stored.starts_with(CONFIG.as_bytes()) {
                names.problems.push((stored.clone(), Problem::Leftover));
                continue;
            }
            let plain = match keys.names.classify(stored) {
                Entry::DirIv if stored == DIR_IV => continue,
                Entry::DirIv => {
                    names.problems.push((stored.clone(), Problem::Leftover));
                    continue;
                }
                Entry::LongName(content) => {
                    if !present.contains(content) {
                        names.problems.push((stored.clone(), Problem::LongNameOrphan));
                    }
                    continue;
                }
                // The directory's problem is theirs.
                Entry::Name(_) | Entry::Long(_) if iv.is_none() => Ok(None),
                Entry::Name(name) => {
                    let iv = iv.as_ref().unwrap_or(&DirIv::NONE);
                    keys.names.load(name, iv).map(|plain| Some(plain.to_vec())).map_err(|_| Problem::Name)
                }
                Entry::Long(entry) => long_name(keys, dir, entry, iv.as_ref().unwrap_or(&DirIv::NONE)).map(Some),
            };
            let plain = plain.unwrap_or_else(|problem| {
                names.problems.push((stored.clone(), problem));
                None
            });
            if let (Some(plain), Some(iv)) = (&plain, &iv) {
                let is_found = keys.names.store(plain, iv).is_ok_and(|found| found.entry() == stored.as_slice());
                if !is_found {
                    names.problems.push((stored.clone(), Problem::Misplaced));
                }
            }
            names.files.push(Named { stored: stored.clone(), plain });
        }
        names
    }

    /// The initialization vector of `dir`.
    fn dir_iv(&mut self, keys: &Keys, dir: BorrowedFd<'_>, present: &HashSet<&[u8]>) -> Option<DirIv> {
        if !keys.names.have_dir_ivs() {
            return Some(DirIv::NONE);
        }
        let problem = match present.contains(DIR_IV).then(|| read_small(dir, DIR_IV)) {
            None => Problem::DirIvMissing,
            Some(Ok(bytes)) => match DirIv::parse(&bytes) {
                Some(iv) => return Some(iv),
                None => Problem::DirIvDamaged,
            },
            Some(Err(error)) => Problem::of(error, Problem::DirIvDamaged),
        };
        self.problems.push((Vec::new(), problem));
        None
    }
}

/// The plain name of `entry`, which is in another file.
fn long_name(keys: &Keys, dir: BorrowedFd<'_>, entry: &[u8], iv: &DirIv) -> Result<Vec<u8>, Problem> {
    let full = match read_small(dir, &Entry::name_file(entry)) {
        Ok(full) => full,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Problem::LongNameMissing),
        Err(error) => return Err(Problem::of(error, Problem::LongNameDamaged)),
    };
    let plain = keys.names.load_long(entry, &full, iv);
    plain.map(|plain| plain.to_vec()).map_err(|_| Problem::LongNameDamaged)
}

/// The start of a small regular file.
fn read_small(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Vec<u8>> {
    let file = openat(dir, name, FILE, Mode::empty())?;
    if !rustix::fs::FileType::from_raw_mode(fstat(&file)?.st_mode).is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; LONGEST];
    let mut len = 0;
    while len < bytes.len() {
        match retry_on_intr(|| read(&file, &mut bytes[len..]))? {
            0 => break,
            more => len += more,
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

impl Problem {
    /// What `error` says: that something is no file as it should be, which is `damage`, or that it cannot be read.
    pub(super) fn of(error: io::Error, damage: Problem) -> Problem {
        let is_something_else = error.kind() == io::ErrorKind::InvalidData
            || [Errno::LOOP, Errno::NXIO, Errno::NODEV]
                .iter()
                .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
        if is_something_else { damage } else { Problem::Unread { reason: error } }
    }
}
