//! Answers in words.

use std::fmt::Write as _;

use lisafs::wire::message::{
    AcceptResp, BindAtResp, ChannelResp, FGetXattrResp, FListXattrResp, FStatFsResp, Getdents64Resp, LSeekResp,
    LinkAtResp, MkdirAtResp, MknodAtResp, MountResp, OpenAtResp, OpenCreateAtResp, PReadHead, PWriteResp,
    ReadLinkAtResp, SetStatResp, SymlinkAtResp, WalkResp, WalkStatResp,
};
use lisafs::wire::{Inode, Malformed, MessageId, Statx, WalkStatus, Wire};

use super::words::{dirent_type, errno_text, quoted, shown, stat, stat_mask};
use crate::trace::reader::{Answer, Record};

/// Most entries and names that are shown of one answer.
const MOST_NAMES: usize = 20;

/// What became of the request of `record`.
pub(super) fn outcome(record: &Record<'_>) -> Result<String, Malformed> {
    let mut text = match record.outcome {
        Answer::Refused(errno) => errno_text(errno),
        Answer::Unanswered(why) => why.to_string(),
        Answer::Answered(bytes) => answer(record.message, bytes)?,
    };
    if record.donated > 0 {
        let _ = write!(text, ", donated: {}", donated(record));
    }
    Ok(text)
}

/// What the descriptors are that came with the answer, as the protocol has it.
fn donated(record: &Record<'_>) -> String {
    let usual = match record.message {
        MessageId::MOUNT => "the root",
        MessageId::CHANNEL => "memory, socket",
        MessageId::OPEN_AT | MessageId::OPEN_CREATE_AT => "the open file",
        MessageId::CONNECT | MessageId::CONNECT_WITH_CREDS | MessageId::ACCEPT | MessageId::BIND_AT => "the socket",
        _ => "",
    };
    let expected = if record.message == MessageId::CHANNEL { 2 } else { 1 };
    if !usual.is_empty() && record.donated == expected {
        return usual.to_owned();
    }
    format!("{} descriptors", record.donated)
}

fn answer(message: MessageId, bytes: &[u8]) -> Result<String, Malformed> {
    Ok(match message {
        MessageId::MOUNT => {
            let answer = MountResp::from_bytes(bytes)?;
            let messages = answer.supported.len();
            format!("{}, {messages} messages, of up to {} bytes", inode(&answer.root), answer.max_message_size)
        }
        MessageId::CHANNEL => {
            let answer = ChannelResp::from_bytes(bytes)?;
            format!("{} bytes at {}", answer.data_length, answer.data_offset)
        }
        MessageId::FSTAT => stat(&Statx::from_bytes(bytes)?),
        MessageId::SET_STAT => {
            let answer = SetStatResp::from_bytes(bytes)?;
            if answer.failure_mask.is_empty() {
                return Ok("done".to_owned());
            }
            format!("{}; not set: {}", errno_text(answer.failure_errno), stat_mask(answer.failure_mask))
        }
        MessageId::WALK => {
            let answer = WalkResp::from_bytes(bytes)?;
            let files: Vec<String> = answer.inodes.iter().map(|found| inode(&found)).collect();
            walked(files, WalkStatus::try_from(answer.status)?)
        }
        MessageId::WALK_STAT => {
            let stats: Vec<String> = WalkStatResp::from_bytes(bytes)?.stats.iter().map(|found| stat(&found)).collect();
            walked(stats, WalkStatus::Success)
        }
        MessageId::OPEN_AT => format!("[{}]", OpenAtResp::from_bytes(bytes)?.open_fd.0),
        MessageId::OPEN_CREATE_AT => {
            let answer = OpenCreateAtResp::from_bytes(bytes)?;
            format!("{}, open as [{}]", inode(&answer.child), answer.open_fd.0)
        }
        MessageId::PWRITE => format!("{} bytes", PWriteResp::from_bytes(bytes)?.count),
        MessageId::PREAD => format!("{} bytes", PReadHead::from_bytes(bytes)?.count),
        MessageId::MKDIR_AT => inode(&MkdirAtResp::from_bytes(bytes)?.child),
        MessageId::MKNOD_AT => inode(&MknodAtResp::from_bytes(bytes)?.child),
        MessageId::SYMLINK_AT => inode(&SymlinkAtResp::from_bytes(bytes)?.symlink),
        MessageId::LINK_AT => inode(&LinkAtResp::from_bytes(bytes)?.link),
        MessageId::FSTATFS => {
            let stat = FStatFsResp::from_bytes(bytes)?.stat;
            format!(
                "type={:#x}, {} of {} blocks of {} bytes free, {} of {} inodes free",
                stat.kind, stat.blocks_available, stat.blocks, stat.block_size, stat.files_free, stat.files
            )
        }
        MessageId::READ_LINK_AT => quoted(ReadLinkAtResp::from_bytes(bytes)?.target),
        MessageId::GETDENTS64 => listing(&Getdents64Resp::from_bytes(bytes)?),
        MessageId::FGET_XATTR => quoted(FGetXattrResp::from_bytes(bytes)?.value),
        MessageId::FLIST_XATTR => {
            let names = FListXattrResp::from_bytes(bytes)?.names;
            some(names.len(), names.iter().map(shown), "no names")
        }
        MessageId::BIND_AT => {
            let answer = BindAtResp::from_bytes(bytes)?;
            format!("{}, bound as [{}]", inode(&answer.child), answer.bound_socket_fd.0)
        }
        MessageId::LSEEK => format!("at {}", LSeekResp::from_bytes(bytes)?.offset),
        MessageId::ACCEPT => match AcceptResp::from_bytes(bytes)?.peer_addr {
            [] => "done".to_owned(),
            address => quoted(address),
        },
        _ if message.name().is_none() => format!("{} bytes", bytes.len()),
        _ => "done".to_owned(),
    })
}

fn inode(inode: &Inode) -> String {
    format!("[{}] {}", inode.control_fd.0, stat(&inode.stat))
}

fn walked(mut files: Vec<String>, status: WalkStatus) -> String {
    match status {
        WalkStatus::Success if files.is_empty() => return "nothing".to_owned(),
        WalkStatus::Success => {}
        WalkStatus::DoesNotExist => files.push("does not exist".to_owned()),
        WalkStatus::Symlink => files.push("stopped at the symlink".to_owned()),
    }
    files.join("; ")
}

fn listing(answer: &Getdents64Resp<'_>) -> String {
    let entries = answer.dirents.iter().map(|dirent| match dirent_type(dirent.kind) {
        "file" => shown(dirent.name),
        "directory" => format!("{}/", shown(dirent.name)),
        other => format!("{} ({other})", shown(dirent.name)),
    });
    some(answer.dirents.len(), entries, "the end")
}

/// How many there are, and the first of them.
fn some(count: usize, names: impl Iterator<Item = String>, none: &str) -> String {
    if count == 0 {
        return none.to_owned();
    }
    let names: Vec<String> = names.take(MOST_NAMES).collect();
    let more = if count > MOST_NAMES { ", ..." } else { "" };
    format!("{count}: {}{more}", names.join(", "))
}
