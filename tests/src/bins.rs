//! The binaries under test.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

use crate::cargo;

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
    BUILT.set(build_to_install_as("dist", Linking::Dynamic)).map_err(|_| anyhow!("the binaries are there already"))?;
    directory().map(drop)
}

/// Builds all programs in `profile`, each with the features it is installed with, and gives the directory they are in.
pub fn build_to_install_as(profile: &str, linking: Linking) -> Result<PathBuf> {
    // One after the other: together, the gofer would get what fusebridge wants for tests.
    build_of(profile, &["fusebridge"], linking)?;
    build_of(profile, &["gofer", "gofer-volumes"], linking)
}

/// What a program is linked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linking {
    /// The shared libraries of the system that it is built on: it runs there, and on newer ones.
    Dynamic,
    /// All that it needs.
    Static,
}

/// Builds all programs, of what the tests themselves are built of, and gives the directory they are in.
pub fn build() -> Result<PathBuf> {
    // Of a part of the workspace, dependencies could have other features, and most of them would be compiled once more.
    build_of("dev", &[], Linking::Dynamic)
}

/// Builds all programs in the release profile and gives the directory they are in.
pub fn build_release() -> Result<PathBuf> {
    build_of("release", &[], Linking::Dynamic)
}

/// Builds the programs of `packages`, or else of all, and gives the directory they are in.
fn build_of(profile: &str, packages: &[&str], linking: Linking) -> Result<PathBuf> {
    let mut build = build_command(profile, packages);
    if linking == Linking::Static {
        // With a target named, what runs while it is built is linked as ever. Without, macros could not be loaded.
        build.args(["--target", "host-tuple"]);
        let flags = env::var("RUSTFLAGS").unwrap_or_default();
        build.env("RUSTFLAGS", format!("{flags} -C target-feature=+crt-static").trim_start());
    }
    directory_of(&artifacts(build).context("the binaries do not build")?)
}

fn build_command(profile: &str, packages: &[&str]) -> Command {
    let mut cargo = cargo::command();
    cargo.args(["build", "--profile", profile, "--bins"]);
    cargo.args(packages.iter().flat_map(|package| ["--package", *package]));
    cargo.args(packages.is_empty().then_some("--workspace"));
    cargo
}

/// Builds the example of this name, of what the tests themselves are built of, and gives its program.
pub fn example(name: &str) -> Result<PathBuf> {
    one_of(&["--example", name])
}

/// Builds the program of this name in the release profile and gives it.
pub fn optimised(name: &str) -> Result<PathBuf> {
    one_of(&["--release", "--bin", name])
}

/// Builds the one program that these words stand for, of all that the workspace is built of.
fn one_of(words: &[&str]) -> Result<PathBuf> {
    let mut cargo = cargo::command();
    cargo.args(["build", "--workspace"]).args(words);
    let artifacts = artifacts(cargo).with_context(|| format!("{} does not build", words.join(" ")))?;
    let program = artifacts.iter().find_map(|message| message["executable"].as_str());
    program.map(PathBuf::from).context("cargo did not say where it put the program")
}

/// Where the programs among these things are.
fn directory_of(artifacts: &[Value]) -> Result<PathBuf> {
    artifacts
        .iter()
        .filter_map(|message| message.get("executable").and_then(Value::as_str).map(PathBuf::from))
        .find(|path| PROGRAMS.iter().any(|program| path.ends_with(program)))
        .and_then(|path| path.parent().map(Path::to_path_buf))
        .context("cargo did not say where it put the programs")
}

/// A program that runs tests.
#[derive(Debug)]
pub struct TestProgram {
    /// What it is called among all of the workspace.
    pub name: String,
    /// What cargo calls it in its package.
    pub target: String,
    /// The root of its package, in which it expects to run.
    pub package: PathBuf,
    /// The file.
    pub executable: PathBuf,
}

/// Builds all programs and all tests of the workspace at once, and gives the directory of the programs and the tests.
pub fn build_with_tests() -> Result<(PathBuf, Vec<TestProgram>)> {
    let mut cargo = cargo::command();
    cargo.args(["build", "--workspace", "--bins", "--examples", "--tests"]);
    let artifacts = artifacts(cargo).context("the tests do not build")?;
    Ok((directory_of(&artifacts)?, artifacts.iter().filter_map(test_program).collect()))
}

fn test_program(message: &Value) -> Option<TestProgram> {
    if !message["profile"]["test"].as_bool()? {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let package = Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf();
    let target = message["target"]["name"].as_str()?.to_owned();
    let kind = message["target"]["kind"][0].as_str()?;
    let name = format!("{}-{kind}-{target}", package.file_name()?.display());
    Some(TestProgram { name, target, package, executable })
}

/// Runs a command of cargo that builds, and gives what it says about each thing that it has built: where cargo puts its
/// output can be configured in many places.
fn artifacts(mut cargo: Command) -> Result<Vec<Value>> {
    cargo.arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stderr(Stdio::inherit());
    let out = cargo.output().context("cannot run cargo")?;
    if !out.status.success() {
        bail!("cargo: {}", out.status);
    }
    let lines = String::from_utf8_lossy(&out.stdout);
    Ok(lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect())
}

/// The root of the source tree.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_path_buf()
}
