//! The files that are worked on.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory in memory, so that no disk is measured, with one file in it.
#[derive(Debug)]
pub(crate) struct Files {
    dir: TempDir,
}

impl Files {
    /// The file's name.
    pub(crate) const NAME: &str = "file";

    /// The name of files that are made and removed.
    pub(crate) const NEW: &str = "new";

    /// Bytes in the file.
    pub(crate) const SIZE: usize = 1 << 20;

    /// Makes them in `/dev/shm`, or where temporary files go if that does not exist.
    #[allow(clippy::new_without_default, reason = "it makes files")]
    pub(crate) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let files = Files { dir: dir.expect("cannot make a directory") };
        std::fs::write(files.dir().join(Self::NAME), vec![0xa5; Self::SIZE]).expect("cannot write a file");
        files
    }

    /// Where they are.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir().join(Self::NAME)
    }

    /// Whether they really are in memory.
    pub(crate) fn are_in_memory(&self) -> bool {
        const TMPFS_MAGIC: i64 = 0x0102_1994;
        rustix::fs::statfs(self.dir()).is_ok_and(|stat| stat.f_type == TMPFS_MAGIC)
    }
}
