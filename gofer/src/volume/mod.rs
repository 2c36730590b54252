//! Volumes: file systems that a server outside of this process has. `docs/volumes.md` describes the protocol.

mod hand_over;
mod line;
mod message;
mod name;

pub use hand_over::{Abandoned, Control, HandOverError, Mount, Problem, Volume, VolumeConfiguration};
pub use line::{LineError, receive_line, send_line};
pub use message::{Answer, MAX_ANSWER, MAX_REQUEST, Request, VERSION};
pub use name::{MAX_NAME, NameError, Pattern, check_name};

/// What the keys of annotations begin with that are passed on to a volume's server; the volume's name and a dot follow.
pub const ANNOTATION: &str = "dev.gofer.volume.";
