//! The POSIX conformance suite pjdfstest: its configuration, its run, its results.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{command, tool};

/// What is switched on: everything that Linux and FUSE have. `naptime` is the pause after which a changed time stamp must
/// differ. Two accounts that every Debian system has stand in for users made for the purpose.
const CONFIG: &str = r#"[features]
posix_fallocate = {}
rename_ctime = {}
stat_st_birthtime = {}
utime_now = {}
utimensat = {}

[settings]
naptime = 0.02
allow_remount = false
expected_failures = []

[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"#;

/// What a good FUSE file system reaches. Of the skipped cases 13 want to remount, one wants a limit on links.
pub const BAR: Counts = Counts { passed: 384, failed: 0, skipped: 14 };

/// How many cases ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cases that passed.
    pub passed: u64,
    /// Cases that failed.
    pub failed: u64,
    /// Cases that do not apply here.
    pub skipped: u64,
}

/// The result of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The numbers of its last line.
    pub counts: Counts,
    /// Each failed case with what it says about it.
    pub failures: Vec<String>,
}

/// Runs the suite in `directory`, which is on the file system under test. `scratch` is a directory elsewhere for the
/// configuration. Needs root.
pub fn run(directory: &Path, scratch: &Path) -> Result<Report> {
    let config = scratch.join("pjdfstest.toml");
    fs::write(&config, CONFIG).with_context(|| format!("cannot write {}", config.display()))?;
    let mut suite = Command::new(tool::PJDFSTEST.installed()?);
    suite.arg("-c").arg(&config).args(["-s", "/dev/shm"]).arg("-p").arg(directory);
    suite.env("NO_COLOR", "1").env_remove("CLICOLOR_FORCE");
    let outcome = command::run(&mut suite, Duration::from_secs(300))?;
    match parse(&outcome.stdout) {
        Some(report) => Ok(report),
        None => bail!("pjdfstest has no summary: {}", outcome.describe()),
    }
}

/// Understands the output of a run: the summary and the failed cases.
#[must_use]
pub fn parse(output: &str) -> Option<Report> {
    let summary = output.lines().rev().find_map(|line| line.strip_prefix("Summary: "))?;
    let count = |what: &str| {
        let part = summary.split(", ").find_map(|part| part.strip_suffix(what))?;
        part.trim().parse().ok()
    };
    let counts = Counts { passed: count(" passed")?, failed: count(" failed")?, skipped: count(" skipped")? };
    let mut failures: Vec<String> = Vec::new();
    let mut details = false;
    for line in output.lines() {
        if line.starts_with('\t') && details {
            if let Some(last) = failures.last_mut() {
                last.push_str(": ");
                last.push_str(line.trim());
            }
            continue;
        }
        let name = line.trim_end().strip_suffix("FAILED").or(line.trim_end().strip_suffix("PASSED UNEXPECTEDLY"));
        details = name.is_some();
        failures.extend(name.map(|name| name.trim_end().to_owned()));
    }
    Some(Report { counts, failures })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_understood() {
        let output = "chown::a                ok\nopen::etxtbsy           FAILED\n\tassertion failed\nx      skipped\n\twhy\n\n\
                      Summary: 1 failed, 14 skipped, 383 passed, 0 expected failures, 398 total\n";
        let report = parse(output).expect("a summary");
        assert_eq!(report.counts, Counts { passed: 383, failed: 1, skipped: 14 });
        assert_eq!(report.failures, ["open::etxtbsy: assertion failed"]);
        assert!(parse("nothing").is_none());
    }
}
