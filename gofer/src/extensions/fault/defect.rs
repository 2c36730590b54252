//! What can be wrong with answers.

use super::chance::Chance;

/// Declares the defects with their names.
macro_rules! defects {
    ($($defect:ident = $name:literal,)*) => {
        /// A way in which answers are wrong. The module's documentation says what each of them means.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Defect {
            $($defect,)*
        }

        impl Defect {
            /// All of them.
            pub(super) const ALL: &[Defect] = &[$(Defect::$defect),*];

            /// What people call it.
            pub(super) fn name(self) -> &'static str {
                match self {
                    $(Defect::$defect => $name,)*
                }
            }
        }
    };
}

defects! {
    WrongNlink = "wrong-nlink",
    WrongSize = "wrong-size",
    WrongMode = "wrong-mode",
    WrongOwner = "wrong-owner",
    ZeroIno = "zero-ino",
    StaleStat = "stale-stat",
    CoarseTimes = "coarse-times",
    WrongErrno = "wrong-errno",
    LostWrite = "lost-write",
    LostTruncate = "lost-truncate",
    LostUnlink = "lost-unlink",
    LostXattr = "lost-xattr",
    CutXattr = "cut-xattr",
    CutLink = "cut-link",
    NoRenameReplace = "no-rename-replace",
    RenameOver = "rename-over",
    MissingDirent = "missing-dirent",
    DuplicateDirent = "duplicate-dirent",
    ReorderedReaddir = "reordered-readdir",
    WrongDirentType = "wrong-dirent-type",
    WrongDirentIno = "wrong-dirent-ino",
    ChangingIno = "changing-ino",
    WrongBlocks = "wrong-blocks",
    WrongDevice = "wrong-device",
    FrozenTimes = "frozen-times",
    WrongStatfs = "wrong-statfs",
    WideMode = "wide-mode",
    LostSpecialBits = "lost-special-bits",
    LostMode = "lost-mode",
    LostOwner = "lost-owner",
    LostTimes = "lost-times",
    LostRename = "lost-rename",
    LostAllocate = "lost-allocate",
    LostRemovexattr = "lost-removexattr",
    MissingXattr = "missing-xattr",
    GarbledRead = "garbled-read",
    GarbledWrite = "garbled-write",
    ShiftedWrite = "shifted-write",
    DirtyHoles = "dirty-holes",
    IgnoredExcl = "ignored-excl",
    IgnoredNoatime = "ignored-noatime",
    CopiedLinks = "copied-links",
    SwallowedErrors = "swallowed-errors",
}

/// Which defects there are, and how often.
#[derive(Debug)]
pub(super) struct Defects([Option<Chance>; Defect::ALL.len()]);

impl Defects {
    /// None at all.
    pub(super) fn none() -> Self {
        Defects([const { None }; Defect::ALL.len()])
    }

    /// Adds `defect`, as often as `chance` says.
    pub(super) fn add(&mut self, defect: Defect, chance: Chance) {
        self.0[defect as usize] = Some(chance);
    }

    /// Whether `defect` shows this time.
    pub(super) fn shows(&self, defect: Defect) -> bool {
        self.0[defect as usize].as_ref().is_some_and(Chance::hits)
    }

    /// Whether `defect` shows at times.
    pub(super) fn may_show(&self, defect: Defect) -> bool {
        self.0[defect as usize].is_some()
    }
}
