//! Extended attributes.

use lisafs::Errno;
use lisafs::acl;
use lisafs::wire::MessageId;

use super::access_lists::end_set_gid;
use super::bridge::{Bridge, Result};
use super::caller::{Caller, Capability};
use super::identity::NodeId;

/// What the kernel asks for at each write, to clear it.
pub(super) const CAPABILITIES: &[u8] = b"security.capability";

impl Bridge {
    /// Refuses lists that would be stored but not obeyed: worse than none.
    fn check_name(&self, name: &[u8]) -> Result<()> {
        if acl::is_list(name) && !self.access_lists.are_passed() { Err(Errno::OPNOTSUPP) } else { Ok(()) }
    }

    /// Whether there can be extended attributes. If not, the kernel need not ask for them at each write.
    pub fn has_xattr(&self) -> bool {
        self.policy.xattr && self.supports(MessageId::FGET_XATTR)
    }

    /// The value of an attribute.
    pub fn getxattr(&self, id: NodeId, name: &[u8]) -> Result<Vec<u8>> {
        self.check_name(name)?;
        // The kernel does not remember that there are none; where nobody else can set them, we do.
        let remembers = name == CAPABILITIES && self.policy.keeps_cache();
        if remembers && self.nodes.lock().has_no_capabilities(id) {
            return Err(Errno::NODATA);
        }
        let value = match self.attribute_ahead(id, name) {
            Some(value) => value,
            None => self.client.get_xattr(self.control(id)?.id(), name, 0),
        };
        if remembers && value == Err(Errno::NODATA) {
            self.nodes.lock().set_no_capabilities(id, true);
        }
        if acl::is_list(name) && value == Err(Errno::OPNOTSUPP) {
            // On another file system of the server's. For the kernel, which asks to know whom the file is for, this is
            // no answer.
            return Err(Errno::NODATA);
        }
        value
    }

    /// Whether the server supports no attributes on the mount at all, not even those that users make, as seen on `id`.
    /// Files of another device than the root's are no example.
    pub fn knows_no_attributes(&self, id: NodeId) -> bool {
        !self.access_lists.are_passed()
            && self.nodes.lock().is_on_root_device(id)
            && self.getxattr(id, b"user.fusebridge") == Err(Errno::OPNOTSUPP)
    }

    /// Sets an attribute; `flags` as in `setxattr(2)`.
    pub fn setxattr(&self, id: NodeId, name: &[u8], value: &[u8], flags: u32, caller: Caller) -> Result<()> {
        self.check_name(name)?;
        if name == CAPABILITIES {
            self.nodes.lock().set_no_capabilities(id, false);
        }
        let fd = self.control(id)?;
        self.client.set_xattr(fd.id(), name, value, flags)?;
        if name == acl::ACCESS { end_set_gid(&self.client, fd.id(), caller) } else { Ok(()) }
    }

    /// The names of all attributes that are for `caller`, each with a NUL behind it.
    pub fn listxattr(&self, id: NodeId, caller: Caller) -> Result<Vec<u8>> {
        let names = self.client.list_xattr(self.control(id)?.id(), 0)?;
        let is_trusted = |name: &[u8]| name.starts_with(b"trusted.");
        let sees_all = !names.iter().any(|name| is_trusted(name)) || caller.is_capable(Capability::Administer);
        let shown = names.iter().filter(|name| self.check_name(name).is_ok() && (sees_all || !is_trusted(name)));
        Ok(shown.flat_map(|name| name.iter().copied().chain([0])).collect())
    }

    /// Removes an attribute.
    pub fn removexattr(&self, id: NodeId, name: &[u8]) -> Result<()> {
        self.check_name(name)?;
        self.client.remove_xattr(self.control(id)?.id(), name)
    }
}
