//! The FDs that an answer brings.

use lisafs::wire::message::{
    BindAtResp, LinkAtResp, MkdirAtResp, MknodAtResp, MountResp, OpenAtResp, OpenCreateAtResp, SymlinkAtResp, WalkResp,
};
use lisafs::wire::{FdId, Malformed, MessageId, Wire};

/// The new FDs in `answer` to a request of the kind `message`, in the order of its fields.
pub(super) fn granted(message: MessageId, answer: &[u8]) -> Result<Vec<FdId>, Malformed> {
    Ok(match message {
        MessageId::MOUNT => vec![MountResp::from_bytes(answer)?.root.control_fd],
        MessageId::WALK => WalkResp::from_bytes(answer)?.inodes.iter().map(|inode| inode.control_fd).collect(),
        MessageId::OPEN_AT => vec![OpenAtResp::from_bytes(answer)?.open_fd],
        MessageId::OPEN_CREATE_AT => {
            let answer = OpenCreateAtResp::from_bytes(answer)?;
            vec![answer.child.control_fd, answer.open_fd]
        }
        MessageId::MKDIR_AT => vec![MkdirAtResp::from_bytes(answer)?.child.control_fd],
        MessageId::MKNOD_AT => vec![MknodAtResp::from_bytes(answer)?.child.control_fd],
        MessageId::SYMLINK_AT => vec![SymlinkAtResp::from_bytes(answer)?.symlink.control_fd],
        MessageId::LINK_AT => vec![LinkAtResp::from_bytes(answer)?.link.control_fd],
        MessageId::BIND_AT => {
            let answer = BindAtResp::from_bytes(answer)?;
            vec![answer.child.control_fd, answer.bound_socket_fd]
        }
        _ => Vec::new(),
    })
}
