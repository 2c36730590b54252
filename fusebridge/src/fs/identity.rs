//! Which files are the same file, and by which number the kernel knows them.

use std::collections::HashMap;

use lisafs::wire::Statx;

/// A file's device and inode number: two names with equal identities are hard links of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Major and minor number of the device.
    pub dev: (u32, u32),
    /// Inode number.
    pub ino: u64,
}

impl Identity {
    /// The identity in `stat`.
    pub fn of(stat: &Statx) -> Self {
        Identity { dev: (stat.dev_major, stat.dev_minor), ino: stat.ino }
    }
}

/// A file, as the kernel names it. Also the inode number that applications see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The root of the mount, whose number FUSE prescribes.
    pub const ROOT: NodeId = NodeId(1);
}

/// Gives each identity one number, the same one as long as the mount lives.
///
/// Files on the root's device keep their inode numbers, so that tools which remember them (git, backup programs) go on
/// working over a remount. The root itself must be 1 and swaps with the file that has that number. Files of other
/// devices get their device's position in the upper bits, since one mount shows one device.
#[derive(Debug)]
pub struct Numbering {
    root: Identity,
    devices: HashMap<(u32, u32), u64>,
    large: HashMap<Identity, u64>,
}

/// Inode numbers from here on cannot carry a device.
const LARGE: u64 = 1 << 48;

impl Numbering {
    /// The numbering of a mount whose root is `root`.
    pub fn new(root: Identity) -> Self {
        Numbering { root, devices: HashMap::new(), large: HashMap::new() }
    }

    /// The number of `identity`.
    pub fn number(&mut self, identity: Identity) -> NodeId {
        if identity == self.root {
            return NodeId::ROOT;
        }
        if identity.dev == self.root.dev && identity.ino < LARGE {
            // Zero would say "no such file".
            return match identity.ino {
                0 | 1 => NodeId(if self.root.ino > 1 && identity.ino == 1 { self.root.ino } else { LARGE - 1 }),
                ino => NodeId(ino),
            };
        }
        if identity.ino < LARGE {
            let next = self.devices.len() as u64 + 1;
            let device = *self.devices.entry(identity.dev).or_insert(next);
            if device < 0x7fff {
                return NodeId(device << 48 | identity.ino);
            }
        }
        let next = 1 << 63 | self.large.len() as u64;
        NodeId(*self.large.entry(identity).or_insert(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_stable() {
        let file = |minor, ino| Identity { dev: (8, minor), ino };
        let mut numbering = Numbering::new(file(1, 500));
        assert_eq!(numbering.number(file(1, 500)), NodeId::ROOT);
        assert_eq!(numbering.number(file(1, 1)), NodeId(500));
        assert_eq!(numbering.number(file(1, 7)), NodeId(7));
        let others = [file(2, 7), file(3, 7), file(2, 500), file(1, 1 << 60), file(2, 1 << 60)];
        let numbers: Vec<_> = others.iter().map(|other| numbering.number(*other)).collect();
        let again: Vec<_> = others.iter().map(|other| numbering.number(*other)).collect();
        assert_eq!(numbers, again);
        let unique: std::collections::HashSet<_> =
            numbers.into_iter().chain([NodeId(7), NodeId(500), NodeId::ROOT]).collect();
        assert_eq!(unique.len(), others.len() + 3);
    }
}
