//! The binaries under test.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// Names the directory of binaries that are built already. `cargo xtask` sets it; without it the first test that needs
/// a binary builds them.
pub const DIRECTORY: &str = "FUSEBRIDGE_BIN_DIR";

const PROGRAMS: [&str; 3] = ["fusebridge", "gofer", "gofer-volumes"];

/// Where the programs are, or why they are not there.
static BUILT: OnceLock<Result<PathBuf>> = OnceLock::new();

/// The `fusebridge` program.
pub fn fusebridge() -> Result<PathBuf> {
    Ok(directory()?.join("fusebridge"))
}

/// The `gofer` program.
pub fn gofer() -> Result<PathBuf> {
    Ok(directory()?.join("gofer"))
}

/// The `gofer-volumes` program.
pub fn volumes() -> Result<PathBuf> {
    Ok(directory()?.join("gofer-volumes"))
}

/// The directory of both programs, built by the first call if need be.
pub fn directory() -> Result<&'static Path> {
    let found = BUILT.get_or_init(|| match env::var_os(DIRECTORY) {
        Some(dir) if !dir.is_empty() => Ok(PathBuf::from(dir)),
        _ => build(),
    });
    found.as_deref().map_err(|error| anyhow!("{error:#}"))
}

/// Builds all programs as they are installed, for figures, unless [`DIRECTORY`] names others. Nothing may have asked for one before.
pub fn build_to_install() -> Result<()> {
    if env::var_os(DIRECTORY).is_some_and(|dir| !dir.is_empty()) {
        return directory().map(drop);
    }
    BUILT.set(build_to_install_as("dist")).map_err(|_| anyhow!("the binaries are there already"))?;
    directory().map(drop)
}

/// Builds all programs in `profile`, each with the features it is installed with, and gives the directory they are in.
pub fn build_to_install_as(profile: &str) -> Result<PathBuf> {
    // One after the other: together, the gofer would get what fusebridge wants for tests.
    build_of(profile, &["fusebridge"])?;
    build_of(profile, &["gofer", "gofer-volumes"])
}

/// Builds all programs, of what the tests themselves are built of, and gives the directory they are in.
pub fn build() -> Result<PathBuf> {
    // Of a part of the workspace, dependencies could have other features, and most of them would be compiled once more.
    build_of("dev", &[])
}

/// Builds all programs in the release profile and gives the directory they are in.
pub fn build_release() -> Result<PathBuf> {
    build_of("release", &[])
}

/// Builds the programs of `packages`, or else of all, and gives the directory they are in.
fn build_of(profile: &str, packages: &[&str]) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--profile", profile, "--bins"])
        .args(packages.iter().flat_map(|package| ["--package", *package]))
        .args(packages.is_empty().then_some("--workspace"))
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    if !out.status.success() {
        bail!("the binaries do not build");
    }
    // Where cargo puts its output can be configured in many places. It says in its messages where it was in the end.
    String::from_utf8_lossy(&out.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| message.get("executable").and_then(Value::as_str).map(PathBuf::from))
        .find(|path| PROGRAMS.iter().any(|program| path.ends_with(program)))
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .context("cargo did not say where it put the programs")
}

/// The root of the source tree.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}
