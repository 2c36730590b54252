//! Programs that suites need and that others publish: where they are, and how to get them.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

/// A program from crates.io, at exactly this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Name of the crate and of the program.
    pub name: &'static str,
    /// The version.
    pub version: &'static str,
}

/// The POSIX conformance suite.
pub const PJDFSTEST: Tool = Tool { name: "pjdfstest", version: "0.2.2" };
/// The random I/O exerciser.
pub const FSX: Tool = Tool { name: "fsx", version: "0.3.2" };
/// All of them.
pub const ALL: [Tool; 2] = [PJDFSTEST, FSX];

/// Why a program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// There is no place for it.
    #[error("neither XDG_CACHE_HOME nor HOME is set, so there is no place for {0}")]
    NoCache(&'static str),
    /// It is not installed.
    #[error(
        "{tool} {version} is not installed; add --install, which runs `{command}`, or choose other suites with --suite",
        tool = .0.name, version = .0.version, command = .0.install_line()
    )]
    Missing(Tool),
    /// It cannot be installed.
    #[error("cannot run `{command}`: {source}; install Rust and cargo first", command = tool.install_line())]
    Cargo {
        /// The program.
        tool: Tool,
        /// Why cargo does not start.
        #[source]
        source: io::Error,
    },
    /// Its installation has failed, and has said why.
    #[error("`{command}` failed: {status}", command = tool.install_line())]
    Install {
        /// The program.
        tool: Tool,
        /// How cargo ended.
        status: ExitStatus,
    },
}

impl Tool {
    /// The directory for `cargo install --root`. It has the version in its name: one version never hides another.
    pub fn root(self) -> Result<PathBuf, ToolError> {
        let place = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = place("XDG_CACHE_HOME").or_else(|| Some(place("HOME")?.join(".cache")));
        let cache = cache.ok_or(ToolError::NoCache(self.name))?;
        Ok(cache.join("fusebridge").join("tools").join(format!("{}-{}", self.name, self.version)))
    }

    /// The program, whether it is there or not.
    pub fn path(self) -> Result<PathBuf, ToolError> {
        Ok(self.root()?.join("bin").join(self.name))
    }

    /// The program, or an error that says how to get it.
    pub fn installed(self) -> Result<PathBuf, ToolError> {
        let path = self.path()?;
        if path.is_file() { Ok(path) } else { Err(ToolError::Missing(self)) }
    }

    /// Installs it with the dependencies that its author has tested, unless it is there. Only the program itself is
    /// optimised: nobody waits for what it depends on, but for its compilation.
    pub fn install(self) -> Result<(), ToolError> {
        if self.path()?.is_file() {
            return Ok(());
        }
        eprintln!("+ {}", self.install_line());
        let status = self
            .install_command()?
            .stdin(Stdio::null())
            .status()
            .map_err(|source| ToolError::Cargo { tool: self, source })?;
        if status.success() { Ok(()) } else { Err(ToolError::Install { tool: self, status }) }
    }

    fn install_command(self) -> Result<Command, ToolError> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.arg("install").args(self.options()).arg("--quiet").arg("--root").arg(self.root()?).arg(self.name);
        // Somebody else's: another cargo that builds there would have to end first.
        cargo.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET_DIR");
        Ok(cargo)
    }

    fn options(self) -> Vec<String> {
        let Tool { name, version } = self;
        let options = format!(
            "--locked --version {version} --debug --config profile.dev.debug=false \
             --config profile.dev.package.{name}.opt-level=2"
        );
        options.split(' ').map(str::to_owned).collect()
    }

    /// What a person would type.
    fn install_line(self) -> String {
        let root = self.root().map_or_else(|_| "DIR".to_owned(), |root| root.display().to_string());
        format!("cargo install {} --root {root} {}", self.options().join(" "), self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_says_how_to_install() {
        let text = ToolError::Missing(FSX).to_string();
        assert!(text.starts_with("fsx 0.3.2 is not installed; add --install"), "{text}");
        assert!(text.contains("cargo install --locked --version 0.3.2 "), "{text}");
        assert!(!text.contains('\n'));
    }

    #[test]
    fn versions_live_apart() {
        let path = PJDFSTEST.path().unwrap();
        assert!(path.ends_with("fusebridge/tools/pjdfstest-0.2.2/bin/pjdfstest"), "{}", path.display());
    }
}
