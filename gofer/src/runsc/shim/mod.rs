//! The runtime shim: an unmodified runsc that finds this program when it starts its gofer.
//!
//! runsc starts parts of itself by executing `/proc/self/exe`. So we do not execute runsc: we map it into our own
//! process and jump to it, and `/proc/self/exe` stays ours. Then a gofer is started here, and for every other part we
//! execute the real runsc after all, which is itself from there on.
//!
//! # Which runsc
//!
//! What the call says (`gofer runtime --runsc PATH -- ..`), else the environment variable [`VARIABLE`], else the
//! configuration file `/etc/gofer/runtime.json`, else the first `runsc` in `PATH` that is not us. A helper must be the
//! same one as its parent, but it can be started without environment, in a user namespace, as nobody: all that it still
//! sees is its parent's command line. So a runtime whose command line does not say the path shows one that does, or,
//! where the kernel does not know how, executes itself once more.

mod annotations;
mod command_line;
mod elf_file;
mod failure;
mod find;
mod image;
mod stack;

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub use annotations::AnnotationError;
pub use failure::Failure;
pub use find::VARIABLE;

use crate::extension::Extension;

use super::call::{COMMAND, Choice, OPTION, Runtime};

/// The directory beside runsc in which it looks for more of its programs, and the variable that names another one.
const PROGRAMS: (&str, &str) = ("gvisor-bin", "GVISOR_SIDECAR_BINARIES_DIR");

/// Becomes runsc. Comes back only if that is impossible, having said why.
pub(crate) fn runtime(call: Runtime, extensions: Vec<Box<dyn Extension>>) -> ExitCode {
    let Err(failure) = become_runsc(call, extensions);
    report(&failure)
}

/// The real runsc and what names it: `given`, or the configuration. It may still be a program that cannot be loaded.
pub(crate) fn locate(given: Option<PathBuf>) -> Result<(PathBuf, &'static str), Failure> {
    match given {
        Some(path) => std::path::absolute(&path)
            .map(|absolute| (absolute, OPTION))
            .map_err(|source| Failure::Open { path, source }),
        None => find::configured(),
    }
}

/// Executes the real runsc, which is asked for a part of itself with the whole command line `arguments`. Comes back
/// only if that is impossible, having said why.
pub(crate) fn helper(arguments: Vec<OsString>) -> ExitCode {
    let Err(failure) = find::of_parent().and_then(|runsc| execute(&runsc, arguments));
    report(&failure)
}

/// Says what is wrong, and returns the status of runsc's own fatal errors.
fn report(failure: &Failure) -> ExitCode {
    eprintln!("gofer: {failure}");
    ExitCode::from(128)
}

fn become_runsc(call: Runtime, extensions: Vec<Box<dyn Extension>>) -> Result<Infallible, Failure> {
    if command(&call.arguments) == Some(OsStr::new("install")) {
        let program = std::env::current_exe().unwrap_or_default();
        return Err(Failure::Install(program));
    }
    match call.runsc {
        Choice::Path(path) if path.is_absolute() => load(&path, call.arguments, extensions),
        Choice::Path(path) => {
            let path = std::path::absolute(&path).map_err(|source| Failure::Open { path, source })?;
            load_visibly(&path, call.arguments, extensions)
        }
        Choice::Configured => load_visibly(&find::configured()?.0, call.arguments, extensions),
        Choice::Parents => load_visibly(&find::of_parent()?, call.arguments, extensions),
    }
}

/// Which of runsc's commands is asked for: the first word that is neither a flag nor, as no command is, a path, which
/// is the value of one.
fn command(arguments: &[OsString]) -> Option<&OsStr> {
    let is_command = |word: &&OsStr| !word.as_bytes().starts_with(b"-") && !word.as_bytes().contains(&b'/');
    arguments.iter().map(OsString::as_os_str).find(is_command)
}

/// Does what [`load`] does with a command line that says which runsc.
fn load_visibly(
    runsc: &Path,
    arguments: Vec<OsString>,
    extensions: Vec<Box<dyn Extension>>,
) -> Result<Infallible, Failure> {
    let words = ["gofer".as_ref(), COMMAND.as_ref(), OPTION.as_ref(), runsc.as_os_str(), "--".as_ref()];
    let line: Vec<OsString> = words.map(OsStr::to_owned).into_iter().chain(arguments.iter().cloned()).collect();
    match command_line::show(&line) {
        Ok(()) => load(runsc, arguments, extensions),
        Err(_) => execute(Path::new("/proc/self/exe"), line),
    }
}

/// Maps the runsc at `path` and jumps to it.
fn load(path: &Path, arguments: Vec<OsString>, extensions: Vec<Box<dyn Extension>>) -> Result<Infallible, Failure> {
    annotations::check(&arguments, extensions)?;
    let program = elf_file::open(path)?;
    let mut line = vec![path.as_os_str().to_owned()];
    line.extend(arguments);
    let mut environment = environment();
    if let Some(line) = programs(path) {
        // If it is there it is empty, and readers do not agree on which of two counts.
        let (_, variable) = PROGRAMS;
        environment.retain(|other| other.to_bytes().split(|&byte| byte == b'=').next() != Some(variable.as_bytes()));
        environment.push(line);
    }
    let start = stack::Start { path: c_string(path.as_os_str().to_owned()), arguments: c_strings(line), environment };
    image::run(program, start).map_err(|source| Failure::Map { path: path.to_owned(), source })
}

fn execute(path: &Path, arguments: Vec<OsString>) -> Result<Infallible, Failure> {
    image::default_sigpipe();
    nix::unistd::execve(&c_string(path.as_os_str().to_owned()), &c_strings(arguments), &environment())
        .map_err(|source| Failure::Open { path: path.to_owned(), source: source.into() })
}

/// The variable that shows runsc the programs beside it. It would look for them beside us.
fn programs(runsc: &Path) -> Option<CString> {
    let (name, variable) = PROGRAMS;
    let beside: PathBuf = std::fs::canonicalize(runsc).ok()?.parent()?.join(name);
    if std::env::var_os(variable).is_some_and(|set| !set.is_empty()) || !beside.is_dir() {
        return None;
    }
    let mut line = OsString::from(variable);
    line.push("=");
    line.push(beside);
    Some(c_string(line))
}

fn environment() -> Vec<CString> {
    let line = |(mut name, value): (OsString, OsString)| {
        name.push("=");
        name.push(value);
        name
    };
    c_strings(std::env::vars_os().map(line).collect())
}

fn c_strings(words: Vec<OsString>) -> Vec<CString> {
    words.into_iter().map(c_string).collect()
}

/// `word` for the kernel. None that came from the kernel, or was made of such, has a zero byte in it; anything after
/// one is lost.
fn c_string(word: OsString) -> CString {
    let mut bytes = word.into_vec();
    bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
    CString::new(bytes).unwrap_or_default()
}
