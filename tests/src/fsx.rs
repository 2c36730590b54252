//! The random I/O exerciser fsx.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{command, tool};

/// Every kind of operation it has. Holes are expensive on some disks and get little weight.
const CONFIG: &str = "\
flen = 262144

[opsize]
max = 65536

[weights]
close_open = 1
invalidate = 1
mapread = 10
mapwrite = 10
read = 10
write = 10
truncate = 2
fsync = 0.1
fdatasync = 0.1
posix_fallocate = 1
punch_hole = 1
sendfile = 1
posix_fadvise = 1
copy_file_range = 1
";

/// Runs `operations` operations on a file in `directory`, which is on the file system under test. `artifacts` is a
/// directory elsewhere; it keeps the log and the good copy of a failing run.
pub fn run(directory: &Path, artifacts: &Path, seed: u64, operations: u64) -> Result<()> {
    let config = artifacts.join("fsx.toml");
    fs::write(&config, CONFIG).with_context(|| format!("cannot write {}", config.display()))?;
    let file = directory.join(format!("fsx-{seed}"));
    let mut fsx = Command::new(tool::FSX.installed()?);
    fsx.arg("-f").arg(&config).args(["-S", &seed.to_string(), "-N", &operations.to_string()]);
    fsx.arg("-P").arg(artifacts).arg(&file);
    // A thousand operations take a second on a slow disk.
    let outcome = command::run(&mut fsx, Duration::from_secs(120) + Duration::from_millis(operations * 2))?;
    if !outcome.status.success() {
        bail!("fsx -S {seed} -N {operations}: {}", last_lines(&outcome.describe(), 40));
    }
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
}

/// The end of a long text.
fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
