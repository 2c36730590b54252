//! Why there is no runsc.

use std::io;
use std::path::PathBuf;

use super::{AnnotationError, VARIABLE};
use crate::configuration::{self, ConfigurationError};

/// Why runsc cannot be run. One line for a person each.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Nothing says where it is.
    #[error(
        "no runsc in PATH; name one with `gofer runtime --runsc PATH -- ..`, {VARIABLE}=PATH or in {file}",
        file = configuration::PATH
    )]
    NotFound,
    /// The configuration file cannot be read or understood.
    #[error("{0} (it should be like {{\"runsc\": \"/usr/local/bin/runsc\"}})")]
    Configuration(#[from] ConfigurationError),
    /// It is named by a path that depends on who reads it.
    #[error("{origin}: {} is not an absolute path", path.display())]
    Relative {
        /// Where the path was found.
        origin: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// There is no such program, or it may not be run.
    #[error("cannot run {}: {source}", path.display())]
    Open {
        /// The path of the program.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// It would write its own path, which is ours, into a configuration file.
    #[error(
        "install would make Docker start {} without the arguments that make it run runsc; write into /etc/docker/daemon.json \
         what docs/production.md says: \"runtimes\": {{\"runsc-gofer-rs\": {{\"path\": \"/usr/local/bin/runsc-gofer-rs\"}}}}", .0.display()
    )]
    Install(PathBuf),
    /// The container's annotations are wrong.
    #[error("{0}")]
    Annotation(#[from] AnnotationError),
    /// It is us.
    #[error("{} is this program, not the runsc that it stands in for; name that one with --runsc or {VARIABLE}", .0.display())]
    Ourselves(PathBuf),
    /// It is no program that can be loaded.
    #[error("cannot load {}: {problem}; only a static runsc for this machine can be", path.display())]
    Program {
        /// The path of the program.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The kernel does not map it.
    #[error("cannot load {}: {source}{}", path.display(), hint(source))]
    Map {
        /// The path of the program.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

fn hint(source: &io::Error) -> &'static str {
    if source.raw_os_error() == Some(libc::EPERM) { " (is its file system mounted noexec?)" } else { "" }
}
