//! Why suites do not run.

use std::io;
use std::path::PathBuf;

use super::tool::ToolError;

/// Why a suite cannot run, for a reason that is not the file system's.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// Its program is missing.
    #[error("{0}")]
    Tool(#[from] ToolError),
    /// It acts as several users.
    #[error("{0} needs root; choose other suites with --suite")]
    NeedsRoot(&'static str),
    /// There is no such suite.
    #[error("no directory \"tests\" in {}: not the classic pjdfstest", .0.display())]
    NotClassic(PathBuf),
    /// Its C program is missing.
    #[error("no program \"pjdfstest\" in {dir}; build it: cd {dir} && autoreconf -ifs && ./configure && make pjdfstest", dir = .0.display())]
    NotBuilt(PathBuf),
    /// Its program fails.
    #[error("{program} does not work: {said}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What it says.
        said: String,
    },
    /// Files of its own cannot be written, or programs not started.
    #[error("{0}")]
    Io(#[from] io::Error),
}
