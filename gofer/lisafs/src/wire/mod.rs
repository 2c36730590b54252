//! LisaFS messages, byte for byte.
//!
//! Pure: no I/O, no unsafe code, and no allocation whose size a peer could choose. Decoding borrows from the bytes it
//! is given; encoding refuses what does not fit its length field. Which requests exist and what their answers mean is
//! in [`message`]; what they are made of in [`parts`] and [`mod@array`].

pub mod array;
pub mod codec;
mod file_type;
mod id;
pub mod message;
pub mod parts;

pub use array::{Array, Dirent, Dirents, FdArray, StringArray, StringArrayBuf};
pub use codec::{DoesNotFit, Malformed, Measure, Pad, Reader, Sink, Wire};
pub use file_type::{FileType, S_IFMT};
pub use id::{FdId, MessageId, MessageSet};
pub use message::{Message, WalkStatus};
pub use parts::{
    ChannelHeader, CreateCommon, Inode, NO_ID, SocketHeader, StatFs, Statx, StatxMask, StatxTimestamp, Timespec,
};

/// Largest payload, in bytes, that the stock server announces: a huge page less one page, so that a packet window of
/// one huge page holds it with both headers.
pub const STOCK_MAX_MESSAGE_SIZE: u32 = 2 * 1024 * 1024 - 4096;

/// What a client may send before the answer to Mount has told it the server's limit.
pub const INITIAL_MAX_MESSAGE_SIZE: u32 = 1024 * 1024;
