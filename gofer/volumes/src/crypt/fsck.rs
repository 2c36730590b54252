//! `gofer-volumes crypt fsck`

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use gofer::extension::Error;
use gofer::limits;
use gofer_crypt::directory::{DirectoryError, load_config};
use gofer_crypt::fsck::{Finding, Observer, Severity, Summary, check};
use gofer_crypt::key_source::Unlock;
use indicatif::HumanBytes;
use serde::Serialize;

use super::Place;
use super::keys::{CredentialArgs, with_advice};
use super::progress::Bar;

const NOTES: &str = "Nothing is changed. Unmount the volume first: files written during the check may
look damaged.

Exit status, as of fsck(8):
  0   everything was read and is intact
  4   something is damaged
  8   something could not be read, or the volume could not be opened; 12: both";

/// Looks for damage: reads every file, name, link and extended attribute of an encrypted directory.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct Fsck {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    credential: CredentialArgs,
    /// Print JSON: one object at the end
    #[arg(long)]
    json: bool,
    /// Print only damage
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
}

/// Bits of the exit status.
const DAMAGED: u8 = 4;
const NOT_READ: u8 = 8;

impl Fsck {
    pub(super) fn run(self) -> ExitCode {
        match self.check() {
            Ok(summary) => {
                let damaged = if summary.damaged > 0 { DAMAGED } else { 0 };
                let unread = if summary.unread > 0 { NOT_READ } else { 0 };
                ExitCode::from(damaged | unread)
            }
            Err(error) => {
                eprintln!("gofer-volumes: {error}");
                ExitCode::from(NOT_READ)
            }
        }
    }

    fn check(&self) -> Result<Summary, Error> {
        let path = self.place.config();
        let config = load_config(&path)?;
        let credential = self.credential.get("Password: ");
        let credential = credential
            .map_err(|error| with_advice(&error, "--passfile FILE, --extpass CMD, --passfd N or --masterkey FILE"))?;
        let keys = credential.unlock(&config).map_err(DirectoryError::format(&path))?.keys(&config);
        drop(credential);
        limits::raise_descriptors();
        let dir = self.place.dir();
        let io = |source| DirectoryError::Io { path: dir.to_owned(), source };
        if self.json {
            let mut findings = Findings::default();
            let summary = check(dir, &path, &keys, &mut findings).map_err(io)?;
            let all = All { clean: summary.is_clean(), summary: &summary, findings: findings.0 };
            println!("{}", serde_json::to_string_pretty(&all)?);
            return Ok(summary);
        }
        let mut lines =
            Lines { bar: (!self.quiet && stderr().is_terminal()).then(|| Bar::new(dir)), quiet: self.quiet };
        let summary = check(dir, &path, &keys, &mut lines);
        drop(lines);
        let summary = summary.map_err(io)?;
        if !self.quiet {
            println!("{}", sentence(dir, &summary));
        }
        Ok(summary)
    }
}

/// What is printed as JSON.
#[derive(Serialize)]
struct All<'a> {
    clean: bool,
    summary: &'a Summary,
    findings: Vec<serde_json::Value>,
}

#[derive(Default)]
struct Findings(Vec<serde_json::Value>);

impl Observer for Findings {
    fn found(&mut self, finding: &Finding) {
        let mut value = serde_json::to_value(finding).unwrap_or_default();
        value["severity"] = serde_json::to_value(finding.problem.severity()).unwrap_or_default();
        value["text"] = finding.problem.to_string().into();
        self.0.push(value);
    }
}

/// A line for each finding, and how far it is on a terminal.
struct Lines {
    bar: Option<Bar>,
    quiet: bool,
}

impl Observer for Lines {
    fn found(&mut self, finding: &Finding) {
        if self.quiet && finding.problem.severity() == Severity::Note {
            return;
        }
        // Who does not read any more is not interested.
        let say = || _ = writeln!(stdout(), "{finding}");
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    fn entry(&mut self) {
        if let Some(bar) = &mut self.bar {
            bar.entry();
        }
    }

    fn read(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.read(bytes);
        }
    }
}

/// What was found, for people.
fn sentence(dir: &Path, summary: &Summary) -> String {
    let Summary { files, directories, symlinks, bytes, damaged, unread, .. } = summary;
    let size = HumanBytes(*bytes);
    let seen = format!("{files} files with {size}, {directories} directories and {symlinks} links");
    match (damaged, unread) {
        (0, 0) => format!("{}: clean: {seen}", dir.display()),
        (_, 0) => format!("{}: {damaged} damaged: {seen}", dir.display()),
        _ => format!("{}: {damaged} damaged, {unread} could not be read: {seen}", dir.display()),
    }
}
