//! Extended attributes of one file.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{fgetxattr, fgetxattr_query, flistxattr, flistxattr_query};
use rustix::io::Errno;

use super::Problem;
use crate::format::{Keys, XattrError};

/// What is wrong with those of `file`.
pub(super) fn problems(keys: &Keys, file: BorrowedFd<'_>) -> io::Result<Vec<Problem>> {
    let list = match whole(|| flistxattr_query(file), |buffer| flistxattr(file, buffer)) {
        // The file system has none.
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        list => list?,
    };
    let mut problems = Vec::new();
    for stored in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = match keys.load_attribute(stored) {
            Ok(name) => name,
            Err(XattrError::Foreign) => continue,
            Err(XattrError::Damaged) => {
                problems.push(Problem::AttributeName { name: stored.to_vec() });
                continue;
            }
        };
        match whole(|| fgetxattr_query(file, stored), |buffer| fgetxattr(file, stored, buffer)) {
            // Removed meanwhile.
            Err(Errno::NODATA) => {}
            value => {
                if keys.load_value(value?).is_err() {
                    problems.push(Problem::AttributeValue { name });
                }
            }
        }
    }
    Ok(problems)
}

/// All that `get` has, which has as many bytes as `query` says unless it grows meanwhile.
fn whole(
    query: impl Fn() -> rustix::io::Result<usize>,
    get: impl Fn(&mut [u8]) -> rustix::io::Result<usize>,
) -> rustix::io::Result<Vec<u8>> {
    loop {
        // Room for nothing would be a query once more.
        let mut buffer = vec![0; query()?.max(1)];
        match get(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            Err(Errno::RANGE) => {}
            Err(error) => return Err(error),
        }
    }
}
