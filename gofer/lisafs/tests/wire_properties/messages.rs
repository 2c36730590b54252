//! Requests and responses, all of them.

use lisafs::wire::message::*;
use lisafs::wire::{Message, MessageId, Statx, StatxMask};
use proptest::prelude::*;

use crate::check::{damage, encoded, noise, round_trip, survives};
use crate::generate::*;

/// Generates one test for each message, and the list `$listed` of what they are.
macro_rules! messages {
    ($listed:ident: $($test:ident $message:ident { $($field:ident: $strategy:expr),* $(,)? })*) => {
        const $listed: &[MessageId] = &[$(<$message as Message>::ID),*];

        proptest! {$(
            #[test]
            fn $test($($field in $strategy,)* damage in damage(), noise in noise()) {
                let message = $message { $($field: $field.view()),* };
                let bytes = encoded(&message);
                round_trip(&message, &bytes, damage.at)?;
                survives::<$message>(&damage.apply(&bytes))?;
                survives::<$message>(&noise)?;

                let with_trailing = [&bytes, &noise[..]].concat();
                prop_assert_eq!(<$message as lisafs::wire::Wire>::from_bytes(&with_trailing), Ok(message));
            }
        )*}
    };
}

messages! { REQUESTS:
    mount_req MountReq {}
    channel_req ChannelReq {}
    fstat_req FStatReq { fd: fd() }
    set_stat_req SetStatReq {
        fd: fd(),
        mask: any::<u32>().prop_map(StatxMask::from_bits_retain),
        mode: any::<u32>(),
        uid: any::<u32>(),
        gid: any::<u32>(),
        size: any::<u64>(),
        atime: timespec(),
        mtime: timespec(),
    }
    walk_req WalkReq { dir: fd(), path: strings() }
    walk_stat_req WalkStatReq { dir: fd(), path: strings() }
    open_at_req OpenAtReq { fd: fd(), flags: any::<u32>(), pad: pad() }
    open_create_at_req OpenCreateAtReq { common: common(), flags: any::<u32>(), name: string() }
    close_req CloseReq { fds: several(fd()) }
    fsync_req FSyncReq { fds: several(fd()) }
    pwrite_req PWriteReq { offset: any::<u64>(), fd: fd(), data: string() }
    pread_req PReadReq { offset: any::<u64>(), fd: fd(), count: any::<u32>(), pad: pad() }
    mkdir_at_req MkdirAtReq { common: common(), name: string() }
    mknod_at_req MknodAtReq { common: common(), minor: any::<u32>(), major: any::<u32>(), name: string() }
    symlink_at_req SymlinkAtReq {
        dir: fd(),
        uid: any::<u32>(),
        gid: any::<u32>(),
        name: string(),
        target: string(),
    }
    link_at_req LinkAtReq { dir: fd(), target: fd(), name: string() }
    fstatfs_req FStatFsReq { fd: fd() }
    fallocate_req FAllocateReq { fd: fd(), mode: any::<u64>(), offset: any::<u64>(), length: any::<u64>() }
    read_link_at_req ReadLinkAtReq { fd: fd() }
    flush_req FlushReq { fd: fd() }
    connect_req ConnectReq { fd: fd(), sock_type: any::<u32>(), pad: pad() }
    unlink_at_req UnlinkAtReq { dir: fd(), flags: any::<u32>(), name: string() }
    rename_at_req RenameAtReq { old_dir: fd(), new_dir: fd(), old_name: string(), new_name: string() }
    getdents64_req Getdents64Req { dir: fd(), count: any::<i32>(), pad: pad() }
    fget_xattr_req FGetXattrReq { fd: fd(), buf_size: any::<u32>(), name: string() }
    fset_xattr_req FSetXattrReq { fd: fd(), flags: any::<u32>(), name: string(), value: string() }
    flist_xattr_req FListXattrReq { fd: fd(), size: any::<u64>() }
    fremove_xattr_req FRemoveXattrReq { fd: fd(), name: string() }
    bind_at_req BindAtReq { common: common(), sock_type: any::<u32>(), name: string() }
    listen_req ListenReq { fd: fd(), backlog: any::<i32>(), pad: pad() }
    accept_req AcceptReq { fd: fd() }
    connect_with_creds_req ConnectWithCredsReq {
        fd: fd(),
        sock_type: any::<u32>(),
        pad: pad(),
        uid: any::<u32>(),
        gid: any::<u32>(),
    }
    rename_at2_req RenameAt2Req {
        old_dir: fd(),
        new_dir: fd(),
        old_name: string(),
        new_name: string(),
        flags: any::<u32>(),
    }
    lseek_req LSeekReq { fd: fd(), offset: any::<u64>(), whence: any::<u32>(), pad: pad() }
}

messages! { RESPONSES:
    error_resp ErrorResp { errno: any::<u32>() }
    mount_resp MountResp { root: inode(), max_message_size: any::<u32>(), supported: several(any::<u16>()) }
    channel_resp ChannelResp { data_offset: any::<i64>(), data_length: any::<u64>() }
    set_stat_resp SetStatResp { failure_mask: any::<u32>().prop_map(StatxMask::from_bits_retain), failure_errno: any::<u32>() }
    walk_resp WalkResp { status: any::<u8>(), inodes: several(inode()) }
    walk_stat_resp WalkStatResp { stats: several(statx()) }
    open_at_resp OpenAtResp { open_fd: fd() }
    open_create_at_resp OpenCreateAtResp { child: inode(), open_fd: fd() }
    close_resp CloseResp {}
    fsync_resp FSyncResp {}
    pwrite_resp PWriteResp { count: any::<u64>() }
    pread_resp PReadResp { data: string() }
    mkdir_at_resp MkdirAtResp { child: inode() }
    mknod_at_resp MknodAtResp { child: inode() }
    symlink_at_resp SymlinkAtResp { symlink: inode() }
    link_at_resp LinkAtResp { link: inode() }
    fstatfs_resp FStatFsResp { stat: statfs() }
    fallocate_resp FAllocateResp {}
    read_link_at_resp ReadLinkAtResp { target: string() }
    flush_resp FlushResp {}
    connect_resp ConnectResp {}
    unlink_at_resp UnlinkAtResp {}
    rename_at_resp RenameAtResp {}
    getdents64_resp Getdents64Resp { dirents: listing() }
    fget_xattr_resp FGetXattrResp { value: string() }
    fset_xattr_resp FSetXattrResp {}
    flist_xattr_resp FListXattrResp { names: strings() }
    fremove_xattr_resp FRemoveXattrResp {}
    bind_at_resp BindAtResp { child: inode(), bound_socket_fd: fd() }
    listen_resp ListenResp {}
    accept_resp AcceptResp { peer_addr: string() }
    connect_with_creds_resp ConnectWithCredsResp {}
    rename_at2_resp RenameAt2Resp {}
    lseek_resp LSeekResp { offset: any::<u64>() }
}

#[test]
fn no_message_is_missing() {
    assert_eq!(REQUESTS, [&MessageId::ALL[1..], MessageId::PRIVATE].concat(), "Error is never a request");
    // The answer to FStat is a part of other messages, and tested there.
    assert_eq!(Statx::ID, MessageId::FSTAT);
    let with_statx: Vec<MessageId> = [&RESPONSES[..3], &[Statx::ID], &RESPONSES[3..]].concat();
    assert_eq!(with_statx, [MessageId::ALL, MessageId::PRIVATE].concat());
}

// The heads are what the hot path decodes and encodes, with the data left where it is.
messages! { HEADS:
    pwrite_head PWriteHead { offset: any::<u64>(), fd: fd(), count: any::<u32>() }
    pread_head PReadHead { count: any::<u64>() }
}

proptest! {
    #[test]
    fn a_head_and_its_data_make_a_message(offset: u64, fd in fd(), data in string()) {
        let count = u32::try_from(data.len()).unwrap();
        let head = encoded(&PWriteHead { offset, fd, count });
        let whole = encoded(&PWriteReq { offset, fd, data: &data });
        prop_assert_eq!(head.len(), PWriteHead::SIZE);
        prop_assert!([&head, &data[..]].concat() == whole);

        let head = encoded(&PReadHead { count: count.into() });
        let whole = encoded(&PReadResp { data: &data });
        prop_assert_eq!(head.len(), PReadHead::SIZE);
        prop_assert!([&head, &data[..]].concat() == whole);
    }
}

#[test]
fn heads_belong_to_reading_and_writing() {
    assert_eq!(HEADS, [MessageId::PWRITE, MessageId::PREAD]);
}
