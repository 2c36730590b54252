//! What is different between two sets of attributes.

use lisafs::wire::{FileType, Statx, StatxMask};

use super::super::describe::words::file_type;
use super::compare::{Comparison, Found};

/// The part of a mode that is the type.
const S_IFMT: u16 = 0o170_000;

impl Comparison {
    /// Compares what both sides say they know. `of` stands in front of each difference.
    pub(super) fn stats(self, found: &mut Found, of: &str, recorded: Statx, now: Statx) {
        let both = recorded.mask & now.mask;
        if self.strict {
            found.check(&format!("{of}the mask"), recorded.mask.bits(), now.mask.bits(), |mask| format!("{mask:#x}"));
        }
        found.check(&format!("{of}the type"), recorded.mode & S_IFMT, now.mode & S_IFMT, |mode| {
            file_type(mode.into()).to_owned()
        });
        let mut check = |bit: StatxMask, what: &str, recorded: u64, now: u64, show: fn(u64) -> String| {
            if both.contains(bit) {
                found.check(&format!("{of}{what}"), recorded, now, show);
            }
        };
        let decimal = |number: u64| number.to_string();
        let octal = |mode: u64| format!("{mode:04o}");
        check(StatxMask::MODE, "mode", (recorded.mode & 0o7777).into(), (now.mode & 0o7777).into(), octal);
        check(StatxMask::NLINK, "nlink", recorded.nlink.into(), now.nlink.into(), decimal);
        check(StatxMask::UID, "uid", recorded.uid.into(), now.uid.into(), decimal);
        check(StatxMask::GID, "gid", recorded.gid.into(), now.gid.into(), decimal);
        if self.strict || recorded.file_type() != Some(FileType::Directory) {
            check(StatxMask::SIZE, "size", recorded.size, now.size, decimal);
        }
        let device = |stat: &Statx| u64::from(stat.rdev_major) << 32 | u64::from(stat.rdev_minor);
        let numbers = |device: u64| format!("{}:{}", device >> 32, device & u64::from(u32::MAX));
        check(StatxMask::empty(), "rdev", device(&recorded), device(&now), numbers);
        if self.strict {
            check(StatxMask::INO, "ino", recorded.ino, now.ino, decimal);
            check(StatxMask::BLOCKS, "blocks", recorded.blocks, now.blocks, decimal);
            check(StatxMask::empty(), "blksize", recorded.blksize.into(), now.blksize.into(), decimal);
            let on = |stat: &Statx| u64::from(stat.dev_major) << 32 | u64::from(stat.dev_minor);
            check(StatxMask::empty(), "device", on(&recorded), on(&now), numbers);
            for (bit, what, recorded, now) in [
                (StatxMask::ATIME, "atime", recorded.atime, now.atime),
                (StatxMask::MTIME, "mtime", recorded.mtime, now.mtime),
                (StatxMask::CTIME, "ctime", recorded.ctime, now.ctime),
                (StatxMask::BTIME, "btime", recorded.btime, now.btime),
            ] {
                if both.contains(bit) {
                    found.check(
                        &format!("{of}{what}"),
                        (recorded.sec, recorded.nsec),
                        (now.sec, now.nsec),
                        |(sec, nsec)| format!("{sec}.{nsec:09}"),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::compare::tests::{LOOSE, STRICT, file};
    use super::*;

    fn stats(comparison: Comparison, recorded: Statx, now: Statx) -> Vec<String> {
        let mut found = Found::default();
        comparison.stats(&mut found, "", recorded, now);
        found.0
    }

    #[test]
    fn attributes_that_matter_are_compared() {
        assert_eq!(stats(STRICT, file(), file()), [""; 0]);
        assert_eq!(stats(LOOSE, file(), Statx { size: 6, ..file() }), ["size was 5, is 6"]);
        assert_eq!(stats(LOOSE, file(), Statx { mode: 0o100_600, ..file() }), ["mode was 0644, is 0600"]);
        assert_eq!(
            stats(LOOSE, file(), Statx { mode: 0o040_644, nlink: 2, ..file() }),
            ["the type was file, is directory", "nlink was 1, is 2"]
        );
        let other = Statx { ino: 8, blocks: 1, ..file() };
        assert_eq!(stats(LOOSE, file(), other), [""; 0]);
        assert_eq!(stats(STRICT, file(), other), ["ino was 7, is 8", "blocks was 8, is 1"]);
        let directory = Statx { mode: 0o040_755, ..file() };
        assert_eq!(stats(LOOSE, directory, Statx { size: 4096, ..directory }), [""; 0], "sizes of directories");
        let unknown = Statx { mask: StatxMask::TYPE, size: 0, ..file() };
        assert_eq!(stats(LOOSE, file(), unknown), [""; 0], "what is not known is not compared");
    }
}
