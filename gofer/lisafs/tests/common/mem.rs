//! A file system in memory, whose calls a test can watch and hold up.

use lisafs::backend::FileType;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lisafs::backend::*;
use parking_lot::Mutex;

/// Called before each call of a backend, with the method's name.
pub(crate) type Hook = Box<dyn Fn(&'static str) + Send + Sync>;

/// The file system.
pub(crate) struct Mem {
    pub(crate) options: Options,
    shared: Arc<Shared>,
    pub(crate) root: Arc<Node>,
}

struct Shared {
    hook: Hook,
    next: AtomicU64,
}

/// A file.
pub(crate) struct Node {
    ino: u64,
    file_type: Mutex<FileType>,
    mode: Mutex<Mode>,
    data: Mutex<Vec<u8>>,
    entries: Mutex<Entries>,
    xattrs: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

#[derive(Default)]
struct Entries {
    by_name: BTreeMap<Vec<u8>, (u64, Arc<Node>)>,
    by_position: BTreeMap<u64, Vec<u8>>,
}

impl Mem {
    /// An empty file system.
    pub(crate) fn new(options: Options) -> Self {
        Self::with_hook(options, Box::new(|_| {}))
    }

    /// The same, with somebody who watches.
    pub(crate) fn with_hook(options: Options, hook: Hook) -> Self {
        let shared = Arc::new(Shared { hook, next: AtomicU64::new(1) });
        let root = shared.node(FileType::Directory, 0o755);
        Mem { options, shared, root }
    }

    /// Adds a file, from outside as it were.
    pub(crate) fn add_file(&self, dir: &Node, name: &[u8], data: &[u8]) -> Arc<Node> {
        let file = self.shared.node(FileType::Regular, 0o644);
        *file.data.lock() = data.to_vec();
        self.shared.add(dir, name, file.clone()).unwrap();
        file
    }

    /// Adds a directory.
    pub(crate) fn add_dir(&self, dir: &Node, name: &[u8]) -> Arc<Node> {
        let new = self.shared.node(FileType::Directory, 0o755);
        self.shared.add(dir, name, new.clone()).unwrap();
        new
    }

    /// Adds a symbolic link.
    pub(crate) fn add_symlink(&self, dir: &Node, name: &[u8]) -> Arc<Node> {
        let new = self.shared.node(FileType::Symlink, 0o777);
        self.shared.add(dir, name, new.clone()).unwrap();
        new
    }

    /// Removes a name without the server's knowledge.
    pub(crate) fn take(&self, dir: &Node, name: &[u8]) {
        dir.entries.lock().remove(name).unwrap();
    }
}

impl Node {
    /// Makes the file one of another type, which no backend should do.
    pub(crate) fn set_type(&self, file_type: FileType) {
        *self.file_type.lock() = file_type;
    }

    /// What the file contains.
    pub(crate) fn data(&self) -> Vec<u8> {
        self.data.lock().clone()
    }

    fn stat(&self) -> Statx {
        let mode = self.file_type.lock().bits() | self.mode.lock().bits();
        let size = self.data.lock().len().try_into().unwrap();
        Statx { mask: StatxMask::BASIC_STATS, ino: self.ino, mode, size, nlink: 1, dev_minor: 7, ..Statx::default() }
    }
}

impl Entries {
    fn remove(&mut self, name: &[u8]) -> Option<Arc<Node>> {
        let (position, node) = self.by_name.remove(name)?;
        self.by_position.remove(&position);
        Some(node)
    }
}

impl Shared {
    fn node(&self, file_type: FileType, mode: impl Into<Mode>) -> Arc<Node> {
        Arc::new(Node {
            ino: self.next.fetch_add(1, Ordering::Relaxed),
            file_type: Mutex::new(file_type),
            mode: Mutex::new(mode.into()),
            data: Mutex::default(),
            entries: Mutex::default(),
            xattrs: Mutex::default(),
        })
    }

    fn add(&self, dir: &Node, name: &[u8], node: Arc<Node>) -> Result<()> {
        let mut entries = dir.entries.lock();
        if entries.by_name.contains_key(name) {
            return Err(Error::EXIST);
        }
        let position = self.next.fetch_add(1, Ordering::Relaxed);
        entries.by_name.insert(name.to_vec(), (position, node));
        entries.by_position.insert(position, name.to_vec());
        Ok(())
    }
}

impl Backend for Mem {
    fn options(&self) -> Options {
        self.options.clone()
    }

    fn attach(&self) -> Result<Attachment> {
        (self.shared.hook)("attach");
        Ok(Attachment::new(File::new(&self.shared, &self.root).found()))
    }
}

/// A handle on a file, both kinds of it.
struct File {
    shared: Arc<Shared>,
    node: Arc<Node>,
}

impl File {
    fn new(shared: &Arc<Shared>, node: &Arc<Node>) -> Self {
        File { shared: shared.clone(), node: node.clone() }
    }

    fn found(self) -> Found {
        let stat = self.node.stat();
        Found::new(self, stat)
    }

    fn hook(&self, what: &'static str) {
        (self.shared.hook)(what);
    }

    fn make(&self, name: Name<'_>, file_type: FileType, mode: Mode) -> Result<Found> {
        let node = self.shared.node(file_type, mode);
        self.shared.add(&self.node, name.as_bytes(), node.clone())?;
        Ok(File::new(&self.shared, &node).found())
    }
}

impl ControlFile for File {
    fn stat(&self) -> Result<Statx> {
        self.hook("stat");
        Ok(self.node.stat())
    }

    fn walk(&self, name: Name<'_>) -> Result<Found> {
        self.hook("walk");
        assert_ne!(name.as_bytes(), b"panic", "as wanted");
        let entries = self.node.entries.lock();
        let (_, node) = entries.by_name.get(name.as_bytes()).ok_or(Error::NOENT)?;
        Ok(File::new(&self.shared, node).found())
    }

    fn open(&self, how: OpenHow) -> Result<Opened> {
        self.hook("open");
        if how.truncate {
            self.node.data.lock().clear();
        }
        Ok(Opened::new(File::new(&self.shared, &self.node)))
    }

    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        self.hook("set_stat");
        if let Some(mode) = change.mode {
            *self.node.mode.lock() = mode;
        }
        Ok(())
    }

    fn create(&self, name: Name<'_>, new: &NewFile, _: Access) -> Result<Created> {
        self.hook("create");
        let found = self.make(name, FileType::Regular, new.mode)?;
        let node = self.node.entries.lock().by_name[name.as_bytes()].1.clone();
        Ok(Created::new(found, Opened::new(File::new(&self.shared, &node))))
    }

    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        self.hook("mkdir");
        self.make(name, FileType::Directory, new.mode)
    }

    fn symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        let found = self.make(name, FileType::Symlink, new.mode)?;
        *self.node.entries.lock().by_name[name.as_bytes()].1.data.lock() = target.to_vec();
        Ok(found)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        Ok(self.node.data())
    }

    fn link(&self, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
        self.hook("link");
        let target: &File = target.downcast()?;
        self.shared.add(&self.node, name.as_bytes(), target.node.clone())?;
        Ok(File::new(&self.shared, &target.node).found())
    }

    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        self.hook("unlink");
        let mut entries = self.node.entries.lock();
        let (_, node) = entries.by_name.get(name.as_bytes()).ok_or(Error::NOENT)?;
        let is_dir = *node.file_type.lock() == FileType::Directory;
        match what {
            Unlink::File if is_dir => return Err(Error::ISDIR),
            Unlink::Directory if !is_dir => return Err(Error::NOTDIR),
            Unlink::Directory if !node.entries.lock().by_name.is_empty() => return Err(Error::NOTEMPTY),
            _ => {}
        }
        entries.remove(name.as_bytes());
        Ok(())
    }

    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        self.hook("rename");
        let new_dir: &File = new_dir.downcast()?;
        let find = |dir: &File, name: Name<'_>| {
            dir.node.entries.lock().by_name.get(name.as_bytes()).map(|(_, node)| node.clone())
        };
        let source = find(self, name).ok_or(Error::NOENT)?;
        let target = find(new_dir, new_name);
        match (flags, &target) {
            (RenameFlags::NoReplace, Some(_)) => return Err(Error::EXIST),
            (RenameFlags::Exchange, None) => return Err(Error::NOENT),
            (_, Some(target)) if Arc::ptr_eq(&source, target) => return Ok(()),
            _ => {}
        }
        self.node.entries.lock().remove(name.as_bytes());
        new_dir.node.entries.lock().remove(new_name.as_bytes());
        self.shared.add(&new_dir.node, new_name.as_bytes(), source)?;
        match target {
            Some(target) if flags == RenameFlags::Exchange => self.shared.add(&self.node, name.as_bytes(), target),
            _ => Ok(()),
        }
    }

    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.node.xattrs.lock().get(name).cloned().ok_or(Error::NODATA)
    }

    fn set_xattr(&self, name: &[u8], value: &[u8], _: XattrFlags) -> Result<()> {
        // A value that stands for a longer one than any message can set.
        let value = if value == b"huge" { vec![0; 65536] } else { value.to_vec() };
        self.node.xattrs.lock().insert(name.to_vec(), value);
        Ok(())
    }

    fn list_xattr(&self) -> Result<Vec<Vec<u8>>> {
        Ok(self.node.xattrs.lock().keys().cloned().collect())
    }
}

impl OpenFile for File {
    fn stat(&self) -> Result<Statx> {
        self.hook("open stat");
        Ok(self.node.stat())
    }

    fn read_at(&self, mut into: IoTarget<'_>, offset: u64) -> Result<usize> {
        self.hook("read");
        let data = self.node.data.lock();
        let rest = usize::try_from(offset).ok().and_then(|offset| data.get(offset..)).unwrap_or_default();
        let count = rest.len().min(into.len());
        into.put(0, &rest[..count]);
        Ok(count)
    }

    fn write_at(&self, from: IoSource<'_>, offset: u64) -> Result<usize> {
        self.hook("write");
        let start = usize::try_from(offset).map_err(|_| Error::FBIG)?;
        let mut data = self.node.data.lock();
        let end = start.checked_add(from.len()).ok_or(Error::FBIG)?;
        if data.len() < end {
            data.resize(end, 0);
        }
        from.get(0, &mut data[start..end]);
        Ok(from.len())
    }

    fn sync(&self) -> Result<()> {
        self.hook("sync");
        Ok(())
    }

    fn read_dir(&self, from: u64, sink: &mut dyn DirSink) -> Result<()> {
        self.hook("read_dir");
        let entries = self.node.entries.lock();
        for (position, name) in entries.by_position.range(from + 1..) {
            if name == b"broken" {
                return Err(Error::IO);
            }
            let node = &entries.by_name[name].1;
            let file_type = *node.file_type.lock();
            if !sink.add(&DirEntry::new(name, node.ino, file_type, *position).on_device(0, 7)) {
                break;
            }
        }
        Ok(())
    }
}
