//! Positions in a file system's tree.

use std::any::Any;
use std::os::fd::OwnedFd;

use super::boxed::{ControlBox, OpenBox};
use super::open::{Access, OpenFile, OpenHow};
use super::{Error, FileType, Mode, Name, Result, StatFs, Statx, StatxMask, XattrFlags};
use crate::wire::Timespec;

/// A file that was walked to or made, with its attributes.
#[non_exhaustive]
pub struct Found {
    /// What operations on it go to from now on.
    pub file: ControlBox,
    /// Its attributes.
    pub stat: Statx,
}

impl Found {
    /// A file of the backend's own type and its attributes.
    pub fn new(file: impl ControlFile, stat: Statx) -> Self {
        Found { file: ControlBox::new(file), stat }
    }
}

/// A file that was opened.
#[non_exhaustive]
pub struct Opened {
    /// What reads and writes go to.
    pub file: OpenBox,
    /// A host descriptor for the client, which then reads and writes without asking. It must be of the same file, with
    /// the access that was asked for.
    pub donated: Option<OwnedFd>,
}

impl Opened {
    /// An open file of the backend's own type, with nothing for the client.
    pub fn new(file: impl OpenFile) -> Self {
        Opened { file: OpenBox::new(file), donated: None }
    }

    /// The same with a host descriptor for the client.
    #[must_use]
    pub fn donating(self, fd: Option<OwnedFd>) -> Self {
        Opened { donated: fd, ..self }
    }
}

/// A file that was created and opened.
#[non_exhaustive]
pub struct Created {
    /// The new file.
    pub found: Found,
    /// The same, opened.
    pub opened: Opened,
}

impl Created {
    /// A new file, and the same opened.
    pub fn new(found: Found, opened: Opened) -> Self {
        Created { found, opened }
    }
}

/// A socket that was bound.
#[non_exhaustive]
pub struct Bound {
    /// Its file.
    pub found: Found,
    /// What `listen` and `accept` go to.
    pub socket: Box<dyn BoundSocket>,
    /// A descriptor of the socket, which the client polls.
    pub donated: OwnedFd,
}

impl Bound {
    /// A bound socket with its file, and a descriptor of it for the client to poll.
    pub fn new(found: Found, socket: Box<dyn BoundSocket>, donated: OwnedFd) -> Self {
        Bound { found, socket, donated }
    }
}

/// Who owns a new file and who may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewFile {
    /// Permissions, ready made: no umask is applied.
    pub mode: Mode,
    /// Permissions that the creator's umask has taken from `mode`. Only a backend that keeps default access control
    /// lists needs them: where the directory has one, it counts in the umask's place.
    pub masked: Mode,
    /// Owner, or [`NO_ID`](super::NO_ID) for the server's own.
    pub uid: u32,
    /// Group, or [`NO_ID`](super::NO_ID) for the server's own.
    pub gid: u32,
}

impl NewFile {
    /// A new file's permissions and owner.
    pub const fn new(mode: Mode, uid: u32, gid: u32) -> Self {
        NewFile { mode, masked: Mode::new(0), uid, gid }
    }

    /// The same with permissions that the creator's umask has taken.
    #[must_use]
    pub const fn masked(self, masked: Mode) -> Self {
        NewFile { masked, ..self }
    }

    /// The permissions as the creator has asked for them, without the umask.
    pub const fn unmasked_mode(&self) -> Mode {
        Mode::new(self.mode.bits() | self.masked.bits())
    }
}

/// Attributes to set; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetStat {
    /// Permissions.
    pub mode: Option<Mode>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Bytes.
    pub size: Option<u64>,
    /// Last access; the nanoseconds may be one of the special values of [`Timespec`].
    pub atime: Option<Timespec>,
    /// Last change of the content, likewise.
    pub mtime: Option<Timespec>,
}

impl SetStat {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// This and the permissions.
    #[must_use]
    pub fn mode(self, mode: impl Into<Option<Mode>>) -> Self {
        SetStat { mode: mode.into(), ..self }
    }

    /// This and the owner.
    #[must_use]
    pub fn uid(self, uid: impl Into<Option<u32>>) -> Self {
        SetStat { uid: uid.into(), ..self }
    }

    /// This and the group.
    #[must_use]
    pub fn gid(self, gid: impl Into<Option<u32>>) -> Self {
        SetStat { gid: gid.into(), ..self }
    }

    /// This and the size.
    #[must_use]
    pub fn size(self, size: impl Into<Option<u64>>) -> Self {
        SetStat { size: size.into(), ..self }
    }

    /// This and the time of the last access.
    #[must_use]
    pub fn atime(self, time: impl Into<Option<Timespec>>) -> Self {
        SetStat { atime: time.into(), ..self }
    }

    /// This and the time of the last change.
    #[must_use]
    pub fn mtime(self, time: impl Into<Option<Timespec>>) -> Self {
        SetStat { mtime: time.into(), ..self }
    }

    /// What is to be set.
    pub fn mask(&self) -> StatxMask {
        let wanted = [
            (self.mode.is_some(), StatxMask::MODE),
            (self.uid.is_some(), StatxMask::UID),
            (self.gid.is_some(), StatxMask::GID),
            (self.size.is_some(), StatxMask::SIZE),
            (self.atime.is_some(), StatxMask::ATIME),
            (self.mtime.is_some(), StatxMask::MTIME),
        ];
        wanted.into_iter().filter(|(is_set, _)| *is_set).map(|(_, bit)| bit).collect()
    }
}

/// Attributes that could not be set. Those not named here were.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetStatFailure {
    /// Which they are.
    pub mask: StatxMask,
    /// The first error.
    pub error: Error,
}

impl SetStatFailure {
    /// The attributes of `mask` could not be set, the first of them because of `error`.
    pub fn new(mask: StatxMask, error: impl Into<Error>) -> Self {
        SetStatFailure { mask, error: error.into() }
    }
}

/// What [`ControlFile::unlink`] may remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlink {
    /// Anything but a directory.
    File,
    /// An empty directory.
    Directory,
}

/// How [`ControlFile::rename`] treats an existing new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RenameFlags {
    /// It is replaced.
    Replace,
    /// It is an error, `EEXIST`.
    NoReplace,
    /// The two files swap their names.
    Exchange,
    /// It is replaced, and a whiteout (character device 0:0) of the server's own takes the old name, as overlays want
    /// it. Only asked for by clients of the kind [`Kernel`](super::ClientKind::Kernel).
    Whiteout,
    /// The same if there is none; else it is an error, `EEXIST`.
    WhiteoutNoReplace,
}

impl RenameFlags {
    /// The flags of `renameat2(2)`.
    pub fn bits(self) -> u32 {
        const NO_REPLACE: u32 = 1;
        const EXCHANGE: u32 = 2;
        const WHITEOUT: u32 = 4;
        match self {
            RenameFlags::Replace => 0,
            RenameFlags::NoReplace => NO_REPLACE,
            RenameFlags::Exchange => EXCHANGE,
            RenameFlags::Whiteout => WHITEOUT,
            RenameFlags::WhiteoutNoReplace => WHITEOUT | NO_REPLACE,
        }
    }

    /// Whether an existing new name is an error.
    pub fn keeps_new_name(self) -> bool {
        matches!(self, RenameFlags::NoReplace | RenameFlags::WhiteoutNoReplace)
    }

    /// Whether a whiteout takes the old name.
    pub fn leaves_whiteout(self) -> bool {
        matches!(self, RenameFlags::Whiteout | RenameFlags::WhiteoutNoReplace)
    }
}

/// Kinds of UNIX sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketType {
    /// `SOCK_STREAM`.
    Stream,
    /// `SOCK_DGRAM`.
    Datagram,
    /// `SOCK_SEQPACKET`.
    SeqPacket,
}

/// In whose name to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Credentials {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

impl Credentials {
    /// This user and group.
    pub fn new(uid: u32, gid: u32) -> Self {
        Credentials { uid, gid }
    }
}

/// A socket that is bound to a name.
pub trait BoundSocket: Send + Sync {
    /// Starts listening, as `listen(2)`. Guarantee: *read* on its file.
    fn listen(&self, backlog: i32) -> Result<()>;

    /// Takes a waiting connection, or `EAGAIN`: must not block. Guarantee: *read* on its file.
    fn accept(&self) -> Result<OwnedFd>;
}

/// A position in the tree: a handle on a file from which everything but I/O starts.
///
/// Three methods are required. The defaults of the others return that the operation is not supported.
pub trait ControlFile: Any + Send + Sync {
    /// Attributes, as they are now. Guarantee: *read*.
    fn stat(&self) -> Result<Statx>;

    /// The entry `name` of this directory; `ENOENT` if there is none. Guarantee: *read*.
    fn walk(&self, name: Name<'_>) -> Result<Found>;

    /// Opens the file or directory. Never called for symbolic links; sockets and devices are the backend's to refuse.
    /// Must not block, not even for a FIFO. Guarantee: *read*.
    fn open(&self, how: OpenHow) -> Result<Opened>;

    /// Walks `path` from this file and calls `visit` with the attributes of each entry reached. Stops without an error
    /// at a missing entry or behind a symbolic link; a file in the middle is `ENOTDIR`. Only called if
    /// [`Options::walk_stat`](super::Options::walk_stat) is set. Guarantee: *read* on this file only.
    fn walk_stat(&self, path: &mut dyn Iterator<Item = Name<'_>>, visit: &mut dyn FnMut(Statx)) -> Result<()> {
        let _ = (path, visit);
        Err(Error::OPNOTSUPP)
    }

    /// Sets attributes: each that can be is, and the failure names the others. Owner before mode, since a change of
    /// owner clears set-id bits. Guarantee: *write*.
    fn set_stat(&self, change: &SetStat) -> std::result::Result<(), SetStatFailure> {
        let mask = change.mask();
        if mask.is_empty() { Ok(()) } else { Err(SetStatFailure::new(mask, Error::OPNOTSUPP)) }
    }

    /// Creates a regular file in this directory and opens it; `EEXIST` if the name is taken. The mode need not allow
    /// the access that is asked for. Guarantee: *write*.
    fn create(&self, name: Name<'_>, new: &NewFile, access: Access) -> Result<Created> {
        let _ = (name, new, access);
        Err(Error::OPNOTSUPP)
    }

    /// Makes a directory in this directory. Guarantee: *write*.
    fn mkdir(&self, name: Name<'_>, new: &NewFile) -> Result<Found> {
        let _ = (name, new);
        Err(Error::OPNOTSUPP)
    }

    /// Makes a regular file, FIFO, socket or device in this directory; `device` is major and minor number. `EPERM`
    /// makes a sandbox fall back to sockets and FIFOs of its own. Guarantee: *write*.
    fn mknod(&self, name: Name<'_>, new: &NewFile, file_type: FileType, device: (u32, u32)) -> Result<Found> {
        let _ = (name, new, file_type, device);
        Err(Error::PERM)
    }

    /// Makes a symbolic link in this directory; the mode of `new` does not count. Guarantee: *write*.
    fn symlink(&self, name: Name<'_>, target: &[u8], new: &NewFile) -> Result<Found> {
        let _ = (name, target, new);
        Err(Error::OPNOTSUPP)
    }

    /// Makes a hard link to `target`, a file of the same backend and not a directory, in this directory.
    /// Guarantee: *write* on this directory, *read* on the target.
    fn link(&self, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
        let _ = (name, target);
        Err(Error::OPNOTSUPP)
    }

    /// Removes a name from this directory. Guarantee: *write* on this directory and on the file.
    fn unlink(&self, name: Name<'_>, what: Unlink) -> Result<()> {
        let _ = (name, what);
        Err(Error::OPNOTSUPP)
    }

    /// Gives the entry `name` of this directory the name `new_name` in `new_dir`, a directory of the same backend.
    /// Guarantee: *global*.
    fn rename(&self, name: Name<'_>, new_dir: &dyn ControlFile, new_name: Name<'_>, flags: RenameFlags) -> Result<()> {
        let _ = (name, new_dir, new_name, flags);
        Err(Error::OPNOTSUPP)
    }

    /// Where this symbolic link leads. Guarantee: *read*.
    fn read_link(&self) -> Result<Vec<u8>> {
        Err(Error::INVAL)
    }

    /// Statistics of the file system. Guarantee: *read*.
    fn stat_fs(&self) -> Result<StatFs> {
        Err(Error::OPNOTSUPP)
    }

    /// The value of an extended attribute, 65,535 bytes at most; `ENODATA` if there is none. Guarantee: *read*.
    fn get_xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        let _ = name;
        Err(Error::OPNOTSUPP)
    }

    /// Sets an extended attribute. Guarantee: *write*.
    fn set_xattr(&self, name: &[u8], value: &[u8], flags: XattrFlags) -> Result<()> {
        let _ = (name, value, flags);
        Err(Error::OPNOTSUPP)
    }

    /// Names of all extended attributes. Guarantee: *read*.
    fn list_xattr(&self) -> Result<Vec<Vec<u8>>> {
        Err(Error::OPNOTSUPP)
    }

    /// Removes an extended attribute. Guarantee: *write*.
    fn remove_xattr(&self, name: &[u8]) -> Result<()> {
        let _ = name;
        Err(Error::OPNOTSUPP)
    }

    /// Connects to this socket; `None` for whichever kind it is. Must not block: `EAGAIN` if the other end's queue is
    /// full. Guarantee: *read*.
    fn connect(&self, kind: Option<SocketType>, credentials: Option<Credentials>) -> Result<OwnedFd> {
        let _ = (kind, credentials);
        Err(Error::CONNREFUSED)
    }

    /// Makes a socket and binds it to a name in this directory. `EPERM` makes a sandbox fall back to a socket of its
    /// own. Guarantee: *write*.
    fn bind(&self, name: Name<'_>, new: &NewFile, kind: SocketType) -> Result<Bound> {
        let _ = (name, new, kind);
        Err(Error::PERM)
    }
}

impl dyn ControlFile {
    /// This file as the backend's own type; `EXDEV` if it is another backend's.
    pub fn downcast<T: ControlFile>(&self) -> Result<&T> {
        (self as &dyn Any).downcast_ref().ok_or(Error::XDEV)
    }
}
