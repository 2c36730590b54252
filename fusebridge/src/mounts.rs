//! What is mounted where.
//!
//! The numbers that name a mount in the kernel's tables, its own and that of its file system's device, are given to the
//! next one as soon as it is gone. So a mount is held by a descriptor while it is looked at: as long as that is open,
//! both numbers are its own.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, open, statx};

/// The type of our mounts in mount tables is `fuse.` and this, so that one can tell them from others, and mount(8) finds
/// the program `mount.fuse.fusebridge`.
pub const SUBTYPE: &str = "fusebridge";

/// A mount, as the kernel's table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The mount's number.
    pub id: u64,
    /// The file system's device, as `major:minor`.
    pub device: String,
    /// Where it is mounted.
    pub path: Vec<u8>,
    /// The file system's type.
    pub kind: String,
}

impl TableEntry {
    /// Whether a program of ours has mounted it.
    pub fn is_own(&self) -> bool {
        self.kind.strip_prefix("fuse.") == Some(SUBTYPE)
    }

    /// Whether it is a FUSE file system.
    pub fn is_fuse(&self) -> bool {
        self.kind == "fuse" || self.kind.starts_with("fuse.")
    }
}

/// All mounts that can be seen, those on top of others behind them.
pub fn table() -> io::Result<Vec<TableEntry>> {
    table_at(Path::new("/proc/self/mountinfo"))
}

fn table_at(path: &Path) -> io::Result<Vec<TableEntry>> {
    Ok(std::fs::read(path)?.split(|byte| *byte == b'\n').filter_map(entry).collect())
}

/// What is mounted on `path`, a path without symbolic links; what can be seen is the last.
pub fn mounted_on(path: &Path) -> io::Result<Vec<TableEntry>> {
    let wanted = path.as_os_str().as_bytes();
    let mut mounts = table()?;
    mounts.retain(|entry| entry.path == wanted);
    Ok(mounts)
}

/// Whether processes in other mount namespaces have the file system with device `device` in theirs.
pub fn is_elsewhere(device: &str) -> bool {
    let link = |process: &Path, name: &str| std::fs::read_link(process.join(name)).ok();
    let Some(own) = link(Path::new("/proc/self"), "ns/mnt") else { return false };
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let mut seen = std::collections::HashSet::new();
    processes.flatten().map(|entry| entry.path()).any(|process| {
        let Some(namespace) = link(&process, "ns/mnt").filter(|namespace| *namespace != own) else { return false };
        // A process sees the mounts below its root only. That of a thread group's leader that has ended is unknown.
        seen.insert((namespace, link(&process, "root")))
            && table_at(&process.join("mountinfo")).is_ok_and(|table| table.iter().any(|entry| entry.device == device))
    })
}

/// The mount of a line of the mount table.
fn entry(line: &[u8]) -> Option<TableEntry> {
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let mut fields = line.split(|byte| *byte == b' ');
    let id = text(fields.next()?).parse().ok()?;
    let device = text(fields.nth(1)?);
    let path = unescape(fields.nth(1)?);
    // Any number of optional fields stands before the dash.
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(TableEntry { id, device, path, kind: text(kind) })
}

/// Undoes the octal escapes of the kernel's mount tables.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

/// What a mount is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountId {
    /// A number that is never given again, which Linux has since 6.8.
    Unique(u64),
    /// One that is another mount's as soon as this one is gone.
    Reused(u64),
}

/// A mount that is held. As long as it is, nobody can unmount it but lazily.
#[derive(Debug)]
pub struct Pin(OwnedFd);

impl Pin {
    /// Holds the mount that `path` is in, a path without symbolic links, asking nothing of its file system.
    pub fn at(path: &Path) -> io::Result<Pin> {
        Ok(Pin(open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// What it is told apart by.
    pub fn id(&self) -> io::Result<MountId> {
        mount_id(self.0.as_fd())
    }

    /// Its line of the mount table, if it still is mounted.
    pub fn entry(&self) -> io::Result<Option<TableEntry>> {
        let facts = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd()))?;
        let id = facts.lines().find_map(|line| line.strip_prefix("mnt_id:")).and_then(|id| id.trim().parse().ok());
        let id: u64 = id.ok_or_else(|| io::Error::other("the kernel does not tell mounts apart"))?;
        Ok(table()?.into_iter().find(|entry| entry.id == id))
    }

    /// A path that leads to it and nothing else.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}

impl From<OwnedFd> for Pin {
    /// Holds the mount that `fd` is in.
    fn from(fd: OwnedFd) -> Self {
        Pin(fd)
    }
}

/// What the mount that `fd` is in is told apart by.
pub fn mount_id(fd: BorrowedFd<'_>) -> io::Result<MountId> {
    // STATX_MNT_ID_UNIQUE, which rustix 1.1 does not have.
    let unique = StatxFlags::from_bits_retain(0x4000);
    // The file system must not be asked: it may be one that does not answer.
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = statx(fd, c"", flags, unique | StatxFlags::MNT_ID)?;
    let is_unique = StatxFlags::from_bits_retain(stat.stx_mask).contains(unique);
    Ok(if is_unique { MountId::Unique(stat.stx_mnt_id) } else { MountId::Reused(stat.stx_mnt_id) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_elsewhere_though_the_first_process_there_has_another_root() {
        use std::io::{BufRead, BufReader};
        use std::process::{Command, Stdio};
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let [mounted, root] = ["mounted", "root"].map(|name| place.path().join(name));
        [&mounted, &root].into_iter().for_each(|directory| std::fs::create_dir(directory).unwrap());
        // The process with the lowest number sees nothing but its root.
        let script = "mount -t tmpfs private \"$1\"; mountpoint -d \"$1\"; mount --bind / \"$2\"
            exec 3<&0; cat <&3 >/dev/null & exec chroot \"$2\" cat";
        let mut shell = Command::new("unshare");
        shell.args(["--mount", "sh", "-ec", script, "sh"]).arg(&mounted).arg(&root);
        let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut device = String::new();
        said.read_line(&mut device).unwrap();
        let is_seen = std::iter::repeat_with(|| is_elsewhere(device.trim())).take(100).any(|is_seen| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let is_chrooted =
                std::fs::read_link(format!("/proc/{}/root", child.id())).is_ok_and(|path| path != Path::new("/"));
            is_chrooted && is_seen
        });
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(is_seen);
    }

    #[test]
    fn lines_of_the_table_are_understood() {
        let line = br"36 35 0:98 / /a\040b rw,noatime master:1 shared:2 - fuse.fusebridge host:/srv rw,user_id=0";
        let found = entry(line).unwrap();
        let expected =
            TableEntry { id: 36, device: "0:98".into(), path: b"/a b".to_vec(), kind: "fuse.fusebridge".into() };
        assert_eq!(found, expected);
        assert!(found.is_fuse());
        assert_eq!(entry(b""), None);
    }

    #[test]
    fn escapes_of_mount_tables_are_undone() {
        assert_eq!(unescape(br"/a\040b\134c\"), b"/a b\\c\\");
    }

    #[test]
    fn a_held_mount_is_the_one_of_the_table() {
        let pin = Pin::at(Path::new("/proc")).unwrap();
        assert_eq!(pin.entry().unwrap(), mounted_on(Path::new("/proc")).unwrap().pop());
        assert_eq!(pin.id().unwrap(), Pin::at(Path::new("/proc/self")).unwrap().id().unwrap());
        assert_ne!(pin.id().unwrap(), Pin::at(Path::new("/")).unwrap().id().unwrap());
    }
}
