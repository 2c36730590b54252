//! Headers and the parts that messages are made of.

use lisafs::wire::{
    ChannelHeader, CreateCommon, Dirent, FdId, Inode, MessageId, SocketHeader, StatFs, Statx, StatxTimestamp, Timespec,
};
use proptest::prelude::*;

use crate::check::{damage, encoded, noise, round_trip, survives};
use crate::generate::*;

/// Generates one test for each part.
macro_rules! parts {
    ($($test:ident $part:ident $size:expr, $strategy:expr;)*) => {
        proptest! {$(
            #[test]
            fn $test(part in $strategy, damage in damage(), noise in noise()) {
                let bytes = encoded(&part);
                prop_assert_eq!(bytes.len(), $size);
                round_trip(&part, &bytes, damage.at)?;
                survives::<$part>(&damage.apply(&bytes))?;
                survives::<$part>(&noise)?;
            }
        )*}
    };
}

parts! {
    fd_id FdId 8, fd();
    a_statx Statx 144, statx();
    an_inode Inode 152, inode();
    a_statfs StatFs 64, statfs();
    a_timespec Timespec 16, timespec();
    a_timestamp StatxTimestamp 16, (any::<i64>(), any::<u32>()).prop_map(|(sec, nsec)| StatxTimestamp::new(sec, nsec));
    create_common CreateCommon 24, common();
    socket_header SocketHeader 8, (any::<u16>(), any::<u32>())
        .prop_map(|(message, payload_len)| SocketHeader::new(MessageId(message), payload_len));
    channel_header ChannelHeader 4, (any::<u16>(), any::<u8>())
        .prop_map(|(message, num_fds)| ChannelHeader::new(MessageId(message), num_fds));
}

proptest! {
    #[test]
    fn a_dirent(ino: u64, devices: [u32; 2], off: u64, kind: u8, name in string(), damage in damage(), noise in noise()) {
        let [dev_minor, dev_major] = devices;
        let dirent = Dirent { ino, dev_minor, dev_major, off, kind, name: &name };
        let bytes = encoded(&dirent);
        prop_assert_eq!(bytes.len(), dirent.wire_size());
        round_trip(&dirent, &bytes, damage.at)?;
        survives::<Dirent<'_>>(&damage.apply(&bytes))?;
        survives::<Dirent<'_>>(&noise)?;
    }
}
