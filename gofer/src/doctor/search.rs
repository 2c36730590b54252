//! Programs of others.

use std::path::PathBuf;

use rustix::fs::{Access, access};

/// Where programs are that an ordinary user's `PATH` may not have.
const MORE: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The program `name` in `PATH`.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let candidates = std::env::split_paths(&path).chain(MORE.map(PathBuf::from)).map(|directory| directory.join(name));
    candidates.into_iter().find(|candidate| candidate.is_file() && access(candidate, Access::EXEC_OK).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_is_found() {
        assert!(program("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(program("no such program"), None);
    }
}
