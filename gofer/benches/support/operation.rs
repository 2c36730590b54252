//! The operations that are measured.

use lisafs::wire::message::*;
use lisafs::wire::{Array, CreateCommon, FdId, NO_ID, Statx, StringArrayBuf};

use super::client::{Client, Over};
use super::files::Files;

/// Something a client does, in one or more round trips, that leaves everything as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// FStat.
    Stat,
    /// Walk by one name, then Close.
    Walk,
    /// OpenAt, then Close.
    Open,
    /// PRead of so many bytes.
    Read(u32),
    /// OpenCreateAt, then UnlinkAt and Close.
    Create,
}

impl Operation {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Operation; 6] = [
        Operation::Stat,
        Operation::Walk,
        Operation::Open,
        Operation::Read(4 << 10),
        Operation::Read(1 << 20),
        Operation::Create,
    ];

    /// The messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Operation::Stat => "FStat",
            Operation::Walk => "Walk, Close",
            Operation::Open => "OpenAt, Close",
            Operation::Read(bytes) if bytes < 1 << 20 => "PRead 4 KiB",
            Operation::Read(_) => "PRead 1 MiB",
            Operation::Create => "OpenCreateAt, UnlinkAt, Close",
        }
    }

    /// How many requests it takes.
    pub(crate) fn round_trips(self) -> u32 {
        match self {
            Operation::Stat | Operation::Read(_) => 1,
            Operation::Walk | Operation::Open => 2,
            Operation::Create => 3,
        }
    }

    /// Walks to the file and opens it, which is not part of any measurement.
    pub(crate) fn prepare(self, client: &mut Client) -> Target {
        let path = StringArrayBuf::collect([Files::NAME.as_bytes()]).expect("a short name");
        let walk = WalkReq { dir: client.root(), path: path.as_array() };
        let reply: WalkResp<'_> = client.call(Over::Socket, &walk);
        let control = reply.inodes.iter().next().expect("the file exists").control_fd;
        let reply: OpenAtResp =
            client.call(Over::Socket, &OpenAtReq { fd: control, flags: 0, pad: Default::default() });
        Target { operation: self, path, control, open: reply.open_fd }
    }
}

/// An operation, and what it is done to.
#[derive(Debug)]
pub(crate) struct Target {
    operation: Operation,
    path: StringArrayBuf,
    control: FdId,
    open: FdId,
}

impl Target {
    /// Does it once.
    pub(crate) fn run(&mut self, client: &mut Client, over: Over) {
        match self.operation {
            Operation::Stat => {
                let stat: Statx = client.call(over, &FStatReq { fd: self.control });
                assert_eq!(stat.size, Files::SIZE as u64);
            }
            Operation::Walk => {
                let walk = WalkReq { dir: client.root(), path: self.path.as_array() };
                let reply: WalkResp<'_> = client.call(over, &walk);
                let walked = reply.inodes.iter().next().expect("the file exists").control_fd;
                close(client, over, &[walked]);
            }
            Operation::Open => {
                let request = OpenAtReq { fd: self.control, flags: 0, pad: Default::default() };
                let reply: OpenAtResp = client.call(over, &request);
                close(client, over, &[reply.open_fd]);
            }
            Operation::Read(count) => {
                let request = PReadReq { offset: 0, fd: self.open, count, pad: Default::default() };
                assert_eq!(client.read(over, &request), u64::from(count));
            }
            Operation::Create => {
                let dir = client.root();
                let name = Files::NEW.as_bytes();
                let common = CreateCommon::new(dir, NO_ID, NO_ID, 0o600);
                let reply: OpenCreateAtResp = client.call(over, &OpenCreateAtReq { common, flags: 1, name });
                let _: UnlinkAtResp = client.call(over, &UnlinkAtReq { dir, flags: 0, name });
                close(client, over, &[reply.open_fd, reply.child.control_fd]);
            }
        }
    }
}

fn close(client: &mut Client, over: Over, fds: &[FdId]) {
    let fds = Array::new(fds).expect("few FDs");
    let _: CloseResp = client.call(over, &CloseReq { fds });
}
