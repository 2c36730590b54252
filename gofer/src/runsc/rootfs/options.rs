//! Mount options as texts and as what the kernel takes.

use crate::runsc::raw::MountAttributes;

/// What the options of a mount say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `MS_*`, as whoever opens the mount for us expects them.
    flags: u64,
    /// `MS_PRIVATE`, `MS_SLAVE`, `MS_UNBINDABLE` or 0.
    propagation: u64,
    /// Whether the propagation is that of the mounts below too.
    propagation_recursive: bool,
}

/// What an option does to the flags.
enum Effect {
    Set(u64),
    Clear(u64),
}

use Effect::{Clear, Set};

const EFFECTS: [(&str, Effect); 29] = [
    ("ro", Set(libc::MS_RDONLY)),
    ("rw", Clear(libc::MS_RDONLY)),
    ("nosuid", Set(libc::MS_NOSUID)),
    ("suid", Clear(libc::MS_NOSUID)),
    ("nodev", Set(libc::MS_NODEV)),
    ("dev", Clear(libc::MS_NODEV)),
    ("noexec", Set(libc::MS_NOEXEC)),
    ("exec", Clear(libc::MS_NOEXEC)),
    ("sync", Set(libc::MS_SYNCHRONOUS)),
    ("async", Clear(libc::MS_SYNCHRONOUS)),
    ("remount", Set(libc::MS_REMOUNT)),
    ("mand", Set(libc::MS_MANDLOCK)),
    ("nomand", Clear(libc::MS_MANDLOCK)),
    ("dirsync", Set(libc::MS_DIRSYNC)),
    ("noatime", Set(libc::MS_NOATIME)),
    ("atime", Clear(libc::MS_NOATIME)),
    ("nodiratime", Set(libc::MS_NODIRATIME)),
    ("diratime", Clear(libc::MS_NODIRATIME)),
    ("bind", Set(libc::MS_BIND)),
    ("rbind", Set(libc::MS_BIND | libc::MS_REC)),
    ("silent", Set(libc::MS_SILENT)),
    ("loud", Clear(libc::MS_SILENT)),
    ("acl", Set(libc::MS_POSIXACL)),
    ("noacl", Clear(libc::MS_POSIXACL)),
    ("relatime", Set(libc::MS_RELATIME)),
    ("norelatime", Clear(libc::MS_RELATIME)),
    ("iversion", Set(libc::MS_I_VERSION)),
    ("noiversion", Clear(libc::MS_I_VERSION)),
    ("strictatime", Set(libc::MS_STRICTATIME)),
];

const PROPAGATIONS: [(&str, u64); 3] =
    [("private", libc::MS_PRIVATE), ("slave", libc::MS_SLAVE), ("unbindable", libc::MS_UNBINDABLE)];

/// `MS_*`, and what the same is for [`MountAttributes`].
const ATTRIBUTES: [(u64, u64); 5] = [
    (libc::MS_RDONLY, libc::MOUNT_ATTR_RDONLY),
    (libc::MS_NOSUID, libc::MOUNT_ATTR_NOSUID),
    (libc::MS_NODEV, libc::MOUNT_ATTR_NODEV),
    (libc::MS_NOEXEC, libc::MOUNT_ATTR_NOEXEC),
    (libc::MS_NODIRATIME, libc::MOUNT_ATTR_NODIRATIME),
];

impl Options {
    /// What `options` say, in order. Options that are nothing to the kernel mean nothing here.
    pub(super) fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        let mut parsed = Options { flags: libc::MS_BIND, ..Options::default() };
        for option in options {
            match EFFECTS.iter().find(|(name, _)| *name == option) {
                Some((_, Set(flags))) => parsed.flags |= flags,
                Some((_, Clear(flags))) => parsed.flags &= !flags,
                None => parsed.propagation(option),
            }
        }
        parsed
    }

    fn propagation(&mut self, option: &str) {
        let (name, recursive) = match option.strip_prefix('r') {
            Some(name) => (name, true),
            None => (option, false),
        };
        if let Some((_, propagation)) = PROPAGATIONS.iter().find(|(known, _)| *known == name) {
            self.propagation = *propagation;
            self.propagation_recursive = recursive;
        }
    }

    /// The same, read-only.
    pub(super) fn read_only(mut self) -> Self {
        self.flags |= libc::MS_RDONLY;
        self
    }

    /// `MS_*`.
    pub(super) fn flags(self) -> u64 {
        self.flags
    }

    /// Whether mounts below are mounted too.
    pub(super) fn is_recursive(self) -> bool {
        self.flags & libc::MS_REC != 0
    }

    /// What to make of the mount, and of those below it.
    pub(super) fn attributes(self) -> MountAttributes {
        let has = |flag| self.flags & flag != 0;
        let set = ATTRIBUTES.iter().filter(|(flag, _)| has(*flag)).fold(0, |set, (_, attribute)| set | attribute);
        let atime = if has(libc::MS_NOATIME) {
            Some(libc::MOUNT_ATTR_NOATIME)
        } else if has(libc::MS_STRICTATIME) {
            Some(libc::MOUNT_ATTR_STRICTATIME)
        } else if has(libc::MS_RELATIME) {
            Some(libc::MOUNT_ATTR_RELATIME)
        } else {
            None
        };
        let clear = if atime.is_some() { libc::MOUNT_ATTR__ATIME } else { 0 };
        MountAttributes { set: set | atime.unwrap_or(0), clear, propagation: 0 }
    }

    /// How changes of mounts spread, and whether that is said of those below too; none if nothing is said.
    pub(super) fn propagates(self) -> Option<(bool, MountAttributes)> {
        let attributes = MountAttributes { propagation: self.propagation, ..MountAttributes::default() };
        (self.propagation != 0).then_some((self.propagation_recursive, attributes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_understood() {
        let options = Options::parse(["rbind", "ro", "nosuid", "suid", "mode=755", "noatime", "rslave"]);
        assert_eq!(options.flags(), 0x1000 | 0x4000 | 1 | 0x400);
        assert!(options.is_recursive());
        let attributes = options.attributes();
        assert_eq!((attributes.set, attributes.clear), (0x1 | 0x10, 0x70));
        let (recursive, attributes) = options.propagates().unwrap();
        assert!(recursive);
        assert_eq!(attributes.propagation, libc::MS_SLAVE);
    }

    #[test]
    fn nothing_said_is_nothing_changed() {
        let options = Options::parse(["defaults"]);
        assert_eq!(options.attributes(), MountAttributes::default());
        assert_eq!((options.propagates(), options.flags(), options.is_recursive()), (None, 0x1000, false));
        assert_eq!(options.read_only().attributes().set, 1);
        assert!(Options::parse(["ro", "rw"]).attributes().set == 0);
    }
}
