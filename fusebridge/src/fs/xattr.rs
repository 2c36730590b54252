//! Extended attributes.

use gofer::wire::MessageId;
use rustix::io::Errno;

use super::bridge::{Bridge, Result};
use super::identity::NodeId;

/// Access control lists would be stored but not obeyed, since the protocol does not know them; worse than none.
fn check_name(name: &[u8]) -> Result<()> {
    if name.starts_with(b"system.posix_acl_") { Err(Errno::OPNOTSUPP) } else { Ok(()) }
}

impl Bridge {
    /// Whether there can be extended attributes. If not, the kernel need not ask for them at each write.
    pub fn has_xattr(&self) -> bool {
        self.policy.xattr && self.supports(MessageId::FGET_XATTR)
    }

    /// The value of an attribute.
    pub fn getxattr(&self, id: NodeId, name: &[u8]) -> Result<Vec<u8>> {
        check_name(name)?;
        self.client.get_xattr(self.control(id)?, name, 0)
    }

    /// Sets an attribute; `flags` as in `setxattr(2)`.
    pub fn setxattr(&self, id: NodeId, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        check_name(name)?;
        self.client.set_xattr(self.control(id)?, name, value, flags)
    }

    /// The names of all attributes, each with a NUL behind it.
    pub fn listxattr(&self, id: NodeId) -> Result<Vec<u8>> {
        let names = self.client.list_xattr(self.control(id)?, 0)?;
        let shown = names.iter().filter(|name| check_name(name).is_ok());
        Ok(shown.flat_map(|name| name.iter().copied().chain([0])).collect())
    }

    /// Removes an attribute.
    pub fn removexattr(&self, id: NodeId, name: &[u8]) -> Result<()> {
        check_name(name)?;
        self.client.remove_xattr(self.control(id)?, name)
    }
}
