//! What the benches need: files, a client as thin as can be, and partners to talk to.

pub(crate) mod bare;
pub(crate) mod client;
pub(crate) mod cores;
pub(crate) mod files;
pub(crate) mod operation;
pub(crate) mod partner;
pub(crate) mod ping_pong;
pub(crate) mod table;
