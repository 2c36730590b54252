//! Extended attributes.

use lisafs::Errno;
use lisafs::wire::MessageId;

use super::bridge::{Bridge, Result};
use super::identity::NodeId;

/// What the kernel asks for at each write, to clear it.
pub(super) const CAPABILITIES: &[u8] = b"security.capability";

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
        // The kernel does not remember that there are none; where nobody else can set them, we do.
        let remembers = name == CAPABILITIES && self.policy.keeps_cache();
        if remembers && self.nodes.lock().has_no_capabilities(id) {
            return Err(Errno::NODATA);
        }
        let value = self.client.get_xattr(self.control(id)?.id(), name, 0);
        if remembers && value == Err(Errno::NODATA) {
            self.nodes.lock().set_no_capabilities(id, true);
        }
        value
    }

    /// Whether the server supports no attributes on the mount at all, not even those that users make, as seen on `id`. Files of
    /// another device than the root's are no example.
    pub fn knows_no_attributes(&self, id: NodeId) -> bool {
        self.nodes.lock().is_on_root_device(id) && self.getxattr(id, b"user.fusebridge") == Err(Errno::OPNOTSUPP)
    }

    /// Sets an attribute; `flags` as in `setxattr(2)`.
    pub fn setxattr(&self, id: NodeId, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        check_name(name)?;
        if name == CAPABILITIES {
            self.nodes.lock().set_no_capabilities(id, false);
        }
        self.client.set_xattr(self.control(id)?.id(), name, value, flags)
    }

    /// The names of all attributes, each with a NUL behind it.
    pub fn listxattr(&self, id: NodeId) -> Result<Vec<u8>> {
        let names = self.client.list_xattr(self.control(id)?.id(), 0)?;
        let shown = names.iter().filter(|name| check_name(name).is_ok());
        Ok(shown.flat_map(|name| name.iter().copied().chain([0])).collect())
    }

    /// Removes an attribute.
    pub fn removexattr(&self, id: NodeId, name: &[u8]) -> Result<()> {
        check_name(name)?;
        self.client.remove_xattr(self.control(id)?.id(), name)
    }
}
