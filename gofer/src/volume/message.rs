//! What is said on a control socket.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The version of the hand-over.
pub const VERSION: u32 = 1;

/// The longest request in bytes, its newline included.
pub const MAX_REQUEST: usize = 65_536;

/// The longest answer in bytes, its newline included.
pub const MAX_ANSWER: usize = 4_096;

/// Asks to serve a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request<'a> {
    /// The version of the hand-over protocol, [`VERSION`].
    pub version: u32,
    /// The volume's name.
    #[serde(borrow)]
    pub volume: Cow<'a, str>,
    /// What the star of the client's pattern stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub star: Option<Cow<'a, str>>,
    /// Whether changes must be refused.
    pub read_only: bool,
    /// Whether the sandbox only works on a descriptor of the root.
    pub directfs: bool,
    /// Where the mount is.
    pub path: Cow<'a, str>,
    /// The container's ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Cow<'a, str>>,
    /// The container's annotations about this volume.
    #[serde(default)]
    pub annotations: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

/// What the server says to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// [`VERSION`], or the highest that the server knows.
    pub version: u32,
    /// Whether it serves the connection.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ok: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Answer {
    /// The connection is served.
    pub fn taken() -> Self {
        Answer { version: VERSION, ok: true, error: None }
    }

    /// It is not, for this reason, which is made one line that fits.
    pub fn refused(reason: &str) -> Self {
        const LONGEST: usize = 1000;
        let text = reason.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(LONGEST);
        Answer { version: VERSION, ok: false, error: Some(text.collect()) }
    }
}
