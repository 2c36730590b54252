//! What is installed beside the programs. Apart from `cargo xtask`, which would take much longer to build with all
//! programs in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap_complete::Shell;

/// Units in the source tree, which are for programs that somebody has installed himself.
const UNITS: [&str; 4] = [
    "fusebridge/systemd/fusebridge@.service",
    "gofer/volumes/systemd/gofer-volumes.service",
    "gofer/volumes/systemd/gofer-volumes.socket",
    "gofer/volumes/systemd/gofer-volumes.tmpfiles",
];

/// Links in packages, and where they lead.
const LINKS: [(&str, &str); 3] = [
    ("mount.fuse.fusebridge", "../bin/fusebridge"),
    ("mount.fusebridge", "../bin/fusebridge"),
    ("runsc-gofer-rs", "gofer"),
];

/// Writes all of it to directories below `out`: `man`, `bash`, `zsh`, `fish`, `systemd` and `links`. What was there is
/// lost.
pub fn make(out: &Path) -> Result<()> {
    if out.exists() {
        fs::remove_dir_all(out).with_context(|| format!("cannot replace {}", out.display()))?;
    }
    let made = |name: &str| -> Result<PathBuf> {
        let directory = out.join(name);
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(directory)
    };
    for command in [gofer::cli::command(), fusebridge::cli::command(), gofer_volumes::command()] {
        let name = command.get_name().to_owned();
        for (shell, directory) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")] {
            let file = clap_complete::generate_to(shell, &mut command.clone(), &name, made(directory)?)?;
            if shell == Shell::Bash {
                mend(&name, &file)?;
            }
        }
        clap_mangen::generate_to(command, made("man")?)?;
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for unit in UNITS {
        let text = fs::read_to_string(workspace.join(unit)).with_context(|| unit.to_owned())?;
        let name = Path::new(unit).file_name().context("a file has a name")?;
        fs::write(made("systemd")?.join(name), text.replace("/usr/local/bin/", "/usr/bin/"))?;
    }
    for (name, target) in LINKS {
        symlink(target, made("links")?.join(name))?;
    }
    Ok(())
}

/// clap_complete 4.6 writes a dash of a program's name in two ways, and what it has written for one way does not find
/// what it has written for the other: nothing would be offered behind the first subcommand.
fn mend(name: &str, file: &Path) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let mended = text.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"));
    Ok(fs::write(file, mended)?)
}
