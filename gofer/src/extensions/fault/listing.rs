//! Directories with defects.

use super::defect::{Defect, Defects};
use lisafs::backend::{DirEntry, DirSink, FileType};

/// Takes entries as they are and hands them on as the client is to see them.
pub(super) struct Tampered<'a> {
    sink: &'a mut dyn DirSink,
    no_type: bool,
    no_ino: bool,
    other_ino: bool,
    /// The first entry is still to come, and is to be left out.
    leaves_out: bool,
    /// The first entry is still to come, and is to come twice.
    repeats: bool,
    reorders: bool,
    /// An entry that comes after the next one, if entries are reordered.
    held: Option<(Vec<u8>, DirEntry<'static>)>,
}

impl<'a> Tampered<'a> {
    /// Hands entries to `sink`; `at_start` says whether they are the directory's first.
    pub(super) fn new(sink: &'a mut dyn DirSink, defects: &Defects, at_start: bool) -> Self {
        Tampered {
            sink,
            no_type: defects.shows(Defect::WrongDirentType),
            no_ino: defects.shows(Defect::ZeroIno),
            other_ino: defects.shows(Defect::WrongDirentIno),
            leaves_out: at_start && defects.shows(Defect::MissingDirent),
            repeats: at_start && defects.shows(Defect::DuplicateDirent),
            reorders: defects.shows(Defect::ReorderedReaddir),
            held: None,
        }
    }

    /// Hands on what is left at the end.
    pub(super) fn finish(mut self) {
        self.release();
    }

    /// Hands the held entry on. If there is no room for it, it is lost, as defects go.
    fn release(&mut self) -> bool {
        let Some((name, entry)) = self.held.take() else { return true };
        let mut entry: DirEntry<'_> = entry;
        entry.name = &name;
        self.sink.add(&entry)
    }
}

impl DirSink for Tampered<'_> {
    fn add(&mut self, entry: &DirEntry<'_>) -> bool {
        let mut entry = *entry;
        if matches!(entry.name, b"." | b"..") {
            return self.sink.add(&entry);
        }
        if std::mem::take(&mut self.leaves_out) {
            return true;
        }
        if self.no_ino && entry.file_type == Some(FileType::Regular) {
            entry.ino = 0;
        }
        if self.other_ino {
            entry.ino = entry.ino.wrapping_add(1);
        }
        if self.no_type {
            entry.file_type = Some(FileType::Regular);
        }
        if self.reorders && self.held.is_none() {
            let (major, minor) = entry.dev;
            let nameless = DirEntry::new(b"", entry.ino, entry.file_type, entry.next).on_device(major, minor);
            self.held = Some((entry.name.to_vec(), nameless));
            return true;
        }
        if !self.sink.add(&entry) {
            return false;
        }
        if std::mem::take(&mut self.repeats) {
            // Without room for it there is no second one, and the listing goes on after the first.
            return self.sink.add(&entry);
        }
        self.release()
    }
}
