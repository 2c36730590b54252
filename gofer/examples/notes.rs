//! A small file system that can be written to, as an extension: files and directories in memory, behind one lock. No
//! links, no attributes beyond the usual, 16 MiB for each file; `memfs` is the one for work.

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use gofer::extension::{self, Backends, Claim, Extension};
use lisafs::backend::{
    Access, Attachment, Backend, ControlFile, Created, DirEntry, DirSink, Error, FileType, Found, IoSource, IoTarget,
    Mode, NO_ID, Name, NewFile, OpenFile, OpenHow, Opened, RenameFlags, Result, SetStat, SetStatFailure, Statx,
    StatxMask, StatxTimestamp, Timespec, Unlink,
};

const ROOT: u64 = 1;
/// With it, inode numbers are unique among those of other file systems.
const DEVICE: u32 = 79;
const LARGEST: usize = 16 << 20;

/// Everything there is.
#[derive(Default)]
struct Tree {
    inodes: HashMap<u64, Inode>,
    /// The last number given to a file, or to a place in a directory. None is given twice.
    last: u64,
}

/// A file or directory. It is there as long as it has a name or a handle.
struct Inode {
    stat: Statx,
    handles: usize,
    content: Content,
}

enum Content {
    File(Vec<u8>),
    Dir(Entries),
}

/// Names, and the places in which they are listed: a listing goes on where it was, whatever comes and goes meanwhile.
struct Entries {
    parent: u64,
    places: HashMap<Vec<u8>, u64>,
    entries: BTreeMap<u64, (Vec<u8>, u64)>,
}

impl Inode {
    fn entries(&mut self) -> Result<&mut Entries> {
        match &mut self.content {
            Content::Dir(entries) => Ok(entries),
            Content::File(_) => Err(Error::NOTDIR),
        }
    }

    fn data(&mut self) -> Result<&mut Vec<u8>> {
        match &mut self.content {
            Content::File(data) => Ok(data),
            Content::Dir(_) => Err(Error::ISDIR),
        }
    }

    /// Makes the content `size` bytes long.
    fn resize(&mut self, size: u64) -> Result<()> {
        let size = usize::try_from(size).ok().filter(|size| *size <= LARGEST).ok_or(Error::FBIG)?;
        self.data()?.resize(size, 0);
        self.changed();
        Ok(())
    }

    /// Notes that the content has changed.
    fn changed(&mut self) {
        self.stat.mtime = now();
        self.stat.ctime = self.stat.mtime;
        if let Content::File(data) = &self.content {
            self.stat.size = data.len() as u64;
            self.stat.blocks = self.stat.size.div_ceil(512);
        }
    }
}

impl Tree {
    fn inode(&mut self, ino: u64) -> Result<&mut Inode> {
        self.inodes.get_mut(&ino).ok_or(Error::STALE)
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn lookup(&mut self, dir: u64, name: &[u8]) -> Result<u64> {
        let entries = self.inode(dir)?.entries()?;
        let place = entries.places.get(name).ok_or(Error::NOENT)?;
        Ok(entries.entries[place].1)
    }

    /// Makes a new file or directory, which has no name yet.
    fn make(&mut self, new: &NewFile, file_type: u16, content: Content) -> u64 {
        let (ino, now) = (self.number(), now());
        let id = |id: u32| if id == NO_ID { 0 } else { id };
        let stat = Statx {
            mask: StatxMask::BASIC_STATS,
            mode: file_type | new.mode.bits(),
            uid: id(new.uid),
            gid: id(new.gid),
            // Also of directories: more would tell how many are below.
            nlink: 1,
            ino,
            dev_major: DEVICE,
            blksize: 4096,
            atime: now,
            mtime: now,
            ctime: now,
            ..Statx::default()
        };
        self.inodes.insert(ino, Inode { stat, handles: 0, content });
        ino
    }

    /// Fails unless `name` is free in `dir`, which has not been removed.
    fn check_free(&mut self, dir: u64, name: &[u8]) -> Result<()> {
        if self.inode(dir)?.stat.nlink == 0 {
            return Err(Error::NOENT);
        }
        match self.lookup(dir, name) {
            Ok(_) => Err(Error::EXIST),
            Err(error) if error == Error::NOENT => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives `ino` a name.
    fn attach(&mut self, dir: u64, name: &[u8], ino: u64) -> Result<()> {
        let place = self.number();
        if let Content::Dir(entries) = &mut self.inode(ino)?.content {
            entries.parent = dir;
        }
        let dir = self.inode(dir)?;
        let entries = dir.entries()?;
        entries.places.insert(name.to_vec(), place);
        entries.entries.insert(place, (name.to_vec(), ino));
        dir.changed();
        Ok(())
    }

    /// Takes a name away, and says whose it was.
    fn detach(&mut self, dir: u64, name: &[u8]) -> Result<u64> {
        let dir = self.inode(dir)?;
        let entries = dir.entries()?;
        let place = entries.places.remove(name).ok_or(Error::NOENT)?;
        let (_, ino) = entries.entries.remove(&place).ok_or(Error::NOENT)?;
        dir.changed();
        Ok(ino)
    }

    /// Removes a name and, unless somebody has it open, the file.
    fn remove(&mut self, dir: u64, name: &[u8], what: Unlink) -> Result<()> {
        let ino = self.lookup(dir, name)?;
        match (&self.inode(ino)?.content, what) {
            (Content::File(_), Unlink::Directory) => return Err(Error::NOTDIR),
            (Content::Dir(_), Unlink::File) => return Err(Error::ISDIR),
            (Content::Dir(entries), Unlink::Directory) if !entries.entries.is_empty() => return Err(Error::NOTEMPTY),
            _ => {}
        }
        self.detach(dir, name)?;
        let inode = self.inode(ino)?;
        inode.stat.nlink = 0;
        inode.stat.ctime = now();
        self.forget(ino);
        Ok(())
    }

    /// Drops a file that nobody can reach any more.
    fn forget(&mut self, ino: u64) {
        if self.inodes.get(&ino).is_some_and(|inode| inode.handles == 0 && inode.stat.nlink == 0) {
            self.inodes.remove(&ino);
        }
    }

    /// Whether `ino` is `dir` or above it.
    fn is_above(&mut self, ino: u64, mut dir: u64) -> Result<bool> {
        while dir != ino && dir != ROOT {
            dir = self.inode(dir)?.entries()?.parent;
        }
        Ok(dir == ino)
    }
}

/// The file system.
#[derive(Clone)]
struct Notes(Arc<Mutex<Tree>>);

impl Notes {
    fn new() -> Self {
        let mut tree = Tree::default();
        let root = tree.make(&NewFile::new(Mode::new(0o1777), 0, 0), 0o040_000, directory(ROOT));
        assert_eq!(root, ROOT, "it is the first");
        Notes(Arc::new(Mutex::new(tree)))
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        // A call that panicked has failed. The others go on.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A handle of `ino`, with its attributes.
    fn handle(&self, tree: &mut Tree, ino: u64) -> Result<(Handle, Statx)> {
        let inode = tree.inode(ino)?;
        inode.handles += 1;
        Ok((Handle { notes: self.clone(), ino }, inode.stat))
    }

    fn found(&self, tree: &mut Tree, ino: u64) -> Result<Found> {
        let (handle, stat) = self.handle(tree, ino)?;
        Ok(Found::new(handle, stat))
    }
}

impl Backend for Notes {
    fn attach(&self) -> Result<Attachment> {
        Ok(Attachment::new(self.found(&mut self.tree(), ROOT)?))
    }
}

/// What a client holds: a position in the tree, or an open file. Never dropped by who holds the lock.
struct Handle {
    notes: Notes,
    ino: u64,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut tree = self.notes.tree();
        if let Ok(inode) = tree.inode(self.ino) {
            inode.handles -= 1;
        }
        tree.forget(self.ino);
    }
}

impl ControlFile for Handle {
    fn stat(&self) -> Result<Statx> {
        Ok(self.notes.tree().inode(self.ino)?.stat)
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        let mut tree = self.notes.tree();
        let ino = tree.lookup(self.ino, name.as_bytes())?;
        self.notes.found(&mut tree, ino)
    }

    fn open(&self, how: OpenHow) -> Result<Opened> {
        let mut tree = self.notes.tree();
        if how.truncate {
            tree.inode(self.ino)?.resize(0)?;
        }
        Ok(Opened::new(self.notes.handle(&mut tree, self.ino)?.0))
    }

    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        let all = |error| SetStatFailure::new(change.mask(), error);
        let mut tree = self.notes.tree();
        let inode = tree.inode(self.ino).map_err(all)?;
        // Before the mode: it takes the set-id bits of files.
        if change.uid.is_some() || change.gid.is_some() {
            inode.stat.uid = change.uid.unwrap_or(inode.stat.uid);
            inode.stat.gid = change.gid.unwrap_or(inode.stat.gid);
            if matches!(inode.content, Content::File(_)) {
                inode.stat.mode &= !0o6000;
            }
        }
        if let Some(mode) = change.mode {
            inode.stat.mode = inode.stat.mode & 0o170_000 | mode.bits();
        }
        let resized = change.size.map_or(Ok(()), |size| inode.resize(size));
        set_time(&mut inode.stat.atime, change.atime);
        set_time(&mut inode.stat.mtime, change.mtime);
        if !change.mask().is_empty() {
            inode.stat.ctime = now();
        }
        resized.map_err(|error| SetStatFailure::new(StatxMask::SIZE, error))
    }

    fn create(&self, name: Name<'_>, new: &NewFile, _: Access) -> Result<Created> {
        let mut tree = self.notes.tree();
        tree.check_free(self.ino, name.as_bytes())?;
        let ino = tree.make(new, 0o100_000, Content::File(Vec::new()));
        tree.attach(self.ino, name.as_bytes(), ino)?;
        let opened = Opened::new(self.notes.handle(&mut tree, ino)?.0);
        Ok(Created::new(self.notes.found(&mut tree, ino)?, opened))
    }

    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        let mut tree = self.notes.tree();
        tree.check_free(self.ino, name.as_bytes())?;
        let ino = tree.make(new, 0o040_000, directory(self.ino));
        tree.attach(self.ino, name.as_bytes(), ino)?;
        self.notes.found(&mut tree, ino)
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        self.notes.tree().remove(self.ino, name.as_bytes(), what)
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let new_dir = new_dir.downcast::<Handle>()?.ino;
        if !matches!(flags, RenameFlags::Replace | RenameFlags::NoReplace) {
            return Err(Error::INVAL);
        }
        let mut tree = self.notes.tree();
        let ino = tree.lookup(self.ino, name.as_bytes())?;
        let is_dir = matches!(tree.inode(ino)?.content, Content::Dir(_));
        if is_dir && tree.is_above(ino, new_dir)? {
            return Err(Error::INVAL);
        }
        match tree.check_free(new_dir, new_name.as_bytes()) {
            Err(error) if error == Error::EXIST && !flags.keeps_new_name() => {
                if tree.lookup(new_dir, new_name.as_bytes())? == ino {
                    return Ok(());
                }
                let what = if is_dir { Unlink::Directory } else { Unlink::File };
                tree.remove(new_dir, new_name.as_bytes(), what)?;
            }
            free => free?,
        }
        tree.detach(self.ino, name.as_bytes())?;
        tree.attach(new_dir, new_name.as_bytes(), ino)
    }
}

impl OpenFile for Handle {
    fn stat(&self) -> Result<Statx> {
        ControlFile::stat(self)
    }

    fn read_at(&self, mut into: IoTarget<'_>, offset: u64) -> Result<usize> {
        let mut tree = self.notes.tree();
        let data = tree.inode(self.ino)?.data()?;
        let rest = usize::try_from(offset).ok().and_then(|offset| data.get(offset..)).unwrap_or_default();
        let part = &rest[..rest.len().min(into.len())];
        into.put(0, part);
        Ok(part.len())
    }

    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        let mut tree = self.notes.tree();
        let inode = tree.inode(self.ino)?;
        let start = usize::try_from(offset).map_err(|_| Error::FBIG)?;
        let end = start.checked_add(from.len()).filter(|end| *end <= LARGEST).ok_or(Error::FBIG)?;
        let data = inode.data()?;
        if data.len() < end {
            data.resize(end, 0);
        }
        from.get(0, &mut data[start..end]);
        inode.changed();
        Ok(end - start)
    }

    fn sync(&self) -> Result<()> {
        Ok(()) // None of it outlives the process.
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        let mut tree = self.notes.tree();
        let entries = &tree.inode(self.ino)?.entries()?.entries;
        let entries: Vec<_> =
            entries.range(from + 1..).map(|(place, (name, ino))| (*place, name.clone(), *ino)).collect();
        for (place, name, ino) in entries {
            let file_type: Option<FileType> = tree.inode(ino)?.stat.file_type();
            if !sink.add(&DirEntry::new(&name, ino, file_type, place).on_device(DEVICE, 0)) {
                break;
            }
        }
        Ok(())
    }
}

fn directory(parent: u64) -> Content {
    Content::Dir(Entries { parent, places: HashMap::new(), entries: BTreeMap::new() })
}

fn now() -> StatxTimestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    StatxTimestamp::new(since.as_secs().cast_signed(), since.subsec_nanos())
}

fn set_time(time: &mut StatxTimestamp, to: Option<Timespec>) {
    match to {
        None | Some(Timespec { nsec: Timespec::UTIME_OMIT, .. }) => {}
        Some(Timespec { nsec: Timespec::UTIME_NOW, .. }) => *time = now(),
        Some(Timespec { sec, nsec }) => *time = StatxTimestamp::new(sec, u32::try_from(nsec).unwrap_or(0)),
    }
}

/// Answers `notes:`.
struct NotesExtension;

impl Extension for NotesExtension {
    fn name(&self) -> &'static str {
        "notes"
    }

    fn open(&self, argument: &str, _: &Backends<'_>) -> extension::Result<Claim> {
        if !argument.is_empty() {
            return Err("takes no argument: notes:".into());
        }
        Ok(Claim::new(Arc::new(Notes::new())))
    }
}

fn main() -> ExitCode {
    gofer::main_with(vec![Box::new(NotesExtension)])
}

#[cfg(test)]
mod tests {
    use super::Notes;

    lisafs::testing::suite!(
        notes,
        Capabilities::none()
            .with(Capability::Write)
            .with(Capability::Owners)
            .with(Capability::Times)
            .with(Capability::NoReplace),
        Notes::new
    );
}
