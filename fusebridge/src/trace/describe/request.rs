//! Requests in words.

use lisafs::wire::message::{
    BindAtReq, ConnectReq, ConnectWithCredsReq, FAllocateReq, FGetXattrReq, FListXattrReq, FRemoveXattrReq,
    FSetXattrReq, Getdents64Req, LSeekReq, ListenReq, MkdirAtReq, MknodAtReq, OpenAtReq, OpenCreateAtReq, PReadReq,
    PWriteHead, RenameAt2Req, SetStatReq, SymlinkAtReq, UnlinkAtReq,
};
use lisafs::wire::{CreateCommon, Malformed, MessageId, StatxMask, Wire};

use super::words::{bits, file_type, id, open_flags, quoted, shown, stat_mask, time_to_set};
use crate::trace::paths::Paths;
use crate::trace::target::{Target, targets};

/// The request `bytes` of the kind `message`.
pub(super) fn request(message: MessageId, bytes: &[u8], paths: &Paths) -> Result<String, Malformed> {
    let targets: Vec<String> = targets(message, bytes)?.iter().map(|target| self::target(target, paths)).collect();
    let separator = match message {
        MessageId::RENAME_AT | MessageId::RENAME_AT2 | MessageId::LINK_AT => " to ",
        _ => ", ",
    };
    let mut text = targets.join(separator);
    let details = details(message, bytes)?;
    if !details.is_empty() {
        text.push(' ');
        text.push_str(&details);
    }
    Ok(text)
}

/// A path with the FDID behind that part of it for which the FDID stands.
fn target(target: &Target<'_>, paths: &Paths) -> String {
    let (Target::Fd(fd) | Target::Entry(fd, _) | Target::Walk(fd, _)) = target;
    let of_fd = paths.path_of_fd(*fd);
    let gone = if of_fd.is_gone { " (removed)" } else { "" };
    let mut text = format!("{}[{}]{gone}", shown(&of_fd.path), fd.0);
    let mut add = |name: &[u8]| {
        text.push('/');
        text.push_str(&shown(name));
    };
    match target {
        Target::Fd(_) => {}
        Target::Entry(_, name) => add(name),
        Target::Walk(_, names) => names.iter().for_each(add),
    }
    text
}

/// What else is in the request.
fn details(message: MessageId, bytes: &[u8]) -> Result<String, Malformed> {
    Ok(match message {
        MessageId::SET_STAT => set_stat(&SetStatReq::from_bytes(bytes)?),
        MessageId::OPEN_AT => open_flags(OpenAtReq::from_bytes(bytes)?.flags),
        MessageId::OPEN_CREATE_AT => {
            let request = OpenCreateAtReq::from_bytes(bytes)?;
            format!("{} {}", open_flags(request.flags), new_file(&request.common))
        }
        MessageId::PWRITE => {
            let head = PWriteHead::from_bytes(bytes)?;
            format!("{} bytes at {}", head.count, head.offset)
        }
        MessageId::PREAD => {
            let request = PReadReq::from_bytes(bytes)?;
            format!("{} bytes at {}", request.count, request.offset)
        }
        MessageId::MKDIR_AT => new_file(&MkdirAtReq::from_bytes(bytes)?.common),
        MessageId::MKNOD_AT => {
            let request = MknodAtReq::from_bytes(bytes)?;
            let kind = file_type(request.common.mode.into());
            format!("{kind} {} rdev={}:{}", new_file(&request.common), request.major, request.minor)
        }
        MessageId::SYMLINK_AT => {
            let request = SymlinkAtReq::from_bytes(bytes)?;
            format!("leading to {} {}:{}", quoted(request.target), id(request.uid), id(request.gid))
        }
        MessageId::FALLOCATE => {
            const NAMES: [(u64, &str); 6] = [
                (1, "KEEP_SIZE"),
                (2, "PUNCH_HOLE"),
                (8, "COLLAPSE_RANGE"),
                (16, "ZERO_RANGE"),
                (32, "INSERT_RANGE"),
                (64, "UNSHARE_RANGE"),
            ];
            let request = FAllocateReq::from_bytes(bytes)?;
            let mode = if request.mode == 0 { String::new() } else { format!(" {}", bits(request.mode, &NAMES)) };
            format!("{} bytes at {}{mode}", request.length, request.offset)
        }
        MessageId::LSEEK => {
            let request = LSeekReq::from_bytes(bytes)?;
            let what = match request.whence.cast_signed() {
                libc::SEEK_DATA => "data".to_owned(),
                libc::SEEK_HOLE => "a hole".to_owned(),
                other => format!("whence {other}"),
            };
            format!("{what} from {}", request.offset)
        }
        MessageId::UNLINK_AT => match UnlinkAtReq::from_bytes(bytes)?.flags {
            0 => String::new(),
            flags => bits(flags.into(), &[(libc::AT_REMOVEDIR.unsigned_abs().into(), "AT_REMOVEDIR")]),
        },
        MessageId::RENAME_AT2 => {
            const NAMES: [(u64, &str); 3] = [(1, "RENAME_NOREPLACE"), (2, "RENAME_EXCHANGE"), (4, "RENAME_WHITEOUT")];
            bits(RenameAt2Req::from_bytes(bytes)?.flags.into(), &NAMES)
        }
        MessageId::GETDENTS64 => match Getdents64Req::from_bytes(bytes)?.count {
            count if count < 0 => format!("{} bytes, from the start", count.unsigned_abs()),
            count => format!("{count} bytes"),
        },
        MessageId::FGET_XATTR => {
            let request = FGetXattrReq::from_bytes(bytes)?;
            format!("{}{}", quoted(request.name), up_to(request.buf_size.into()))
        }
        MessageId::FSET_XATTR => {
            let request = FSetXattrReq::from_bytes(bytes)?;
            let flags = match request.flags {
                0 => String::new(),
                flags => format!(" {}", bits(flags.into(), &[(1, "XATTR_CREATE"), (2, "XATTR_REPLACE")])),
            };
            format!("{} = {}{flags}", quoted(request.name), quoted(request.value))
        }
        MessageId::FLIST_XATTR => up_to(FListXattrReq::from_bytes(bytes)?.size).trim_start().to_owned(),
        MessageId::FREMOVE_XATTR => quoted(FRemoveXattrReq::from_bytes(bytes)?.name),
        MessageId::BIND_AT => {
            let request = BindAtReq::from_bytes(bytes)?;
            format!("{} {}", socket_type(request.sock_type), new_file(&request.common))
        }
        MessageId::LISTEN => format!("backlog {}", ListenReq::from_bytes(bytes)?.backlog),
        MessageId::CONNECT => socket_type(ConnectReq::from_bytes(bytes)?.sock_type),
        MessageId::CONNECT_WITH_CREDS => {
            let request = ConnectWithCredsReq::from_bytes(bytes)?;
            format!("{} as {}:{}", socket_type(request.sock_type), id(request.uid), id(request.gid))
        }
        _ if message.name().is_none() => format!("{} bytes", bytes.len()),
        _ => String::new(),
    })
}

fn set_stat(request: &SetStatReq) -> String {
    let mut changes = Vec::new();
    let mut add = |bit: StatxMask, change: String| {
        if request.mask.contains(bit) {
            changes.push(change);
        }
    };
    add(StatxMask::MODE, format!("mode={:04o}", request.mode & 0o7777));
    add(StatxMask::UID, format!("uid={}", id(request.uid)));
    add(StatxMask::GID, format!("gid={}", id(request.gid)));
    add(StatxMask::SIZE, format!("size={}", request.size));
    add(StatxMask::ATIME, format!("atime={}", time_to_set(&request.atime)));
    add(StatxMask::MTIME, format!("mtime={}", time_to_set(&request.mtime)));
    let known =
        StatxMask::MODE | StatxMask::UID | StatxMask::GID | StatxMask::SIZE | StatxMask::ATIME | StatxMask::MTIME;
    if !known.contains(request.mask) || request.mask.is_empty() {
        changes.push(format!("mask={}", stat_mask(request.mask)));
    }
    changes.join(" ")
}

fn new_file(common: &CreateCommon) -> String {
    let masked = match common.masked {
        0 => String::new(),
        masked => format!(" (masked {masked:03o})"),
    };
    format!("{:04o}{masked} {}:{}", common.mode & 0o7777, id(common.uid), id(common.gid))
}

fn up_to(size: u64) -> String {
    if size == 0 { String::new() } else { format!(" up to {size} bytes") }
}

fn socket_type(kind: u32) -> String {
    match i32::try_from(kind) {
        Ok(0) => "any type".to_owned(),
        Ok(libc::SOCK_STREAM) => "SOCK_STREAM".to_owned(),
        Ok(libc::SOCK_DGRAM) => "SOCK_DGRAM".to_owned(),
        Ok(libc::SOCK_SEQPACKET) => "SOCK_SEQPACKET".to_owned(),
        _ => format!("type {kind}"),
    }
}
