//! From names to files.

use crate::errno::Errno;
use crate::wire::message::{WalkReq, WalkResp, WalkStatReq, WalkStatResp};
use crate::wire::{FdId, Inode, Malformed, Statx, StringArray, StringArrayBuf, WalkStatus, Wire};
use arrayvec::ArrayVec;

use super::{Client, check_inode, check_length, check_stat};
use crate::client::error::CallError;

/// Longest name that is looked up without allocating memory.
const SHORT_NAME: usize = 255;

/// Why a walk that was answered is of no use, and the FDs that came with it.
struct Useless(CallError, Vec<FdId>);

impl Client {
    /// Walks `names` one after the other from `dir`, with a new control FD for each that exists.
    ///
    /// With [`WalkStatus::Success`] there are as many inodes as names, otherwise fewer; with [`WalkStatus::Symlink`],
    /// the last one is the symbolic link that stands in the way.
    pub fn walk(&self, dir: FdId, names: &[&[u8]]) -> Result<(WalkStatus, Vec<Inode>), Errno> {
        let path = StringArrayBuf::collect(names.iter().copied()).map_err(|_| Errno::NAMETOOLONG)?;
        let request = WalkReq { dir, path: path.as_array() };
        let walked = self.connection.ask(&request, |answer| {
            let answer = answer.decode::<WalkResp<'_>>()?;
            let inodes = answer.inodes.iter();
            Ok(match judge(answer.status, &answer, names.len()) {
                Ok(status) => Ok((status, inodes.collect())),
                Err(error) => Err(Useless(error, inodes.map(|inode| inode.control_fd).collect())),
            })
        })?;
        self.used(walked)
    }

    /// The file `name` in `dir`, with a new control FD.
    pub fn lookup(&self, dir: FdId, name: &[u8]) -> Result<Inode, Errno> {
        if name.len() > SHORT_NAME {
            check_length(name)?;
            let (_, inodes) = self.walk(dir, &[name])?;
            return inodes.first().copied().ok_or(Errno::NOENT);
        }
        let mut room = ArrayVec::new();
        let request = WalkReq { dir, path: single_name(name, &mut room).map_err(|_| Errno::NAMETOOLONG)? };
        let found = self.connection.ask(&request, |answer| {
            let answer = answer.decode::<WalkResp<'_>>()?;
            Ok(match judge(answer.status, &answer, 1) {
                Ok(_) => Ok(answer.inodes.iter().next()),
                Err(error) => Err(Useless(error, answer.inodes.iter().map(|inode| inode.control_fd).collect())),
            })
        })?;
        self.used(found)?.ok_or(Errno::NOENT)
    }

    /// Attributes of what `names` lead to from `dir`, up to the last that exists; a first empty name stands for `dir`.
    pub fn walk_stat(&self, dir: FdId, names: &[&[u8]]) -> Result<Vec<Statx>, Errno> {
        let path = StringArrayBuf::collect(names.iter().copied()).map_err(|_| Errno::NAMETOOLONG)?;
        self.connection.ask(&WalkStatReq { dir, path: path.as_array() }, |answer| {
            let answer = answer.decode::<WalkStatResp<'_>>()?;
            if answer.stats.len() > names.len() {
                return Err(CallError::Malformed("more attributes than names"));
            }
            answer.stats.iter().try_for_each(|stat| check_stat(&stat))?;
            Ok(answer.stats.iter().collect())
        })
    }

    /// The result of a walk, or what is done about a useless one: its FDs are given back.
    fn used<T>(&self, walked: Result<T, Useless>) -> Result<T, Errno> {
        walked.map_err(|Useless(error, fds)| {
            self.close_all(&fds);
            error.into_errno(crate::wire::MessageId::WALK)
        })
    }
}

/// Compares the answer to a walk with the number of names that were asked for.
fn judge(status: u8, answer: &WalkResp<'_>, names: usize) -> Result<WalkStatus, CallError> {
    let found = answer.inodes.len();
    if found > names {
        return Err(CallError::Malformed("more files than names"));
    }
    answer.inodes.iter().try_for_each(|inode| check_inode(&inode))?;
    match WalkStatus::try_from(status)? {
        // Fewer files than names can only mean that the next one is missing.
        WalkStatus::Success if found < names => Ok(WalkStatus::DoesNotExist),
        WalkStatus::DoesNotExist if found == names => {
            Err(CallError::Malformed("a name is reported missing but was found"))
        }
        WalkStatus::Symlink if found == 0 => Err(CallError::Malformed("stopped at a symbolic link that is not there")),
        status => Ok(status),
    }
}

/// A path of one name, made on the stack.
fn single_name<'a>(name: &[u8], room: &'a mut ArrayVec<u8, { SHORT_NAME + 4 }>) -> Result<StringArray<'a>, Malformed> {
    let length = u16::try_from(name.len()).map_err(|_| Malformed)?;
    for part in [&1_u16.to_ne_bytes(), &length.to_ne_bytes(), name] {
        room.try_extend_from_slice(part).map_err(|_| Malformed)?;
    }
    StringArray::from_bytes(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_name_is_encoded_like_any_path() {
        for name in [&b""[..], b"a", &[b'n'; SHORT_NAME]] {
            let mut room = ArrayVec::new();
            let path = StringArrayBuf::collect([name]).unwrap();
            assert_eq!(single_name(name, &mut room).unwrap(), path.as_array());
        }
        assert!(single_name(&[b'n'; SHORT_NAME + 1], &mut ArrayVec::new()).is_err());
    }
}
