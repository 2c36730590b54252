//! The two files that the data of a file is in.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use lisafs::backend::IoTarget;
use rustix::fs::{FallocateFlags, OFlags, fallocate};

use super::directory::{DATA, Directory, MAP, make_parent, remove_parent};
use super::header::{HEADER, Header, Key};
use super::index;
use super::map::Map;

/// Below so many bytes the disk has no smaller unit.
const UNIT: u64 = 4 << 10;

/// What `bytes` bytes take on a disk.
pub(crate) fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(UNIT)
}

/// The two files of one file, open.
#[derive(Debug)]
pub(super) struct Disk {
    data: File,
    map: File,
}

/// What was found of a file.
pub(super) enum Loaded {
    Nothing,
    /// It was being changed when its process was killed, or is damaged.
    Useless,
    Usable(Disk, Header, Map),
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match options().open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn create(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// Makes the first file of two, and the directory that it is in. `true` if that was made.
fn create_first(path: &Path) -> io::Result<(File, bool)> {
    /// Somebody may remove the directory with what was the last file in it.
    const TRIES: usize = 16;
    let mut has_made = false;
    for _ in 0..TRIES {
        match create(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => has_made |= make_parent(path)?,
            created => return created.map(|file| (file, has_made)),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn unlink(directory: &Directory, key: Key) -> io::Result<()> {
    // Data without a map is nothing.
    for ending in [MAP, DATA] {
        match fs::remove_file(directory.file(key, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

impl Disk {
    /// What there is of `key`.
    pub(super) fn load(directory: &Directory, key: Key) -> io::Result<Loaded> {
        let Some(map) = open(&directory.file(key, MAP))? else { return Ok(Loaded::Nothing) };
        let Some(data) = open(&directory.file(key, DATA))? else { return Ok(Loaded::Nothing) };
        let mut bytes = vec![0; index(map.metadata()?.len())];
        map.read_exact_at(&mut bytes, 0)?;
        let header = Header::from_bytes(&bytes).filter(|header| header.key == key && header.is_clean);
        let disk = Disk { data, map };
        // Who has cut the data off or padded it has done more.
        let len = disk.data.metadata()?.len();
        match (header.filter(|header| header.version.size == len), bytes.get(index(HEADER)..)) {
            (Some(header), Some(entries)) => Ok(Loaded::Usable(disk, header, Map::from_bytes(entries))),
            _ => Ok(Loaded::Useless),
        }
    }

    /// Makes the two files, in place of others. Says whether their directory was made for them.
    pub(super) fn create(directory: &Directory, header: &Header, size: u64) -> io::Result<(Self, bool)> {
        match Self::make(directory, header, size) {
            // Somebody may have a descriptor of the one that is there.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                unlink(directory, header.key)?;
                Self::make(directory, header, size)
            }
            made => made,
        }
    }

    fn make(directory: &Directory, header: &Header, size: u64) -> io::Result<(Self, bool)> {
        let key = header.key;
        let (data, is_first) = create_first(&directory.file(key, DATA))?;
        let made = data.set_len(size).and_then(|()| {
            let disk = Disk { map: create(&directory.file(key, MAP))?, data };
            disk.map.set_len(HEADER)?;
            disk.put_header(header)?;
            Ok((disk, is_first))
        });
        made.inspect_err(|_| {
            // The first error counts.
            let _ = if is_first { Self::remove(directory, key).map(drop) } else { unlink(directory, key) };
        })
    }

    /// Removes the two files, if they are there. Says whether their directory went with them.
    pub(super) fn remove(directory: &Directory, key: Key) -> io::Result<bool> {
        unlink(directory, key)?;
        Ok(remove_parent(&directory.file(key, DATA)))
    }

    /// In one write, which a kill does not tear.
    pub(super) fn put_header(&self, header: &Header) -> io::Result<()> {
        self.map.write_all_at(&header.to_bytes(), 0)
    }

    /// Stores checksums of chunks from `first` on; 0 for those that are not there.
    pub(super) fn put_checksums(&self, first: u64, checksums: &[u32]) -> io::Result<()> {
        let bytes: Vec<u8> = checksums.iter().flat_map(|checksum| checksum.to_le_bytes()).collect();
        self.map.write_all_at(&bytes, HEADER + 4 * first)
    }

    /// Forgets all chunks.
    pub(super) fn clear_checksums(&self) -> io::Result<()> {
        self.map.set_len(HEADER)
    }

    pub(super) fn read_into(&self, mut into: IoTarget<'_>, offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < into.len() {
            let len = into.len() - done;
            match into.part(done, len).fill_from(self.data.as_fd(), offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(errno) => return Err(io::Error::from_raw_os_error(errno.raw_os_error())),
            }
        }
        Ok(done)
    }

    pub(super) fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.data.read_exact_at(bytes, offset)
    }

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.data.write_all_at(bytes, offset)
    }

    pub(super) fn set_len(&self, size: u64) -> io::Result<()> {
        self.data.set_len(size)
    }

    /// Gives the space of a range back.
    pub(super) fn punch(&self, start: u64, len: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(&self.data, flags, start, len)?)
    }

    /// The data file, opened anew to be read only.
    pub(super) fn reopen(&self) -> io::Result<OwnedFd> {
        reopen(self.data.as_fd())
    }
}

fn reopen(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    Ok(File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?.into())
}
