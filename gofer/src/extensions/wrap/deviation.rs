//! Other ways to answer calls than the inner file system's, for layers that want something wrong.

use lisafs::backend::{
    Access, ControlFile, Created, Errno, Found, IoSource, Mode, Name, NewFile, OpenFile, OpenHow, Result,
};

/// What a layer may have done differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// Creating a file that exists opens it.
    CreateOver,
    /// Reading changes the time of access also of a file that was opened with `O_NOATIME`.
    ChangeAtime,
    /// A hard link is a new file with the same content.
    CopyLinks,
    /// What a write beyond the end leaves out is no zeros.
    FillHoles,
    /// The last byte that is read is another one.
    GarbleReads,
    /// The last byte that is written is another one.
    GarbleWrites,
    /// Data is written one byte further on.
    ShiftWrites,
    /// Calls whose answer says nothing else succeed although they fail.
    SwallowErrors,
}

/// What stands in places where something else should.
const GARBAGE: u8 = b'?';

/// How much of a hole is filled.
const FILLED: u64 = 4096;

/// Creates a file, or opens the one that is there.
pub(super) fn create_over(dir: &dyn ControlFile, name: Name<'_>, new: &NewFile, access: Access) -> Result<Created> {
    match dir.create(name, new, access) {
        Err(error) if error == Errno::EXIST => {
            let found = dir.walk(name)?;
            let opened = found.file.open(OpenHow::new(access))?;
            Ok(Created::new(found, opened))
        }
        outcome => outcome,
    }
}

/// Makes a new file with the content of `target`, the first 64 KiB of it.
pub(super) fn copy(dir: &dyn ControlFile, name: Name<'_>, target: &dyn ControlFile) -> Result<Found> {
    let stat = target.stat()?;
    let new = NewFile::new(Mode::new(stat.mode), stat.uid, stat.gid);
    let created = dir.create(name, &new, Access::Write)?;
    let mut bytes = vec![0; 1 << 16];
    let from = target.open(OpenHow::new(Access::Read))?.file;
    let count = from.read_at(bytes.as_mut_slice().into(), 0)?;
    created.opened.file.write_at(bytes[..count].into(), 0)?;
    dir.walk(name)
}

/// Writes garbage where a write at `offset` will leave a hole.
pub(super) fn fill_hole(file: &dyn OpenFile, offset: u64) -> Result<()> {
    let size = file.stat()?.size;
    let start = size.max(offset.saturating_sub(FILLED));
    let length = usize::try_from(offset.saturating_sub(start)).unwrap_or(0);
    if length > 0 {
        file.write_at(vec![GARBAGE; length].as_slice().into(), start)?;
    }
    Ok(())
}

/// The same bytes with another last one.
pub(super) fn garbled(from: &IoSource<'_>) -> Vec<u8> {
    let mut bytes = from.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last = garbage(*last);
    }
    bytes
}

/// Another byte.
fn garbage(byte: u8) -> u8 {
    if byte == GARBAGE { b'!' } else { GARBAGE }
}

/// What stands at the end of what is read.
pub(super) const LAST_BYTE: [u8; 1] = [GARBAGE];
