//! `cargo xtask dist`: the programs as they are installed, with what belongs beside them, and packages of all that.

mod alone;
mod attempt;

use std::fs;
use std::process::Command;

use ::conform::tool::Tool;
use anyhow::{Context, Result};
use e2e::bins::{self, Linking};
use e2e::cargo;

use crate::shell;

/// Makes Debian packages.
const CARGO_DEB: Tool = Tool { name: "cargo-deb", version: "3.8.0" };

/// What there is a Debian package of.
const PACKAGES: [&str; 3] = ["gofer", "fusebridge", "gofer-volumes"];

/// What is made.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Profile of the programs
    #[arg(long, default_value = "dist")]
    profile: String,
    /// Programs that need no shared libraries. They know the users and groups of /etc/passwd and
    /// /etc/group only
    #[arg(long = "static", conflicts_with = "deb")]
    is_static: bool,
    /// Also make Debian packages, in target/debian
    #[arg(long)]
    deb: bool,
    /// Also install, use and remove the packages in a fresh Debian with a systemd of its own, for which root and
    /// Debian's archive are needed
    #[arg(long, requires = "deb")]
    try_deb: bool,
}

/// Makes it.
pub(crate) fn run(options: &Options) -> Result<()> {
    // Beside the source tree's packages, which name it, wherever cargo builds.
    let pages = bins::workspace().join("target/pages");
    let mut make = cargo::command();
    make.args(["run", "--quiet", "--package", "pages", "--features", "program", "--"]).arg(&pages);
    shell::succeed(&mut make)?;
    let linking = if options.is_static { Linking::Static } else { Linking::Dynamic };
    let programs = bins::build_to_install_as(&options.profile, linking)?;
    if options.is_static {
        alone::run(&programs, &PACKAGES)?;
    }
    println!("programs: {}\nmanual pages, completions and units: {}", programs.display(), pages.display());
    if !options.deb {
        return Ok(());
    }
    CARGO_DEB.install()?;
    let debs = bins::workspace().join("target/debian");
    // Older versions would be tried as well.
    _ = fs::remove_dir_all(&debs);
    fs::create_dir_all(&debs).with_context(|| format!("cannot make {}", debs.display()))?;
    for package in PACKAGES {
        // By its own name: cargo does not know where it is.
        let mut deb = Command::new(CARGO_DEB.installed()?);
        deb.current_dir(bins::workspace()).args(["--quiet", "--no-build", "--no-strip"]);
        deb.args(["--profile", &options.profile, "--package", package, "--output"]).arg(&debs);
        shell::succeed(&mut deb)?;
    }
    println!("packages: {}", debs.display());
    if options.try_deb { attempt::run(&debs) } else { Ok(()) }
}
