//! This program, as runsc starts it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::{Finding, Level};

const SUBJECT: &str = "gofer";

pub(super) fn check() -> Finding {
    let path = match std::env::current_exe() {
        Ok(path) => path,
        Err(error) => {
            let text = format!("cannot tell which program this is: {error}; is /proc mounted?");
            return Finding::new(Level::Missing, SUBJECT, text);
        }
    };
    let described = format!("{} {}", path.display(), env!("CARGO_PKG_VERSION"));
    match closed(&path) {
        None => Finding::ok(SUBJECT, described),
        Some(problem) => Finding::new(Level::Warning, SUBJECT, format!("{described}: {problem}")),
    }
}

/// Why somebody cannot execute the program at `path`. Parts of runsc run as nobody.
pub(super) fn closed(path: &Path) -> Option<String> {
    if statvfs(path).is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
        return Some("its file system is mounted noexec; put it elsewhere".to_owned());
    }
    let path = path.canonicalize().ok()?;
    let closed = path.ancestors().find(|part| {
        let mode = part.metadata().map(|metadata| metadata.permissions().mode());
        mode.is_ok_and(|mode| mode & 0o001 == 0)
    })?;
    Some(format!("not all users may run it, and runsc drops its privileges early; chmod a+x {}", closed.display()))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};

    use super::*;

    #[test]
    fn closed_directories_are_named() {
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("program");
        write(&program, "").unwrap();
        let allow = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        allow(&program, 0o755);
        allow(scratch.path(), 0o700);
        let problem = closed(&program).unwrap();
        assert!(problem.ends_with(&format!("chmod a+x {}", scratch.path().display())), "{problem}");
        allow(scratch.path(), 0o755);
        allow(&program, 0o744);
        assert!(closed(&program).unwrap().ends_with("program"));
    }
}
