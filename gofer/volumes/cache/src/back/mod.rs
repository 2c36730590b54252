//! Changes that the backend does not have yet, on the disk.

mod journal;
mod overlay;

pub(crate) use journal::{Change, Found, Head, JOURNAL, Journal, LOST, Replayed};
pub(crate) use overlay::{Origin, Overlay, Piece};
