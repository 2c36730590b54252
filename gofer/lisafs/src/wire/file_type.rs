//! Types of files.

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileType {
    /// A FIFO, `S_IFIFO`.
    Fifo,
    /// A character device, `S_IFCHR`.
    CharDevice,
    /// A directory, `S_IFDIR`.
    Directory,
    /// A block device, `S_IFBLK`.
    BlockDevice,
    /// A regular file, `S_IFREG`.
    Regular,
    /// A symbolic link, `S_IFLNK`.
    Symlink,
    /// A UNIX socket, `S_IFSOCK`.
    Socket,
}

/// Mask of the file type in a mode.
pub const S_IFMT: u32 = 0o170_000;

impl FileType {
    /// The type in `mode`; `None` if those bits are no type.
    pub const fn from_mode(mode: u32) -> Option<Self> {
        match mode & S_IFMT {
            0o010_000 => Some(FileType::Fifo),
            0o020_000 => Some(FileType::CharDevice),
            0o040_000 => Some(FileType::Directory),
            0o060_000 => Some(FileType::BlockDevice),
            0o100_000 => Some(FileType::Regular),
            0o120_000 => Some(FileType::Symlink),
            0o140_000 => Some(FileType::Socket),
            _ => None,
        }
    }

    /// The `S_IF*` bits of a mode.
    pub const fn bits(self) -> u16 {
        match self {
            FileType::Fifo => 0o010_000,
            FileType::CharDevice => 0o020_000,
            FileType::Directory => 0o040_000,
            FileType::BlockDevice => 0o060_000,
            FileType::Regular => 0o100_000,
            FileType::Symlink => 0o120_000,
            FileType::Socket => 0o140_000,
        }
    }

    /// The `DT_*` value of a directory entry.
    pub const fn dirent_type(self) -> u8 {
        (self.bits() >> 12) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_bits_of_a_mode() {
        let found: Vec<FileType> = (0..16).filter_map(|bits| FileType::from_mode(bits << 12 | 0o7777)).collect();
        assert_eq!(found.len(), 7);
        for file_type in found {
            assert_eq!(FileType::from_mode(file_type.bits().into()), Some(file_type));
        }
        assert_eq!(u32::from(FileType::Socket.bits()), libc::S_IFSOCK);
        assert_eq!(FileType::Regular.dirent_type(), libc::DT_REG);
    }
}
