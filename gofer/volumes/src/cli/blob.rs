//! `gofer-volumes blob`: what is done to blob volumes beside serving them.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use gofer::extension::Error;
use gofer_blob::{CheckOptions, Collected, Location, Manager, Opened, Progress, Report, SnapshotKind, Usage};
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde::Serialize;

/// What is to be done, and to which volume.
#[derive(Debug, Subcommand)]
pub(super) enum Blob {
    /// Create a volume in an empty location
    Mkfs {
        /// The location, such as s3://BUCKET/PREFIX or file:///DIR
        #[arg(value_parser = location)]
        url: Location,
    },
    /// Check a volume, which may be in use; exit status 1 if something is wrong
    Fsck {
        #[command(flatten)]
        volume: Volume,
        /// Read all data, too
        #[arg(long)]
        deep: bool,
        /// Check a snapshot
        #[arg(long, value_name = "NAME", conflicts_with = "repair")]
        snapshot: Option<String>,
        /// Repair what needs no guessing: counts, and what nothing refers to. No process may have the volume open for
        /// writing
        #[arg(long)]
        repair: bool,
        /// If the store has lost its newest objects, continue from what is left; what came after it is gone for good
        #[arg(long, conflicts_with = "snapshot")]
        accept_loss: bool,
        #[command(flatten)]
        force: TakeOver,
    },
    /// Keep the current state of a volume in the store under a name; without NAME, list the snapshots
    Snapshot {
        #[command(flatten)]
        volume: Volume,
        /// The snapshot's name
        name: Option<String>,
        /// Delete it
        #[arg(long, requires = "name")]
        delete: bool,
        #[command(flatten)]
        force: TakeOver,
    },
    /// Create a volume that starts as a copy of another one, without copying data
    Clone {
        /// The volume
        #[arg(value_parser = location)]
        url: Location,
        /// The new volume's location, in the same bucket or beside the directory
        #[arg(value_parser = location)]
        destination: Location,
        /// Start from a snapshot
        #[arg(long, value_name = "NAME")]
        snapshot: Option<String>,
        #[command(flatten)]
        force: TakeOver,
    },
    /// Show how much a volume holds and occupies
    Du {
        #[command(flatten)]
        volume: Volume,
    },
    /// Delete what nothing refers to; a process that has the volume open is asked to do it
    Gc {
        #[command(flatten)]
        volume: Volume,
        #[command(flatten)]
        force: TakeOver,
    },
    /// Show how much a volume holds and occupies, and the requests to its store
    Stats {
        #[command(flatten)]
        volume: Volume,
    },
}

#[derive(Debug, Args)]
pub(super) struct Volume {
    /// The volume, such as s3://BUCKET/PREFIX or file:///DIR
    #[arg(value_parser = location)]
    url: Location,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct TakeOver {
    /// Do it even if the volume was not closed; a process that still has it open can no longer write
    #[arg(long)]
    take_over: bool,
}

fn location(text: &str) -> Result<Location, gofer_blob::LocationError> {
    Location::parse(text.strip_prefix("blob:").unwrap_or(text))
}

impl Blob {
    pub(super) fn run(self) -> Result<ExitCode, Error> {
        match self {
            Blob::Mkfs { mut url } => {
                url.options.create = true;
                Opened::create(&url)?;
            }
            Blob::Fsck { volume, deep, snapshot, repair, accept_loss, force } => {
                let options = CheckOptions { deep, repair, take_over: force.take_over, accept_loss, snapshot };
                let bar = Bar::default();
                let report = Manager::new(&volume.url)?.check(&options, &bar)?;
                bar.end();
                print(volume.json, &report, report_text)?;
                return Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
            }
            Blob::Snapshot { volume, name, delete, force } => {
                let manager = Manager::new(&volume.url)?;
                match name {
                    Some(name) if delete => manager.delete_snapshot(&name)?,
                    Some(name) => manager.snapshot(&name, force.take_over)?,
                    None => {
                        let mut all = manager.snapshots()?;
                        all.retain(|snapshot| volume.json || snapshot.kind != SnapshotKind::Reader);
                        let lines = |all: &Vec<gofer_blob::Snapshot>| {
                            all.iter().map(|it| format!("{}\t{}\n", it.created, it.name)).collect::<String>()
                        };
                        print(volume.json, &all, lines)?;
                    }
                }
            }
            Blob::Clone { url, destination, snapshot, force } => {
                let mut destination = destination;
                destination.options.create = true;
                Manager::new(&url)?.clone_to(&destination, snapshot.as_deref(), force.take_over)?;
            }
            Blob::Du { volume } => print(volume.json, &Manager::new(&volume.url)?.usage()?, du_text)?,
            Blob::Stats { volume } => print(volume.json, &Manager::new(&volume.url)?.usage()?, stats_text)?,
            Blob::Gc { volume, force } => {
                let collected = Manager::new(&volume.url)?.collect(force.take_over)?;
                print(volume.json, &collected, gc_text)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), Error> {
    print!("{}", if json { serde_json::to_string_pretty(value)? + "\n" } else { text(value) });
    Ok(())
}

fn report_text(report: &Report) -> String {
    let mut text = String::new();
    for repaired in &report.repaired {
        text += &format!("repaired: {repaired}\n");
    }
    for problem in &report.problems {
        text += &format!("{problem}\n");
    }
    let Report { files, segments, orphans, nameless, .. } = report;
    let problems = report.problems.len();
    text + &format!(
        "{files} files, {segments} segments, {nameless} files without a name, {orphans} objects of dead uploads: {problems} \
         problems\n"
    )
}

fn du_text(usage: &Usage) -> String {
    let segments = &usage.segments;
    let lines = [
        ("content", usage.content),
        ("live", segments.live),
        ("dead", segments.dead),
        ("data in the store", segments.bytes),
        ("metadata in the store", usage.metadata.bytes),
        ("metadata in use", usage.metadata.live),
        ("of other volumes", usage.borrowed),
    ];
    lines.iter().map(|(what, bytes)| format!("{:>14}  {what}\n", HumanBytes(*bytes).to_string())).collect()
}

fn stats_text(usage: &Usage) -> String {
    let requests = &usage.requests;
    let mut text = du_text(usage);
    let lines = [
        ("files", usage.files),
        ("segments", usage.segments.objects),
        ("metadata objects", usage.metadata.objects),
        ("openings", usage.openings.into()),
        ("commits", usage.commits),
        ("GET requests", requests.get),
        ("PUT requests", requests.put),
        ("LIST requests", requests.list),
        ("DELETE requests", requests.delete),
    ];
    text.extend(lines.iter().map(|(what, count)| format!("{count:>14}  {what}\n")));
    for (what, bytes) in [("sent", requests.sent), ("received", requests.received)] {
        text += &format!("{:>14}  {what}\n", HumanBytes(bytes).to_string());
    }
    text + if usage.is_open { "a process has it open for writing, or died while it had\n" } else { "nobody writes\n" }
}

fn gc_text(collected: &Option<Collected>) -> String {
    match collected {
        None => "the writing process was asked to do it\n".to_owned(),
        Some(it) => format!(
            "{} segments deleted ({}), {} of dead uploads; {} repacked ({}), to be deleted later; {} dead ones still needed\n",
            it.deleted,
            HumanBytes(it.freed),
            it.orphans,
            it.repacked,
            HumanBytes(it.moved),
            it.kept
        ),
    }
}

/// A bar on stderr, if that is a terminal.
#[derive(Default)]
struct Bar(std::cell::RefCell<Option<ProgressBar>>);

impl Bar {
    fn end(&self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn begin(&self, what: &'static str, steps: Option<u64>) {
        self.end();
        let (bar, template) = match steps {
            Some(steps) => (ProgressBar::new(steps), "{msg:10} {wide_bar} {human_pos}/{human_len} {eta}"),
            None => (ProgressBar::new_spinner(), "{msg:10} {spinner} {human_pos}"),
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        *self.0.borrow_mut() = Some(bar);
    }

    fn advance(&self, steps: u64) {
        if let Some(bar) = &*self.0.borrow() {
            bar.inc(steps);
        }
    }
}
