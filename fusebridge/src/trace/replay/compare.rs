//! What is different between two answers to the same request.

use lisafs::wire::message::{
    BindAtResp, FGetXattrResp, FListXattrResp, FStatFsResp, LinkAtResp, MkdirAtResp, MknodAtResp, MountResp,
    OpenCreateAtResp, PReadHead, PReadResp, PWriteResp, ReadLinkAtResp, SetStatResp, SymlinkAtResp, WalkResp,
    WalkStatResp,
};
use lisafs::wire::{Malformed, MessageId, MessageSet, Statx, Wire};

use super::super::describe::words::{errno_name, quoted, shown};

/// What makes a difference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    /// Report also what is naturally different between two file systems: inode numbers, devices, times, blocks, sizes
    /// of directories, their order, statistics of the file system, whether descriptors are donated.
    pub(super) strict: bool,
}

/// The differences found so far, each in words.
#[derive(Debug, Default)]
pub(super) struct Found(pub(super) Vec<String>);

impl Found {
    pub(super) fn check<T: PartialEq>(&mut self, what: &str, recorded: T, now: T, show: impl Fn(T) -> String) {
        if recorded != now {
            self.0.push(format!("{what} was {}, is {}", show(recorded), show(now)));
        }
    }

    fn number<T: PartialEq + ToString>(&mut self, what: &str, recorded: T, now: T) {
        self.check(what, recorded, now, |number| number.to_string());
    }
}

impl Comparison {
    /// The differences between two answers to a request of the kind `message`. Listings of directories are compared
    /// [elsewhere](super::listing), since they may be divided in other ways.
    pub(super) fn answers(self, message: MessageId, recorded: &[u8], now: &[u8]) -> Result<Vec<String>, Malformed> {
        let mut found = Found::default();
        match message {
            MessageId::FSTAT => self.stats(&mut found, "", Statx::from_bytes(recorded)?, Statx::from_bytes(now)?),
            MessageId::SET_STAT => {
                let (recorded, now) = (SetStatResp::from_bytes(recorded)?, SetStatResp::from_bytes(now)?);
                found.check("what could not be set", recorded.failure_mask.bits(), now.failure_mask.bits(), |mask| {
                    format!("{mask:#x}")
                });
                if !recorded.failure_mask.is_empty() && !now.failure_mask.is_empty() {
                    found.check("the errno", recorded.failure_errno, now.failure_errno, errno_name);
                }
            }
            MessageId::WALK => {
                let (recorded, now) = (WalkResp::from_bytes(recorded)?, WalkResp::from_bytes(now)?);
                found.check("the walk", recorded.status, now.status, |status| walk_status(status).to_owned());
                found.number("the number of files", recorded.inodes.len(), now.inodes.len());
                for (at, (recorded, now)) in recorded.inodes.iter().zip(now.inodes.iter()).enumerate() {
                    self.stats(&mut found, &nth(at), recorded.stat, now.stat);
                }
            }
            MessageId::WALK_STAT => {
                let (recorded, now) = (WalkStatResp::from_bytes(recorded)?, WalkStatResp::from_bytes(now)?);
                found.number("the number of files", recorded.stats.len(), now.stats.len());
                for (at, (recorded, now)) in recorded.stats.iter().zip(now.stats.iter()).enumerate() {
                    self.stats(&mut found, &nth(at), recorded, now);
                }
            }
            MessageId::OPEN_CREATE_AT => {
                let (recorded, now) = (OpenCreateAtResp::from_bytes(recorded)?, OpenCreateAtResp::from_bytes(now)?);
                self.stats(&mut found, "", recorded.child.stat, now.child.stat);
            }
            MessageId::MKDIR_AT => {
                let (recorded, now) = (MkdirAtResp::from_bytes(recorded)?, MkdirAtResp::from_bytes(now)?);
                self.stats(&mut found, "", recorded.child.stat, now.child.stat);
            }
            MessageId::MKNOD_AT => {
                let (recorded, now) = (MknodAtResp::from_bytes(recorded)?, MknodAtResp::from_bytes(now)?);
                self.stats(&mut found, "", recorded.child.stat, now.child.stat);
            }
            MessageId::SYMLINK_AT => {
                let (recorded, now) = (SymlinkAtResp::from_bytes(recorded)?, SymlinkAtResp::from_bytes(now)?);
                self.stats(&mut found, "", recorded.symlink.stat, now.symlink.stat);
            }
            MessageId::LINK_AT => {
                let (recorded, now) = (LinkAtResp::from_bytes(recorded)?, LinkAtResp::from_bytes(now)?);
                self.stats(&mut found, "", recorded.link.stat, now.link.stat);
            }
            MessageId::BIND_AT => {
                let (recorded, now) = (BindAtResp::from_bytes(recorded)?, BindAtResp::from_bytes(now)?);
                self.stats(&mut found, "", recorded.child.stat, now.child.stat);
            }
            MessageId::PWRITE => {
                let (recorded, now) = (PWriteResp::from_bytes(recorded)?, PWriteResp::from_bytes(now)?);
                found.number("the number of bytes", recorded.count, now.count);
            }
            MessageId::PREAD => read(&mut found, recorded, now)?,
            MessageId::READ_LINK_AT => {
                let (recorded, now) = (ReadLinkAtResp::from_bytes(recorded)?, ReadLinkAtResp::from_bytes(now)?);
                found.check("the target", recorded.target, now.target, quoted);
            }
            MessageId::FGET_XATTR => {
                let (recorded, now) = (FGetXattrResp::from_bytes(recorded)?, FGetXattrResp::from_bytes(now)?);
                found.check("the value", recorded.value, now.value, quoted);
            }
            MessageId::FLIST_XATTR => {
                let (recorded, now) = (FListXattrResp::from_bytes(recorded)?, FListXattrResp::from_bytes(now)?);
                let names = |answer: FListXattrResp<'_>| answer.names.iter().map(<[u8]>::to_vec).collect();
                found.0.extend(name_differences(names(recorded), names(now)));
            }
            MessageId::FSTATFS if self.strict => {
                let (recorded, now) = (FStatFsResp::from_bytes(recorded)?, FStatFsResp::from_bytes(now)?);
                found.check("the file system", recorded.stat, now.stat, |stat| format!("{stat:?}"));
            }
            _ => {}
        }
        Ok(found.0)
    }

    /// The differences between two mounts: of their roots, and in what they support.
    pub(super) fn mounts(
        self,
        recorded: &MountResp<'_>,
        root: Statx,
        supports: impl Fn(MessageId) -> bool,
    ) -> Vec<String> {
        let mut found = Found::default();
        self.stats(&mut found, "", recorded.root.stat, root);
        let before = MessageSet::of(recorded.supported.iter().map(MessageId));
        for message in MessageId::ALL.iter().chain(MessageId::PRIVATE) {
            match (before.contains(*message), supports(*message)) {
                (true, false) => found.0.push(format!("{message:?} is no longer supported")),
                (false, true) if self.strict => found.0.push(format!("{message:?} is supported, and was not")),
                _ => {}
            }
        }
        found.0
    }
}

/// What was read: how much, and if the recorded answer has all of it, what.
fn read(found: &mut Found, recorded: &[u8], now: &[u8]) -> Result<(), Malformed> {
    let now = PReadResp::from_bytes(now)?.data;
    let count = PReadHead::from_bytes(recorded)?.count;
    found.number("the number of bytes", count, now.len() as u64);
    if let Ok(PReadResp { data }) = PReadResp::from_bytes(recorded)
        && let Some(at) = data.iter().zip(now).position(|(recorded, now)| recorded != now)
    {
        found.0.push(format!("byte {at} of the data was {:#04x}, is {:#04x}", data[at], now[at]));
    }
    Ok(())
}

/// Which names are missing, and which are there in addition. Their order does not matter.
pub(super) fn name_differences(mut recorded: Vec<Vec<u8>>, mut now: Vec<Vec<u8>>) -> Vec<String> {
    recorded.sort_unstable();
    now.sort_unstable();
    let only_in = |some: &[Vec<u8>], others: &[Vec<u8>], what: &str| {
        const MOST: usize = 5;
        let names: Vec<&Vec<u8>> = some.iter().filter(|name| others.binary_search(name).is_err()).collect();
        let first: Vec<String> = names.iter().take(MOST).map(|name| shown(name)).collect();
        let more = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
        (!names.is_empty()).then(|| format!("{what}: {}{more}", first.join(", ")))
    };
    let missing = only_in(&recorded, &now, "missing");
    let added = only_in(&now, &recorded, "in addition");
    let mut found: Vec<String> = missing.into_iter().chain(added).collect();
    if found.is_empty() && recorded.len() != now.len() {
        found.push(format!(
            "the number of names was {}, is {}: some are there more than once",
            recorded.len(),
            now.len()
        ));
    }
    found
}

fn nth(at: usize) -> String {
    if at == 0 { String::new() } else { format!("file {}: ", at + 1) }
}

fn walk_status(status: u8) -> &'static str {
    match status {
        0 => "complete",
        1 => "stopped at a name that does not exist",
        2 => "stopped at a symlink",
        _ => "nonsense",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use lisafs::wire::StatxMask;

    use super::*;

    pub(in super::super) const LOOSE: Comparison = Comparison { strict: false };
    pub(in super::super) const STRICT: Comparison = Comparison { strict: true };

    pub(in super::super) fn file() -> Statx {
        Statx {
            mask: StatxMask::BASIC_STATS,
            mode: 0o100_644,
            nlink: 1,
            size: 5,
            ino: 7,
            blocks: 8,
            ..Statx::default()
        }
    }

    fn bytes<'a>(message: &impl Wire<'a>) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn data_is_compared_if_it_was_recorded() {
        let head = |count| bytes(&PReadHead { count });
        let with = |data: &[u8]| bytes(&PReadResp { data });
        let compare = |recorded: &[u8], now: &[u8]| LOOSE.answers(MessageId::PREAD, recorded, now).unwrap();
        assert_eq!(compare(&head(5), &with(b"hello")), [""; 0]);
        assert_eq!(compare(&head(5), &with(b"hell")), ["the number of bytes was 5, is 4"]);
        assert_eq!(compare(&with(b"hello"), &with(b"hello")), [""; 0]);
        assert_eq!(compare(&with(b"hello"), &with(b"help!")), ["byte 3 of the data was 0x6c, is 0x70"]);
        assert!(LOOSE.answers(MessageId::PREAD, &head(5), &head(5)).is_err(), "cut off");
    }

    #[test]
    fn names_are_compared_without_order() {
        let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(name_differences(names(&["a", "b"]), names(&["b", "a"])), [""; 0]);
        assert_eq!(name_differences(names(&["a", "b"]), names(&["c", "b"])), ["missing: a", "in addition: c"]);
        let many = names(&["1", "2", "3", "4", "5", "6", "7"]);
        assert_eq!(name_differences(many, names(&[])), ["missing: 1, 2, 3, 4, 5 and 2 more"]);
        assert_eq!(name_differences(names(&["a"]), names(&["a", "a"])).len(), 1);
    }

    #[test]
    fn walks_that_end_elsewhere_differ() {
        use lisafs::wire::{Array, FdId, Inode};
        let inodes = [Inode { control_fd: FdId(3), stat: file() }];
        let one = bytes(&WalkResp { status: 0, inodes: Array::new(&inodes).unwrap() });
        let none = bytes(&WalkResp { status: 1, inodes: Array::new(&[]).unwrap() });
        assert_eq!(
            LOOSE.answers(MessageId::WALK, &one, &none).unwrap(),
            ["the walk was complete, is stopped at a name that does not exist", "the number of files was 1, is 0"]
        );
        let other_fd = [Inode { control_fd: FdId(9), stat: file() }];
        let other = bytes(&WalkResp { status: 0, inodes: Array::new(&other_fd).unwrap() });
        assert_eq!(STRICT.answers(MessageId::WALK, &one, &other).unwrap(), [""; 0], "FDs are the connection's own");
    }
}
