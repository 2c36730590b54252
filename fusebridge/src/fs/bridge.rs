//! The file system: what each operation on the mount asks of the server, and what is remembered of the answers.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lisafs::Errno;
use lisafs::backend::{Mode, SetStat, Unlink};
use lisafs::wire::{FdId, Inode, MessageId, StatFs, Statx};
use parking_lot::{Mutex, RwLock};

use super::access_lists::AccessLists;
use super::ahead::{Fetchers, NameAhead, Walks};
use super::caller::Caller;
use super::control::Control;
use super::evict::Evictor;
use super::handles::{Handle, Handles};
use super::identity::{Identity, NodeId};
use super::invalidate::Invalidator;
use super::listing::Recent;
use super::mapped::MappedFiles;
use super::nodes::Nodes;
use super::policy::Policy;
use super::shares::Shares;
use crate::reconnect::UNSURE;
use lisafs::client::Client;

/// The result of an operation.
pub type Result<T> = std::result::Result<T, Errno>;

/// A file that the kernel is told of.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its number.
    pub id: NodeId,
    /// Its attributes.
    pub stat: Statx,
}

/// One mounted file system.
pub struct Bridge {
    pub(super) client: Arc<Client>,
    pub(super) nodes: Arc<Mutex<Nodes<Arc<Control>>>>,
    pub(super) handles: Handles,
    pub(super) policy: Policy,
    pub(super) evictor: Evictor,
    pub(super) shares: Arc<Shares>,
    pub(super) invalidator: Invalidator,
    pub(super) recent: Recent,
    pub(super) mapped: MappedFiles<Handle>,
    pub(super) fetchers: Fetchers,
    pub(super) walks: Walks,
    pub(super) access_lists: AccessLists,
    /// See [`opening`](Self::opening).
    pub(super) opening: RwLock<()>,
    /// Files were seen of which cannot be known whether they are mapped.
    pub(super) hides_maps: AtomicBool,
    covered: OnceLock<Covered>,
}

/// The directory that the file system is mounted on, where the server shows it. The server has its control FD from
/// before the mount. To look it up again would lead into the mount itself, and the server would wait for an answer of
/// ours.
struct Covered {
    parent: NodeId,
    name: Vec<u8>,
    id: NodeId,
}

impl Bridge {
    /// The file system whose root is `root` on the server that `client` talks to.
    pub fn new(client: Arc<Client>, root: &Inode, policy: Policy) -> Self {
        let nodes = Arc::new(Mutex::new(Nodes::new(root, Control::new(&client, root.control_fd))));
        let evictor = Evictor::new(nodes.clone(), client.clone(), policy.max_nodes);
        Bridge {
            access_lists: AccessLists::of(&client, root.control_fd),
            client,
            nodes,
            handles: Handles::default(),
            evictor,
            shares: Shares::new(policy.max_open),
            policy,
            invalidator: Invalidator::default(),
            recent: Recent::default(),
            mapped: MappedFiles::default(),
            fetchers: Fetchers::default(),
            walks: Walks::default(),
            opening: RwLock::default(),
            hides_maps: AtomicBool::new(false),
            covered: OnceLock::new(),
        }
    }

    /// How the mount behaves.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// From now on, [`changing`](Walks::changing) is held while a request changes something.
    pub(super) fn changes_are_told(&self) {
        self.walks.are_told();
    }

    /// How many files the server holds descriptors for, and how many are open.
    pub fn held(&self) -> (usize, usize) {
        (self.nodes.lock().fds(), self.handles.count())
    }

    /// What gives up idle files.
    pub fn evictor(&self) -> &Evictor {
        &self.evictor
    }

    /// What tells the kernel to forget what it has of files.
    pub fn invalidator(&self) -> &Invalidator {
        &self.invalidator
    }

    /// Ends the connection to the server, and with it all calls that wait for it.
    pub fn disconnect(&self) {
        self.client.disconnect();
    }

    /// Whether the server answers `message`.
    pub fn supports(&self, message: MessageId) -> bool {
        self.client.supports(message)
    }

    /// How long the kernel may trust names and attributes.
    pub fn ttl(&self) -> Duration {
        self.policy.ttl()
    }

    /// Makes `inode` known under `name` in `parent`.
    pub(super) fn enter(&self, parent: NodeId, name: &[u8], inode: &Inode) -> Result<Entry> {
        self.enter_by(parent, name, Control::new(&self.client, inode.control_fd), inode.stat)
    }

    /// The same for a file with `control` and attributes `stat`.
    pub(super) fn enter_by(&self, parent: NodeId, name: &[u8], control: Arc<Control>, stat: Statx) -> Result<Entry> {
        let stat = self.access_lists.told(&self.client, control.id(), stat)?;
        let (known, fds) = {
            let mut nodes = self.nodes.lock();
            (nodes.insert(parent, name, &stat, control), nodes.fds())
        };
        self.evictor.held(fds);
        let Some(id) = known else {
            tracing::warn!(name = %name.escape_ascii(), "the server reports two files with the same inode number");
            return Err(Errno::IO);
        };
        Ok(Entry { id, stat })
    }

    /// Says that the file system will be mounted on `path` within itself. Until it is, `path` leads to what is below.
    pub fn will_cover(&self, path: &Path) -> Result<()> {
        let (mut parent, mut id, mut last) = (NodeId::ROOT, NodeId::ROOT, &b""[..]);
        for name in path.iter().map(OsStrExt::as_bytes) {
            // Never forgotten or given up, and so never looked up anew.
            (parent, id, last) = (id, self.lookup(id, name)?.id, name);
            self.nodes.lock().keep(id);
        }
        let _ = self.covered.set(Covered { parent, name: last.to_vec(), id });
        Ok(())
    }

    /// The file `name` in `parent`.
    pub fn lookup(&self, parent: NodeId, name: &[u8]) -> Result<Entry> {
        if let Some(covered) = self.covered.get().filter(|covered| covered.parent == parent && covered.name == name) {
            let stat = self.getattr(covered.id)?;
            self.nodes.lock().looked_up_again(covered.id, &stat);
            return Ok(Entry { id: covered.id, stat });
        }
        if let Some(entry) = self.name_ahead(parent, name)? {
            return Ok(entry);
        }
        self.timed(parent, name, || {
            let dir = self.control(parent)?;
            if let Some(entry) = self.look_again(parent, dir.id(), name)? {
                return Ok(entry);
            }
            let inode = self.evictor.with_room(|| self.client.lookup(dir.id(), name))?;
            self.enter(parent, name, &inode)
        })
    }

    /// The same, of which `found` is known already.
    pub(super) fn lookup_as(&self, parent: NodeId, name: &[u8], found: Option<NameAhead>) -> Result<Entry> {
        let entry = match found {
            Some(found) => self.use_ahead(parent, name, found)?,
            None => None,
        };
        entry.map_or_else(|| self.lookup(parent, name), Ok)
    }

    /// Looks at a name that is known already by its attributes, which needs no new control FD. `None`: walk.
    fn look_again(&self, parent: NodeId, dir: FdId, name: &[u8]) -> Result<Option<Entry>> {
        let Some((id, identity)) = self.nodes.lock().child(parent, name) else { return Ok(None) };
        if !self.client.supports(MessageId::WALK_STAT) {
            return Ok(None);
        }
        let Some(stat) = self.client.walk_stat(dir, &[name])?.pop() else {
            self.nodes.lock().lose_name(parent, name);
            return Err(Errno::NOENT);
        };
        if Identity::of(&stat) != identity {
            return Ok(None);
        }
        self.again(id, stat)
    }

    /// A known file, which was seen once more. `None`: it is not known any more.
    pub(super) fn again(&self, id: NodeId, stat: Statx) -> Result<Option<Entry>> {
        // The kernel may have forgotten it meanwhile, as it does with what it was told when it finds another file in a
        // name's place: then it looks the name up once more at once.
        let Ok(control) = self.control(id) else { return Ok(None) };
        let stat = self.access_lists.told(&self.client, control.id(), stat)?;
        let is_known = self.nodes.lock().looked_up_again(id, &stat);
        Ok(is_known.then_some(Entry { id, stat }))
    }

    /// The kernel has forgotten `count` lookups of `id`.
    pub fn forget(&self, id: NodeId, count: u64) {
        let fds = {
            let mut nodes = self.nodes.lock();
            nodes.forget(id, count);
            nodes.fds()
        };
        self.evictor.released(fds);
    }

    /// Attributes of `id`.
    pub fn getattr(&self, id: NodeId) -> Result<Statx> {
        self.directory_ahead(id).map_or_else(|| self.getattr_of_server(id), Ok)
    }

    /// The same, asked for now.
    pub(super) fn getattr_of_server(&self, id: NodeId) -> Result<Statx> {
        let fd = self.control(id)?;
        let stat = self.access_lists.told(&self.client, fd.id(), self.client.fstat(fd.id())?)?;
        self.see(id, &stat)?;
        Ok(stat)
    }

    fn see(&self, id: NodeId, stat: &Statx) -> Result<()> {
        if self.nodes.lock().see(id, stat) {
            return Ok(());
        }
        tracing::warn!(id = id.0, "the server reports that a file changed its type");
        Err(Errno::IO)
    }

    /// Changes attributes of `id`, through handle `handle` if there is one and it can.
    pub fn setattr(&self, id: NodeId, handle: Option<u64>, change: &SetStat) -> Result<Statx> {
        let mut change = *change;
        if let (Some(handle), Some(size)) = (handle, change.size)
            && self.handles.get(handle).is_some_and(|handle| handle.truncate(size))
        {
            change.size = None;
        }
        let fd = self.control(id)?;
        self.content_changes(id);
        if !change.mask().is_empty() {
            let set = self.client.set_stat(fd.id(), &change);
            // Unless the server has said that it has set nothing.
            let set = set.inspect_err(|_| self.invalidator.attributes(id))?;
            set.map_err(|failure| failure.error.errno())?;
        }
        self.content_changes(id);
        let stat = self.access_lists.told(&self.client, fd.id(), self.client.fstat(fd.id())?)?;
        self.see(id, &stat)?;
        Ok(stat)
    }

    /// Where symbolic link `id` leads.
    pub fn readlink(&self, id: NodeId) -> Result<Vec<u8>> {
        self.client.read_link_at(self.control(id)?.id())
    }

    /// Statistics of the file system that `id` is on; zeros if the server has none, which programs that look at every
    /// mount take as "not known", while they give up on an error.
    pub fn statfs(&self, id: NodeId) -> Result<StatFs> {
        match self.client.fstatfs(self.control(id)?.id()) {
            Err(Errno::NOSYS | Errno::OPNOTSUPP) => {
                Ok(StatFs { block_size: 512, name_length: 255, ..zerocopy::FromZeros::new_zeroed() })
            }
            answered => answered,
        }
    }

    /// Whether files of the server can have access control lists.
    pub fn keeps_lists(&self) -> bool {
        self.access_lists.are_kept()
    }

    /// Whether the kernel can obey them: those whom they name must be those whom it sees.
    pub fn can_obey_lists(&self) -> bool {
        self.keeps_lists() && self.policy.xattr && self.policy.owners.are_plain()
    }

    /// The kernel obeys lists from now on.
    pub fn lists_are_obeyed(&self) {
        self.access_lists.obey();
    }

    /// Removes `name` from `parent`.
    pub fn unlink(&self, parent: NodeId, name: &[u8], directory: bool) -> Result<()> {
        let what = if directory { Unlink::Directory } else { Unlink::File };
        let last = self.hold(parent, name);
        let unlinked = self.client.unlink_at(self.control(parent)?.id(), name, what);
        self.settled(&[(parent, name)], unlinked)?;
        self.nodes.lock().lose_name(parent, name);
        self.restore(last);
        Ok(())
    }

    /// Renames; `flags` as in `renameat2(2)`.
    pub fn rename(&self, from: (NodeId, &[u8]), to: (NodeId, &[u8]), flags: u32) -> Result<()> {
        const EXCHANGE: u32 = 2;
        let (old_dir, new_dir) = (self.control(from.0)?, self.control(to.0)?);
        let replaced = self.hold(to.0, to.1);
        let renamed = self.client.rename_at(old_dir.id(), from.1, new_dir.id(), to.1, flags);
        self.settled(&[from, to], renamed)?;
        self.nodes.lock().renamed(from, to, flags & EXCHANGE != 0);
        self.restore(replaced);
        Ok(())
    }

    /// Nobody knows what has become of a change of `names`: the kernel is not to believe what it has of them, a moment
    /// after it has the answer.
    pub fn doubt(&self, names: &[(NodeId, &[u8])]) {
        if !self.ttl().is_zero() {
            names.iter().for_each(|(parent, name)| self.invalidator.name(*parent, name));
        }
    }

    /// The outcome of a change of `names`, which are doubted if it is no certain one.
    pub(super) fn settled<T>(&self, names: &[(NodeId, &[u8])], outcome: Result<T>) -> Result<T> {
        outcome.map_err(|error| match error {
            Errno::IO | UNSURE => {
                self.doubt(names);
                Errno::IO
            }
            error => error,
        })
    }

    /// A control FD of the file `name` in `parent`, for those who are in it when the name, by which it could be walked
    /// to, is gone.
    fn hold(&self, parent: NodeId, name: &[u8]) -> Option<(NodeId, Arc<Control>)> {
        let (id, _) = self.nodes.lock().child(parent, name)?;
        Some((id, self.control(id).ok()?))
    }

    /// Gives the control FD of a file that has lost a name back to it, if it has given its own up meanwhile.
    fn restore(&self, held: Option<(NodeId, Arc<Control>)>) {
        if let Some((id, control)) = held {
            self.nodes.lock().restore(id, control);
        }
    }

    /// What a new file in `parent` belongs to.
    pub(super) fn owner_in(&self, parent: NodeId, caller: Caller) -> (Caller, bool) {
        // Where somebody else may have changed the directory's group, the kernel has just asked for it: it must know
        // whether the caller may write there.
        let inheritance = self.nodes.lock().inheritance(parent);
        (Caller { gid: inheritance.gid.unwrap_or(caller.gid), ..caller }, inheritance.gid.is_some())
    }
}

/// The permissions in a mode as the kernel has it.
pub(super) fn permissions(mode: u32) -> Mode {
    let [low, high, ..] = mode.to_le_bytes();
    Mode::new(u16::from_le_bytes([low, high]))
}
