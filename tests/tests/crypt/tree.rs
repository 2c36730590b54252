//! Trees of files that differ in whatever the format treats in a special way.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{FallocateFlags, XattrFlags, fallocate, lgetxattr, llistxattr, lsetxattr};

/// Sizes around every kind of boundary.
const SIZES: [usize; 14] =
    [0, 1, 18, 4095, 4096, 4097, 8191, 8192, 8193, 32 * 4096 - 1, 32 * 4096, 32 * 4096 + 1, 70 * 4096, 300_001];

/// Bytes of targets of links; the last is the longest that the format has room for with either cipher.
const TARGETS: [usize; 9] = [1, 2, 3, 4, 15, 16, 17, 255, 3031];

fn name(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// Names of all lengths, every other one no UTF-8.
fn names() -> impl Iterator<Item = Vec<u8>> {
    (1..=255_usize).map(|len| vec![if len.is_multiple_of(2) { b'x' } else { 0xfe }; len])
}

fn content(len: usize) -> Vec<u8> {
    (0..251).cycle().take(len).collect()
}

/// Makes a tree in `root`.
pub(crate) fn make(root: &Path) -> Result<()> {
    let of_names = root.join("names");
    fs::create_dir(&of_names)?;
    for (index, bytes) in names().enumerate() {
        fs::write(of_names.join(name(&bytes)), index.to_string())?;
    }
    let of_sizes = root.join("sizes");
    fs::create_dir(&of_sizes)?;
    for size in SIZES {
        fs::write(of_sizes.join(size.to_string()), content(size))?;
    }
    let links = root.join("links");
    fs::create_dir(&links)?;
    for len in TARGETS {
        symlink(name(&vec![b't'; len]), links.join(len.to_string()))?;
    }
    fs::hard_link(of_sizes.join("8193"), links.join("hard"))?;
    let deep = root.join("d".repeat(255)).join("e".repeat(200)).join("f");
    fs::create_dir_all(&deep)?;
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o2751))?;
    fs::write(deep.join("g".repeat(176)), "deep")?;

    let holes = root.join("holes");
    fs::create_dir(&holes)?;
    let sparse = File::create_new(holes.join("sparse"))?;
    sparse.write_all_at(b"start", 3)?;
    sparse.write_all_at(b"middle", 100_000)?;
    sparse.set_len(1 << 20)?;
    let punched = File::options().read(true).write(true).create_new(true).open(holes.join("ends"))?;
    punched.write_all_at(&content(5000), 0)?;
    punched.set_len(20_000)?;
    punched.set_len(20_001)?;

    let attributes = root.join("attributes");
    fs::write(&attributes, "of me")?;
    for (name, value) in [("user.empty", &b""[..]), ("user.binary", b"\0\xff\n"), ("user.long", &[7; 1000])] {
        lsetxattr(&attributes, name, value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Changes such a tree, `round` after round.
pub(crate) fn change(root: &Path, round: usize) -> Result<()> {
    let sizes = root.join("sizes");
    for (index, size) in SIZES.iter().enumerate() {
        let path = sizes.join(size.to_string());
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        match (index + round) % 5 {
            0 => file.write_all_at(b"in the middle", *size as u64 / 2)?,
            1 => file.set_len(*size as u64 * 2 / 3)?,
            2 => file.set_len(*size as u64 * 3 / 2 + 1)?,
            3 => file.write_all_at(&content(5000), *size as u64 + 5000)?,
            _ => file.write_all_at(b"over an end", 4090)?,
        }
    }
    // To every second name one that is as long, in another directory.
    let (from, to) = (root.join("names"), root.join(format!("moved {round}")));
    fs::create_dir(&to)?;
    for bytes in names().skip(round % 2).step_by(2) {
        let old = from.join(name(&bytes));
        if old.exists() {
            let new = vec![b'a' + u8::try_from(round)?; bytes.len()];
            fs::rename(old, to.join(name(&new)))?;
        }
    }
    let empty = root.join("w".repeat(180));
    fs::create_dir(&empty)?;
    fs::create_dir(root.join("over"))?;
    fs::write(root.join("over/file"), "moved over")?;
    fs::rename(root.join("over"), &empty)?;
    fs::rename(&empty, root.join(format!("{round}").repeat(181)))?;
    fs::create_dir(root.join("gone"))?;
    fs::remove_dir(root.join("gone"))?;
    fs::remove_file(root.join("links/3"))
        .or_else(|error| if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    let link = root.join(format!("links/new {round}"));
    symlink("somewhere/else", link)?;
    lsetxattr(root.join("attributes"), "user.binary", format!("round {round}").as_bytes(), XattrFlags::REPLACE)?;
    Ok(())
}

/// Punches holes, which gocryptfs cannot do.
pub(crate) fn punch(root: &Path) -> Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(root.join("sizes/300001"))?;
    for (start, len) in [(10, 100), (4096, 8192), (20_000, 30_000), (200_000, 200_000)] {
        fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, start, len)?;
    }
    Ok(())
}

/// All that can be seen of a file.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    links: u64,
    size: u64,
    content: Vec<u8>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What is below `root`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Seen>);

impl Tree {
    pub(crate) fn of(root: &Path) -> Result<Self> {
        let mut tree = BTreeMap::new();
        let mut left = vec![PathBuf::new()];
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(root.join(&directory))? {
                let path = directory.join(entry?.file_name());
                let seen = Seen::of(&root.join(&path)).with_context(|| path.display().to_string())?;
                if seen.mode & 0o170_000 == 0o040_000 {
                    left.push(path.clone());
                }
                tree.insert(path, seen);
            }
        }
        Ok(Tree(tree))
    }

    /// Fails with the first file that is different in `other`.
    pub(crate) fn is(&self, other: &Tree) -> Result<()> {
        let names = |tree: &Tree| tree.0.keys().cloned().collect::<Vec<_>>();
        e2e::check::equal("names", &names(self), &names(other))?;
        for (path, seen) in &self.0 {
            let other = &other.0[path];
            let (attributes, content) = (&seen.attributes, &seen.content);
            e2e::check::equal(
                &path.display().to_string(),
                &(seen.mode, seen.links, seen.size, attributes),
                &(other.mode, other.links, other.size, &other.attributes),
            )?;
            if *content != other.content {
                let at = content.iter().zip(&other.content).position(|(one, other)| one != other);
                anyhow::bail!("{}: the content differs from byte {at:?} on", path.display());
            }
        }
        Ok(())
    }
}

impl Seen {
    fn of(path: &Path) -> Result<Self> {
        let stat = fs::symlink_metadata(path)?;
        let is_dir = stat.is_dir();
        let content = if stat.is_symlink() {
            fs::read_link(path)?.into_os_string().into_encoded_bytes()
        } else if is_dir {
            Vec::new()
        } else {
            fs::read(path)?
        };
        let mut attributes = BTreeMap::new();
        if !stat.is_symlink() {
            let mut list = vec![0; 4096];
            let len = llistxattr(path, &mut list)?;
            for name in list[..len].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user.")) {
                let mut value = vec![0; 4096];
                let len = lgetxattr(path, name, &mut value)?;
                value.truncate(len);
                attributes.insert(name.to_vec(), value);
            }
        }
        Ok(Seen {
            mode: stat.mode(),
            // What a directory counts, and how large it is, depends on the file system.
            links: if is_dir { 0 } else { stat.nlink() },
            size: if is_dir { 0 } else { stat.size() },
            content,
            attributes,
        })
    }
}
