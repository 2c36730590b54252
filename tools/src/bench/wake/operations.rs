//! What is done, one operation after the other.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use e2e::modes::{Access, Io};

use crate::bench::random::{BLOCK, Places};

/// One kind of operation, on a mount of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    /// What it is called.
    pub(super) name: &'static str,
    /// How the mount transfers data.
    pub(super) io: Io,
    /// Whether others may change the files.
    pub(super) access: Access,
    /// Whether the kernel may remember nothing, in an exclusive mount.
    pub(super) asks_always: bool,
    work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    WarmStat,
    ColdStat,
    Open,
    List,
    Create,
    Read,
}

const fn operation(name: &'static str, access: Access, work: Work) -> Operation {
    Operation { name, io: Io::Auto, access, asks_always: false, work }
}

/// All of them, in the order of the table.
pub(super) const OPERATIONS: [Operation; 9] = [
    Operation { asks_always: true, ..operation("warm stat, exclusive, --ttl 0", Access::Exclusive, Work::WarmStat) },
    operation("warm stat, shared", Access::Shared, Work::WarmStat),
    operation("cold stat, exclusive", Access::Exclusive, Work::ColdStat),
    operation("open+close, exclusive", Access::Exclusive, Work::Open),
    operation("open+close, shared", Access::Shared, Work::Open),
    operation("readdir+stat, shared", Access::Shared, Work::List),
    operation("create+unlink, exclusive", Access::Exclusive, Work::Create),
    operation("create+unlink, shared", Access::Shared, Work::Create),
    Operation { io: Io::Rpc, ..operation("4 KiB read, shared, rpc", Access::Shared, Work::Read) },
];

/// The parts of the work: each has files of its own, so that what is cold for one of them is so for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Nothing is measured: threads are started.
    WarmUp,
    /// Times and counts.
    Measured,
    /// Events of the kernel.
    Traced,
}

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    warm_up: u32,
    measured: u32,
    traced: u32,
    mebibytes: u32,
}

impl Sizes {
    /// The real measurement.
    pub(super) const FULL: Self = Self { warm_up: 200, measured: 2000, traced: 500, mebibytes: 64 };
    /// A try.
    pub(super) const QUICK: Self = Self { warm_up: 20, measured: 100, traced: 50, mebibytes: 4 };

    /// The files of `part`, one for each operation.
    fn files(self, part: Part) -> Range<u32> {
        let (first, count) = match part {
            Part::WarmUp => (0, self.warm_up),
            Part::Measured => (self.warm_up, self.measured),
            Part::Traced => (self.warm_up + self.measured, self.traced),
        };
        first..first + count
    }

    /// How many operations `part` has.
    pub(super) fn count(self, part: Part) -> u32 {
        let files = self.files(part);
        files.end - files.start
    }

    /// Fills `directory` with what the operations need.
    pub(super) fn prepare(self, directory: &Path) -> io::Result<()> {
        for part in [Part::WarmUp, Part::Measured, Part::Traced] {
            let listed = directory.join(listed(part));
            fs::create_dir(&listed)?;
            for number in self.files(part) {
                File::create(directory.join(file(number)))?;
                File::create(listed.join(file(number)))?;
            }
        }
        fs::write(directory.join("large"), vec![0x5a; (self.mebibytes as usize) << 20])
    }
}

fn file(number: u32) -> String {
    format!("file-{number}")
}

fn listed(part: Part) -> String {
    format!("listed-{part:?}")
}

impl Operation {
    /// Has the kernel and the bridge know what they are to know when `part` begins.
    pub(super) fn approach(&self, root: &Path, sizes: Sizes, part: Part) -> io::Result<()> {
        match self.work {
            Work::WarmStat | Work::Open => {
                sizes.files(part).try_for_each(|number| fs::symlink_metadata(root.join(file(number))).map(drop))
            }
            Work::ColdStat | Work::List | Work::Create | Work::Read => fs::symlink_metadata(root).map(drop),
        }
    }

    /// Does the operations of `part`, and `before` before each of them.
    pub(super) fn run(&self, root: &Path, sizes: Sizes, part: Part, mut before: impl FnMut()) -> io::Result<()> {
        let files = sizes.files(part);
        // Made first: only the operations are to be seen.
        let paths: Vec<_> = files.map(|number| root.join(file(number))).collect();
        match self.work {
            Work::WarmStat | Work::ColdStat => paths.iter().try_for_each(|path| {
                before();
                fs::symlink_metadata(path).map(drop)
            }),
            Work::Open => paths.iter().try_for_each(|path| {
                before();
                File::open(path).map(drop)
            }),
            Work::List => list(&root.join(listed(part)), paths.len(), before),
            Work::Create => paths.iter().try_for_each(|path| {
                let new = path.with_extension("new");
                before();
                File::create_new(&new)?;
                fs::remove_file(&new)
            }),
            Work::Read => {
                let large = File::open(root.join("large"))?;
                let (mut places, mut block) = (Places::new(sizes.mebibytes, 0), [0; BLOCK]);
                paths.iter().try_for_each(|_| {
                    before();
                    large.read_exact_at(&mut block, places.next())
                })
            }
        }
    }
}

fn list(directory: &Path, count: usize, mut before: impl FnMut()) -> io::Result<()> {
    let mut seen = 0;
    // What it takes to read the listing counts with the first entry of each part of it.
    before();
    for entry in fs::read_dir(directory)? {
        if seen > 0 {
            before();
        }
        entry?.metadata()?;
        seen += 1;
    }
    if seen == count { Ok(()) } else { Err(io::Error::other(format!("{seen} of {count} files were listed"))) }
}
