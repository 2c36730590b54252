//! What a file grants to those who run it ends when its content changes.
//!
//! The kernel sees to that by itself as long as data goes through its cache. Of what goes past it only this is left: a
//! request to clear the set-id bits, if whoever writes may not keep them.

use lisafs::Errno;
use lisafs::backend::SetStat;

use super::bridge::{Bridge, Result, permissions};
use super::identity::NodeId;
use super::xattr::CAPABILITIES;

/// The set-user-id bit.
const SET_UID: u32 = 0o4000;
/// The set-group-id bit, and the permission without which it means something else.
const SET_GID: u32 = 0o2010;

impl Bridge {
    /// Takes file capabilities from `id`, and with `set_ids` the set-id bits, before it is written.
    pub fn end_privileges(&self, id: NodeId, set_ids: bool) -> Result<()> {
        let (mode, no_capabilities) = self.nodes.lock().privileges(id);
        if set_ids && let Some(mode) = without_set_ids(mode.into()) {
            self.setattr(id, None, &SetStat::new().mode(permissions(mode)))?;
        }
        if no_capabilities || !self.has_xattr() {
            return Ok(());
        }
        match self.getxattr(id, CAPABILITIES) {
            Ok(_) => self.removexattr(id, CAPABILITIES)?,
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error),
        }
        self.nodes.lock().set_no_capabilities(id, true);
        Ok(())
    }
}

/// The permissions without set-id bits, if there are some to clear.
fn without_set_ids(mode: u32) -> Option<u32> {
    let mut cleared = mode & !SET_UID;
    if mode & SET_GID == SET_GID {
        cleared &= !(SET_GID & !0o777);
    }
    (cleared != mode).then_some(cleared & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_grant_something_are_cleared() {
        assert_eq!(without_set_ids(0o100_777), None);
        assert_eq!(without_set_ids(0o106_777), Some(0o777));
        assert_eq!(without_set_ids(0o104_644), Some(0o644));
        assert_eq!(without_set_ids(0o102_744), None, "without the group's permission it is a mark for locks");
        assert_eq!(without_set_ids(0o106_744), Some(0o2744));
        assert_eq!(without_set_ids(0o101_777), None);
    }
}
