//! How far it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

const TEMPLATE: &str = "[{bar:30}] {binary_bytes}/{binary_total_bytes}{msg}, {binary_bytes_per_sec}, {eta} left";

/// A progress bar on stderr.
pub(super) struct Bar {
    bar: ProgressBar,
    entries: u64,
    ended: Arc<AtomicBool>,
}

impl Bar {
    /// For reading all in `dir`. How much that is is found out meanwhile.
    pub(super) fn new(dir: &Path) -> Self {
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(0).with_style(style.progress_chars("=> "));
        bar.enable_steady_tick(Duration::from_millis(200));
        let ended = Arc::new(AtomicBool::new(false));
        let (dir, counted, stop) = (dir.to_owned(), bar.clone(), ended.clone());
        // Without it there is a bar without an end.
        let _ = std::thread::Builder::new().name("count".to_owned()).spawn(move || count(&dir, &counted, &stop));
        Bar { bar, entries: 0, ended }
    }

    /// Prints with `say` above the bar.
    pub(super) fn suspend(&self, say: impl FnOnce()) {
        self.bar.suspend(say);
    }

    pub(super) fn entry(&mut self) {
        self.entries += 1;
        if self.entries.is_multiple_of(64) {
            self.bar.set_message(format!(", {} files", self.entries));
        }
    }

    pub(super) fn read(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.bar.finish_and_clear();
    }
}

/// Adds the size of what is in `dir` to the length of `bar`. What cannot be read is reported by others.
fn count(dir: &Path, bar: &ProgressBar, stop: &AtomicBool) {
    let mut directories = vec![dir.to_owned()];
    while let Some(dir) = directories.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok) {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if metadata.is_file() {
                // Holes are not read.
                bar.inc_length(metadata.len().min(metadata.blocks() * 512));
            }
        }
    }
}
