//! Which runsc is the real one.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::Failure;
use crate::configuration::{self, Configuration};
use crate::runsc::call::{Choice, explicit};

/// The environment variable with the path of runsc.
pub const VARIABLE: &str = "GOFER_RUNSC";

/// The environment variable with the directories of programs.
const SEARCH: &str = "PATH";
/// What is looked for in them.
const NAME: &str = "runsc";
/// `PATH` for those who have none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the environment, the configuration file, or `PATH` say, and which of them it is.
pub(super) fn configured() -> Result<(PathBuf, &'static str), Failure> {
    if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        return absolute(VARIABLE, path.into());
    }
    if let Some(path) = Configuration::read()?.runsc {
        return absolute(configuration::PATH, path);
    }
    let found = in_path(&std::env::var_os(SEARCH).unwrap_or_else(|| DEFAULT_PATH.into()));
    found.map(|path| (path, SEARCH)).ok_or(Failure::NotFound)
}

/// What our parent is, if its command line says so; otherwise it was not a runtime, or has died.
pub(super) fn of_parent() -> Result<PathBuf, Failure> {
    parent().and_then(|line| runsc_of(&line)).map_or_else(|| configured().map(|(path, _)| path), Ok)
}

/// The command line of our parent. Its number is looked up in procfs too, which may be that of another PID namespace
/// than ours.
fn parent() -> Option<Vec<u8>> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let number = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
    fs::read(format!("/proc/{number}/cmdline")).ok()
}

/// The runsc in a command line as procfs has it.
fn runsc_of(line: &[u8]) -> Option<PathBuf> {
    let words: Vec<OsString> = line.split(|&byte| byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
    match explicit(&words)?.runsc {
        Choice::Path(path) if path.is_absolute() => Some(path),
        _ => None,
    }
}

fn absolute(origin: &'static str, path: PathBuf) -> Result<(PathBuf, &'static str), Failure> {
    if path.is_absolute() { Ok((path, origin)) } else { Err(Failure::Relative { origin, path }) }
}

/// The first one that can be executed. Directories that depend on where we are do not count.
fn in_path(path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).filter(|directory| directory.is_absolute()).map(|directory| directory.join(NAME)).find(
        |candidate| candidate.is_file() && access(candidate, Access::EXEC_OK).is_ok() && !is_this_program(candidate),
    )
}

/// Whether `path` leads to the program that runs here.
pub(super) fn is_this_program(path: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    match (identity(path), identity(Path::new("/proc/self/exe"))) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_parents_command_line_names_it() {
        let line = b"gofer\0runtime\0--runsc\0/opt/x/runsc\0--\0run\0c\0";
        assert_eq!(runsc_of(line), Some("/opt/x/runsc".into()));
        for line in [
            &b"gofer\0runtime\0--runsc\0runsc\0--\0run\0c\0"[..],
            b"gofer\0runtime\0--\0run\0c\0",
            b"runsc-gofer-rs\0--runsc\0/opt/x/runsc\0--\0",
            b"/sbin/init\0",
            b"",
        ] {
            assert_eq!(runsc_of(line), None);
        }
    }

    #[test]
    fn relative_paths_are_refused_where_they_are_configured() {
        let error = absolute(VARIABLE, "bin/runsc".into()).unwrap_err().to_string();
        assert_eq!(error, "GOFER_RUNSC: bin/runsc is not an absolute path");
    }

    #[test]
    fn the_first_other_program_in_path_is_taken() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = |name: &str| {
            let path = scratch.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let [empty, ours, data, real, later] = ["empty", "ours", "data", "real", "later"].map(directory);
        symlink(std::env::current_exe().unwrap(), ours.join(NAME)).unwrap();
        for (place, mode) in [(&data, 0o644), (&real, 0o755), (&later, 0o755)] {
            fs::write(place.join(NAME), "").unwrap();
            fs::set_permissions(place.join(NAME), fs::Permissions::from_mode(mode)).unwrap();
        }
        let relative = Path::new(".").to_path_buf();
        let path = std::env::join_paths([&relative, &empty, &ours, &data, &real, &later]).unwrap();
        // To root, everything that anybody may execute is executable, and nothing else.
        assert_eq!(in_path(&path), Some(real.join(NAME)));
        assert_eq!(in_path(OsStr::new("")), None);
        assert!(is_this_program(&ours.join(NAME)));
        assert!(!is_this_program(&real.join(NAME)));
    }
}
