//! What happens around calls.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::FaultError;
use super::chance::{Chance, Probability};
use super::defect::{Defect, Defects};
use super::listing::Tampered;
use super::parameters::Parameters;
use crate::extensions::wrap::{Call, Calls, Deviation, Layer};
use lisafs::backend::{
    DirSink, Errno, Error, FileType, Mode, NO_ID, NewFile, RenameFlags, Result, SetStat, StatFs, Statx,
};

/// What is wrong with a file system.
#[derive(Debug)]
pub struct Fault {
    latencies: Vec<(Calls, Duration)>,
    errors: Vec<(Calls, Errno, Chance)>,
    shorts: Vec<(Call, Chance)>,
    exits: Vec<(Calls, Chance)>,
    defects: Defects,
    /// Attributes by device and inode number, as they were first seen. Only filled for [`Defect::StaleStat`] and
    /// [`Defect::FrozenTimes`].
    first_seen: Mutex<HashMap<(u32, u32, u64), Statx>>,
    /// For [`Defect::ChangingIno`].
    next_ino: AtomicU64,
}

impl Fault {
    /// Takes parameters with `&` between them, as [the module's documentation](super) says.
    pub fn parse(text: &str) -> std::result::Result<Self, FaultError> {
        let parameters = Parameters::parse(text)?;
        let seed = parameters.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        tracing::info!(seed, "repeat the same random faults with this seed");
        let mut streams = 0..;
        let mut chance = |probability: Probability| Chance::new(probability, seed, streams.next().unwrap_or_default());
        let errors = parameters.errors.into_iter();
        let shorts = parameters.shorts.into_iter();
        let exits = parameters.exits.into_iter();
        let mut fault = Fault {
            latencies: parameters.latencies,
            errors: errors.map(|(calls, errno, probability)| (calls, errno, chance(probability))).collect(),
            shorts: shorts.map(|(call, probability)| (call, chance(probability))).collect(),
            exits: exits.map(|(calls, probability)| (calls, chance(probability))).collect(),
            defects: Defects::none(),
            first_seen: Mutex::default(),
            next_ino: AtomicU64::new(1 << 40),
        };
        for (defect, probability) in parameters.defects {
            fault.defects.add(defect, chance(probability));
        }
        Ok(fault)
    }

    /// The attributes with which the file was first seen.
    fn first_seen(&self, stat: &Statx) -> Statx {
        let mut seen = self.first_seen.lock();
        let first = seen.entry((stat.dev_major, stat.dev_minor, stat.ino)).or_insert(*stat);
        // Another file that has got the number of one that is gone.
        if first.file_type() != stat.file_type() {
            *first = *stat;
        }
        *first
    }
}

impl Layer for Fault {
    type Started = ();

    // What clients do with them could not be seen here.
    const WITHHOLDS: bool = true;

    fn before(&self, call: Call) -> Result<()> {
        let latencies = self.latencies.iter().filter(|(calls, _)| calls.contains(call));
        let latency: Duration = latencies.map(|(_, latency)| latency).sum();
        if !latency.is_zero() {
            std::thread::sleep(latency);
        }
        let failed = |(calls, _, chance): &&(Calls, Errno, Chance)| calls.contains(call) && chance.hits();
        self.errors.iter().find(failed).map_or(Ok(()), |(_, errno, _)| Err((*errno).into()))
    }

    fn after(&self, call: Call, (): (), outcome: std::result::Result<u64, Errno>) {
        if outcome.is_ok() && self.exits.iter().any(|(calls, chance)| calls.contains(call) && chance.hits()) {
            tracing::warn!(call = call.name(), "the server ends before it answers");
            std::process::exit(1);
        }
    }

    fn skips(&self, call: Call) -> bool {
        match call {
            Call::Write => self.defects.shows(Defect::LostWrite),
            Call::Unlink => self.defects.shows(Defect::LostUnlink),
            Call::SetXattr => self.defects.shows(Defect::LostXattr),
            Call::RemoveXattr => self.defects.shows(Defect::LostRemovexattr),
            Call::Rename => self.defects.shows(Defect::LostRename),
            Call::Allocate => self.defects.shows(Defect::LostAllocate),
            _ => false,
        }
    }

    fn error(&self, _: Call, error: Error) -> Error {
        if error != Errno::NOENT && self.defects.shows(Defect::WrongErrno) { Error::IO } else { error }
    }

    fn stat(&self, stat: &mut Statx) {
        if self.defects.may_show(Defect::StaleStat) || self.defects.may_show(Defect::FrozenTimes) {
            let first = self.first_seen(stat);
            if self.defects.shows(Defect::StaleStat) {
                *stat = first;
            }
            if self.defects.shows(Defect::FrozenTimes) {
                *stat = Statx { atime: first.atime, mtime: first.mtime, ctime: first.ctime, ..*stat };
            }
        }
        let file_type = stat.file_type();
        if file_type != Some(FileType::Directory) && self.defects.shows(Defect::WrongNlink) {
            stat.nlink = 1;
        }
        if file_type == Some(FileType::Regular) && self.defects.shows(Defect::WrongSize) {
            stat.size = stat.size.wrapping_add(1);
        }
        if file_type == Some(FileType::Regular) && self.defects.shows(Defect::ZeroIno) {
            stat.ino = 0;
        }
        if file_type == Some(FileType::Regular) && self.defects.shows(Defect::WrongBlocks) {
            stat.blocks = 0;
        }
        if matches!(file_type, Some(FileType::CharDevice | FileType::BlockDevice))
            && self.defects.shows(Defect::WrongDevice)
        {
            stat.rdev_minor = stat.rdev_minor.wrapping_add(1);
        }
        if file_type == Some(FileType::Regular) && self.defects.shows(Defect::ChangingIno) {
            stat.ino = self.next_ino.fetch_add(1, Ordering::Relaxed);
        }
        if self.defects.shows(Defect::WrongMode) {
            stat.mode ^= 0o001;
        }
        if self.defects.shows(Defect::CoarseTimes) {
            for time in [&mut stat.atime, &mut stat.btime, &mut stat.ctime, &mut stat.mtime] {
                time.nsec = 0;
            }
        }
    }

    fn set_stat(&self, change: &mut SetStat) {
        if change.mode.is_some() && self.defects.shows(Defect::LostMode) {
            change.mode = None;
        }
        if (change.uid.is_some() || change.gid.is_some()) && self.defects.shows(Defect::LostOwner) {
            (change.uid, change.gid) = (None, None);
        }
        if (change.atime.is_some() || change.mtime.is_some()) && self.defects.shows(Defect::LostTimes) {
            (change.atime, change.mtime) = (None, None);
        }
        if change.size.is_some() && self.defects.shows(Defect::LostTruncate) {
            change.size = None;
        }
    }

    fn new_file(&self, new: &mut NewFile) {
        if self.defects.shows(Defect::WrongOwner) {
            (new.uid, new.gid) = (NO_ID, NO_ID);
        }
        if self.defects.shows(Defect::WideMode) {
            new.mode = Mode::new(new.mode.bits() | 0o666);
        }
        if self.defects.shows(Defect::LostSpecialBits) {
            new.mode = Mode::new(new.mode.bits() & 0o777);
        }
    }

    fn rename(&self, flags: RenameFlags) -> RenameFlags {
        match flags {
            RenameFlags::Replace if self.defects.shows(Defect::NoRenameReplace) => RenameFlags::NoReplace,
            RenameFlags::NoReplace if self.defects.shows(Defect::RenameOver) => RenameFlags::Replace,
            _ => flags,
        }
    }

    fn length(&self, call: Call, len: usize) -> usize {
        let draws = self.shorts.iter().filter(|(short, _)| *short == call && len > 1);
        match draws.filter_map(|(_, chance)| chance.draw()).next() {
            #[expect(clippy::cast_possible_truncation, reason = "the remainder is less than a usize")]
            Some(random) => 1 + (random % (len as u64 - 1)) as usize,
            None => len,
        }
    }

    fn bytes(&self, call: Call, bytes: &mut Vec<u8>) {
        let is_cut = match call {
            Call::ReadLink => self.defects.shows(Defect::CutLink),
            Call::GetXattr => self.defects.shows(Defect::CutXattr),
            _ => false,
        };
        if is_cut {
            bytes.pop();
        }
    }

    fn xattr_names(&self, names: &mut Vec<Vec<u8>>) {
        if self.defects.shows(Defect::MissingXattr) {
            names.pop();
        }
    }

    fn stat_fs(&self, stat: &mut StatFs) {
        if self.defects.shows(Defect::WrongStatfs) {
            stat.blocks_free = stat.blocks.wrapping_add(1);
        }
    }

    fn deviates(&self, how: Deviation) -> bool {
        self.defects.shows(match how {
            Deviation::CreateOver => Defect::IgnoredExcl,
            Deviation::ChangeAtime => Defect::IgnoredNoatime,
            Deviation::CopyLinks => Defect::CopiedLinks,
            Deviation::FillHoles => Defect::DirtyHoles,
            Deviation::GarbleReads => Defect::GarbledRead,
            Deviation::GarbleWrites => Defect::GarbledWrite,
            Deviation::ShiftWrites => Defect::ShiftedWrite,
            Deviation::SwallowErrors => Defect::SwallowedErrors,
        })
    }

    fn read_dir(
        &self,
        from: u64,
        sink: &mut dyn DirSink,
        list: &mut dyn FnMut(&mut dyn DirSink) -> Result<()>,
    ) -> Result<()> {
        let mut tampered = Tampered::new(sink, &self.defects, from == 0);
        list(&mut tampered)?;
        tampered.finish();
        Ok(())
    }
}
