//! The files that the kernel knows, the names they have, and the server's control FDs for them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use lisafs::wire::{FdId, Inode, S_IFMT, Statx};
use rustix::io::Errno;

use super::identity::{Identity, NodeId, Numbering};

/// A name that is no more may keep its control FD for a request that is under way; of these, that many stay.
const DEAD_NAMES: usize = 4;

/// One name of a file, with the control FD that was made by walking to it.
#[derive(Debug)]
struct Name {
    parent: NodeId,
    name: Arc<[u8]>,
    fd: FdId,
    /// Whether the file is still known to have this name.
    alive: bool,
}

#[derive(Debug)]
struct Node {
    identity: Identity,
    file_type: u32,
    /// How often the kernel was told of this file and has not forgotten it.
    lookups: u64,
    names: Vec<Name>,
    children: HashMap<Arc<[u8]>, NodeId>,
    /// Open handles, which keep the node from being evicted.
    handles: u32,
    /// Looked at since the last round of eviction.
    used: bool,
    /// Known to have no file capabilities, which the kernel asks for at each write.
    no_capabilities: bool,
    /// Permission bits and group as last seen.
    mode: u16,
    gid: u32,
    /// Size as last seen.
    size: u64,
    /// The kernel may have made maps that change the file without telling.
    changes_unseen: bool,
}

/// What a directory passes on to new files in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inheritance {
    /// Its group, if the set-group-id bit is on.
    pub gid: Option<u32>,
}

/// A name that the kernel should forget so that its file's control FD can be closed.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The directory.
    pub parent: NodeId,
    /// The name.
    pub name: Arc<[u8]>,
}

/// All nodes of a mount.
#[derive(Debug)]
pub struct Nodes {
    nodes: HashMap<NodeId, Node>,
    numbering: Numbering,
    /// Second-chance queue of eviction.
    clock: VecDeque<NodeId>,
    /// Control FDs held.
    fds: usize,
}

/// What became of a name that was looked up or made.
#[derive(Debug)]
pub struct Known {
    /// The file.
    pub id: NodeId,
    /// Control FDs that are not needed; the caller closes them.
    pub surplus: Vec<FdId>,
}

impl Nodes {
    /// The table of a mount with nothing but its root.
    pub fn new(root: &Inode) -> Self {
        let identity = Identity::of(&root.stat);
        let mut nodes =
            Nodes { nodes: HashMap::new(), numbering: Numbering::new(identity), clock: VecDeque::new(), fds: 1 };
        let mut node = Node::new(identity, &root.stat);
        node.lookups = 1;
        node.names.push(Name { parent: NodeId::ROOT, name: Arc::from(&b""[..]), fd: root.control_fd, alive: true });
        nodes.nodes.insert(NodeId::ROOT, node);
        nodes
    }

    /// How many control FDs the nodes hold.
    pub fn fds(&self) -> usize {
        self.fds
    }

    /// The number under which applications see the file with `identity`.
    pub fn number_of(&mut self, identity: Identity) -> NodeId {
        self.numbering.number(identity)
    }

    /// A control FD of `id`, under a living name if there is one: servers may refuse operations through names that are
    /// gone.
    pub fn control(&mut self, id: NodeId) -> Result<FdId, Errno> {
        let node = self.nodes.get_mut(&id).ok_or(Errno::STALE)?;
        node.used = true;
        let name = node.names.iter().find(|name| name.alive).or(node.names.last());
        name.map(|name| name.fd).ok_or(Errno::STALE)
    }

    /// The file that `name` in `parent` was last known to be, with its identity.
    pub fn child(&self, parent: NodeId, name: &[u8]) -> Option<(NodeId, Identity)> {
        let id = *self.nodes.get(&parent)?.children.get(name)?;
        Some((id, self.nodes.get(&id)?.identity))
    }

    /// The directory that `id` is in.
    pub fn parent(&self, id: NodeId) -> NodeId {
        let name = self.nodes.get(&id).and_then(|node| node.names.iter().find(|name| name.alive));
        name.map_or(NodeId::ROOT, |name| name.parent)
    }

    /// Counts one more lookup of a known file whose attributes are `stat`. `false`: it is not known any more, or another file
    /// has its number by now.
    pub fn looked_up_again(&mut self, id: NodeId, stat: &Statx) -> bool {
        let node = self.nodes.get_mut(&id).filter(|node| node.file_type == stat.file_type());
        let Some(node) = node else { return false };
        node.lookups += 1;
        node.used = true;
        node.see(stat);
        true
    }

    /// Records that `name` in `parent` is `inode`, which the kernel is about to be told. Its control FD now belongs to the
    /// table, or is surplus if the name had one already.
    pub fn insert(&mut self, parent: NodeId, name: &[u8], inode: &Inode) -> Result<Known, Vec<FdId>> {
        let identity = Identity::of(&inode.stat);
        let id = self.numbering.number(identity);
        let mut surplus = Vec::new();
        let is_other = |node: &Node| node.identity != identity || node.file_type != inode.stat.file_type();
        if id == NodeId::ROOT || self.nodes.get(&id).is_some_and(is_other) {
            // The server shows the root inside itself, or two files with one identity. Following either would corrupt both.
            return Err(vec![inode.control_fd]);
        }
        if let Some((other, _)) = self.child(parent, name)
            && other != id
        {
            surplus.extend(self.lose_name(parent, name));
        }
        if !self.nodes.contains_key(&id) {
            self.clock.push_back(id);
            self.tidy_clock();
        }
        let node = self.nodes.entry(id).or_insert_with(|| Node::new(identity, &inode.stat));
        node.lookups += 1;
        node.used = true;
        node.see(&inode.stat);
        let is_this = |known: &&Name| known.alive && known.parent == parent && *known.name == *name;
        let name = if let Some(known) = node.names.iter().find(is_this) {
            // The older control FD may be in use by a request that is under way; the new one cannot be.
            surplus.push(inode.control_fd);
            known.name.clone()
        } else {
            let name: Arc<[u8]> = Arc::from(name);
            node.names.push(Name { parent, name: name.clone(), fd: inode.control_fd, alive: true });
            self.fds += 1;
            name
        };
        // Also a name that is known: its directory may have been forgotten meanwhile, and come back.
        self.enter(parent, name, id);
        Ok(Known { id, surplus })
    }

    /// Drops what forgotten nodes have left in the queue once they are the larger part of it.
    fn tidy_clock(&mut self) {
        if self.clock.len() > 2 * self.nodes.len() + 1024 {
            let mut seen = HashSet::new();
            self.clock.retain(|id| self.nodes.contains_key(id) && seen.insert(*id));
        }
    }

    fn enter(&mut self, parent: NodeId, name: Arc<[u8]>, id: NodeId) {
        if let Some(directory) = self.nodes.get_mut(&parent) {
            directory.children.insert(name, id);
        }
    }

    /// Records that `name` in `parent` is gone. Answers control FDs to close.
    pub fn lose_name(&mut self, parent: NodeId, name: &[u8]) -> Vec<FdId> {
        let id = self.nodes.get_mut(&parent).and_then(|directory| directory.children.remove(name));
        let Some(node) = id.and_then(|id| self.nodes.get_mut(&id)) else { return Vec::new() };
        for known in &mut node.names {
            if known.parent == parent && *known.name == *name {
                known.alive = false;
            }
        }
        let closed = node.bury();
        self.fds -= closed.len();
        closed
    }

    /// Records that a rename has succeeded. Answers control FDs to close.
    pub fn renamed(&mut self, from: (NodeId, &[u8]), to: (NodeId, &[u8]), exchange: bool) -> Vec<FdId> {
        let source = self.child(from.0, from.1).map(|(id, _)| id);
        let target = self.child(to.0, to.1).map(|(id, _)| id);
        if source.is_some() && source == target {
            // Two links of one file: the kernel's rename does nothing.
            return Vec::new();
        }
        let closed = if exchange { Vec::new() } else { self.lose_name(to.0, to.1) };
        // Who is not known here takes no name over, but the other one must lose it.
        for (directory, name) in [from, to] {
            if let Some(directory) = self.nodes.get_mut(&directory) {
                directory.children.remove(name);
            }
        }
        if exchange {
            self.rename_one(target, to, from);
        }
        self.rename_one(source, from, to);
        closed
    }

    fn rename_one(&mut self, id: Option<NodeId>, from: (NodeId, &[u8]), to: (NodeId, &[u8])) {
        let Some(node) = id.and_then(|id| self.nodes.get_mut(&id)) else { return };
        let new: Arc<[u8]> = Arc::from(to.1);
        for name in &mut node.names {
            if name.alive && name.parent == from.0 && *name.name == *from.1 {
                name.parent = to.0;
                name.name = new.clone();
            }
        }
        if let Some(id) = id {
            self.enter(to.0, new, id);
        }
    }

    /// Takes `count` lookups back. When none is left the node goes, and its control FDs are the answer.
    pub fn forget(&mut self, id: NodeId, count: u64) -> Vec<FdId> {
        let Some(node) = self.nodes.get_mut(&id) else { return Vec::new() };
        node.lookups = node.lookups.saturating_sub(count);
        if node.lookups > 0 || id == NodeId::ROOT {
            return Vec::new();
        }
        let Some(node) = self.nodes.remove(&id) else { return Vec::new() };
        for name in &node.names {
            let directory = self.nodes.get_mut(&name.parent);
            if let Some(directory) = directory.filter(|directory| directory.children.get(&name.name) == Some(&id)) {
                directory.children.remove(&name.name);
            }
        }
        self.fds -= node.names.len();
        node.names.into_iter().map(|name| name.fd).collect()
    }

    /// What new files in directory `id` inherit, as of the attributes seen last.
    pub fn inheritance(&self, id: NodeId) -> Inheritance {
        let node = self.nodes.get(&id);
        Inheritance { gid: node.filter(|node| node.mode & SET_GID != 0).map(|node| node.gid) }
    }

    /// How large `id` was when it was last looked at.
    pub fn size(&self, id: NodeId) -> Option<u64> {
        self.nodes.get(&id).map(|node| node.size)
    }

    /// Whether `id` may change without the kernel telling.
    pub fn changes_unseen(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.changes_unseen)
    }

    /// Whether `id` may change without the kernel telling, though nobody has it open.
    pub fn is_closed_but_unseen(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.changes_unseen && node.handles == 0)
    }

    /// Remembers whether `id` may change without the kernel telling. Answers whether it could before.
    pub fn set_changes_unseen(&mut self, id: NodeId, changes: bool) -> bool {
        self.nodes.get_mut(&id).is_some_and(|node| std::mem::replace(&mut node.changes_unseen, changes))
    }

    /// Remembers that `id` is at least `size` large.
    pub fn grown(&mut self, id: NodeId, size: u64) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.size = node.size.max(size);
        }
    }

    /// Whether `id` is on the same device as the root.
    pub fn is_on_root_device(&self, id: NodeId) -> bool {
        let device = |id| self.nodes.get(&id).map(|node| node.identity.dev);
        device(id) == device(NodeId::ROOT)
    }

    /// Remembers what `stat` says of `id`. `false` if it is another type of file than before, which cannot be.
    pub fn see(&mut self, id: NodeId, stat: &Statx) -> bool {
        self.nodes.get_mut(&id).is_none_or(|node| {
            node.see(stat);
            node.file_type == stat.file_type()
        })
    }

    /// The mode of `id` as seen last, and whether it is known to have no file capabilities.
    pub fn privileges(&self, id: NodeId) -> (u16, bool) {
        self.nodes.get(&id).map_or((0, false), |node| (node.mode, node.no_capabilities))
    }

    /// Whether `id` is known to have no file capabilities.
    pub fn has_no_capabilities(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.no_capabilities)
    }

    /// Remembers whether `id` has no file capabilities.
    pub fn set_no_capabilities(&mut self, id: NodeId, none: bool) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.no_capabilities = none;
        }
    }

    /// Counts handles on `id`.
    pub fn opened(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.handles += 1;
        }
    }

    /// Counts handles on `id`.
    pub fn closed(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.handles = node.handles.saturating_sub(1);
        }
    }

    /// Up to `count` names of files that were not used lately and nobody has open. Looks at each node once at most.
    pub fn idle(&mut self, count: usize) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for _ in 0..self.clock.len() {
            if candidates.len() >= count {
                break;
            }
            let Some(id) = self.clock.pop_front() else { break };
            // A node that is gone leaves the queue here.
            let Some(node) = self.nodes.get_mut(&id) else { continue };
            self.clock.push_back(id);
            if !std::mem::take(&mut node.used) && node.handles == 0 && node.children.is_empty() {
                candidates
                    .extend(node.names.iter().map(|name| Candidate { parent: name.parent, name: name.name.clone() }));
            }
        }
        candidates
    }
}

/// The set-group-id bit.
const SET_GID: u16 = 0o2000;

impl Node {
    fn new(identity: Identity, stat: &Statx) -> Self {
        Node {
            identity,
            file_type: u32::from(stat.mode) & S_IFMT,
            lookups: 0,
            names: Vec::with_capacity(1),
            children: HashMap::new(),
            handles: 0,
            used: true,
            no_capabilities: false,
            mode: stat.mode,
            gid: stat.gid,
            size: stat.size,
            changes_unseen: false,
        }
    }

    fn see(&mut self, stat: &Statx) {
        self.mode = stat.mode;
        self.gid = stat.gid;
        self.size = stat.size;
    }

    /// Drops the oldest dead names beyond a few, unless they are all there is. Answers their control FDs.
    fn bury(&mut self) -> Vec<FdId> {
        let mut closed = Vec::new();
        let mut dead = self.names.iter().filter(|name| !name.alive).count();
        while dead > DEAD_NAMES {
            let Some(oldest) = self.names.iter().position(|name| !name.alive) else { break };
            closed.push(self.names.remove(oldest).fd);
            dead -= 1;
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: u16 = 0o040_755;
    const FILE: u16 = 0o100_644;

    fn inode(fd: u64, ino: u64, mode: u16) -> Inode {
        Inode { control_fd: FdId(fd), stat: Statx { ino, mode, dev_minor: 1, ..Statx::default() } }
    }

    fn table() -> Nodes {
        Nodes::new(&inode(1, 100, DIR))
    }

    #[test]
    fn hard_links_are_one_node_and_a_living_name_serves() {
        let mut nodes = table();
        let a = nodes.insert(NodeId::ROOT, b"a", &inode(2, 7, FILE)).unwrap().id;
        let b = nodes.insert(NodeId::ROOT, b"b", &inode(3, 7, FILE)).unwrap().id;
        assert_eq!((a, b), (NodeId(7), NodeId(7)));
        assert_eq!(nodes.control(a), Ok(FdId(2)));
        assert!(nodes.lose_name(NodeId::ROOT, b"a").is_empty());
        assert_eq!(nodes.control(a), Ok(FdId(3)));
        assert!(nodes.forget(a, 1).is_empty());
        assert_eq!(nodes.forget(a, 1), [FdId(2), FdId(3)]);
        assert_eq!((nodes.fds(), nodes.nodes.len()), (1, 1));
        assert_eq!(nodes.control(a), Err(Errno::STALE));
    }

    #[test]
    fn a_name_walked_twice_keeps_one_control_fd() {
        let mut nodes = table();
        nodes.insert(NodeId::ROOT, b"a", &inode(2, 7, FILE)).unwrap();
        assert_eq!(nodes.insert(NodeId::ROOT, b"a", &inode(3, 7, FILE)).unwrap().surplus, [FdId(3)]);
        assert_eq!(nodes.fds(), 2);
    }

    #[test]
    fn a_name_that_was_lost_and_found_is_served_by_its_new_control_fd() {
        let mut nodes = table();
        let id = nodes.insert(NodeId::ROOT, b"a", &inode(2, 7, FILE)).unwrap().id;
        nodes.lose_name(NodeId::ROOT, b"a");
        assert!(nodes.insert(NodeId::ROOT, b"a", &inode(3, 7, FILE)).unwrap().surplus.is_empty());
        assert_eq!(nodes.control(id), Ok(FdId(3)));
        assert_eq!(nodes.forget(id, 2), [FdId(2), FdId(3)]);
    }

    #[test]
    fn a_name_that_became_another_file_leads_there() {
        let mut nodes = table();
        nodes.insert(NodeId::ROOT, b"a", &inode(2, 7, FILE)).unwrap();
        nodes.insert(NodeId::ROOT, b"a", &inode(3, 8, FILE)).unwrap();
        assert_eq!(nodes.child(NodeId::ROOT, b"a").unwrap().0, NodeId(8));
        assert_eq!(nodes.control(NodeId(7)), Ok(FdId(2)), "the old file can still be used by who has it");
    }

    #[test]
    fn renames_move_names() {
        let mut nodes = table();
        let dir = nodes.insert(NodeId::ROOT, b"d", &inode(2, 5, DIR)).unwrap().id;
        nodes.insert(NodeId::ROOT, b"a", &inode(3, 7, FILE)).unwrap();
        nodes.insert(dir, b"b", &inode(4, 8, FILE)).unwrap();
        nodes.renamed((NodeId::ROOT, b"a"), (dir, b"b"), false);
        assert_eq!(nodes.child(NodeId::ROOT, b"a"), None);
        assert_eq!(nodes.child(dir, b"b").unwrap().0, NodeId(7));
        assert_eq!(nodes.parent(NodeId(7)), dir);
        nodes.insert(dir, b"c", &inode(5, 9, FILE)).unwrap();
        nodes.renamed((dir, b"b"), (dir, b"c"), true);
        assert_eq!(nodes.child(dir, b"b").unwrap().0, NodeId(9));
        assert_eq!(nodes.child(dir, b"c").unwrap().0, NodeId(7));
    }

    #[test]
    fn renaming_one_link_over_another_changes_nothing() {
        let mut nodes = table();
        nodes.insert(NodeId::ROOT, b"a", &inode(2, 7, FILE)).unwrap();
        nodes.insert(NodeId::ROOT, b"b", &inode(3, 7, FILE)).unwrap();
        nodes.renamed((NodeId::ROOT, b"a"), (NodeId::ROOT, b"b"), false);
        assert!(nodes.child(NodeId::ROOT, b"a").is_some() && nodes.child(NodeId::ROOT, b"b").is_some());
    }

    #[test]
    fn two_types_under_one_identity_are_refused() {
        let mut nodes = table();
        nodes.insert(NodeId::ROOT, b"a", &inode(2, 7, FILE)).unwrap();
        assert_eq!(nodes.insert(NodeId::ROOT, b"b", &inode(3, 7, DIR)).unwrap_err(), [FdId(3)]);
        assert_eq!(nodes.insert(NodeId::ROOT, b"loop", &inode(4, 100, DIR)).unwrap_err(), [FdId(4)]);
    }

    #[test]
    fn dead_names_do_not_pile_up() {
        let mut nodes = table();
        nodes.insert(NodeId::ROOT, b"stays", &inode(2, 7, FILE)).unwrap();
        for fd in 3..100 {
            let name = fd.to_string();
            nodes.insert(NodeId::ROOT, name.as_bytes(), &inode(fd, 7, FILE)).unwrap();
            nodes.lose_name(NodeId::ROOT, name.as_bytes());
        }
        assert_eq!(nodes.fds(), 2 + DEAD_NAMES);
        assert_eq!(nodes.control(NodeId(7)), Ok(FdId(2)));
    }

    #[test]
    fn idle_nodes_are_those_not_used_since_the_last_round() {
        let mut nodes = table();
        let dir = nodes.insert(NodeId::ROOT, b"d", &inode(2, 5, DIR)).unwrap().id;
        nodes.insert(dir, b"a", &inode(3, 7, FILE)).unwrap();
        nodes.insert(dir, b"b", &inode(4, 8, FILE)).unwrap();
        nodes.insert(dir, b"c", &inode(5, 9, FILE)).unwrap();
        nodes.opened(NodeId(9));
        assert!(nodes.idle(10).is_empty(), "all were just used");
        nodes.control(NodeId(7)).unwrap();
        let idle: Vec<_> = nodes.idle(10).into_iter().map(|candidate| candidate.name.to_vec()).collect();
        assert_eq!(idle, [b"b"], "one was used, one is open, one has children");
    }

    #[test]
    fn a_name_of_a_directory_that_came_back_is_known_again() {
        let mut nodes = table();
        let dir = nodes.insert(NodeId::ROOT, b"d", &inode(2, 5, DIR)).unwrap().id;
        let file = nodes.insert(dir, b"a", &inode(3, 7, FILE)).unwrap().id;
        nodes.insert(NodeId::ROOT, b"b", &inode(4, 7, FILE)).unwrap();
        // The file stays because of its other name.
        nodes.forget(dir, 1);
        nodes.insert(NodeId::ROOT, b"d", &inode(5, 5, DIR)).unwrap();
        assert_eq!(nodes.insert(dir, b"a", &inode(6, 7, FILE)).unwrap().surplus, [FdId(6)]);
        assert_eq!(nodes.child(dir, b"a").unwrap().0, file);
        nodes.lose_name(dir, b"a");
        assert_eq!(nodes.control(file), Ok(FdId(4)));
    }

    #[test]
    fn a_file_of_another_type_under_a_known_number_is_another_file() {
        let mut nodes = table();
        let id = nodes.insert(NodeId::ROOT, b"a", &inode(2, 7, FILE)).unwrap().id;
        assert!(nodes.looked_up_again(id, &inode(2, 7, FILE).stat));
        assert!(!nodes.looked_up_again(id, &inode(2, 7, DIR).stat));
        // This number is what a file of the second device with inode number 7 gets.
        let foreign = Inode { stat: Statx { dev_minor: 2, ..inode(3, 7, FILE).stat }, ..inode(3, 7, FILE) };
        let taken = nodes.insert(NodeId::ROOT, b"b", &foreign).unwrap().id;
        let twin = nodes.insert(NodeId::ROOT, b"c", &inode(4, taken.0, FILE));
        assert_ne!(twin.map(|known| known.id).ok(), Some(taken));
    }

    #[test]
    fn an_exchange_with_an_unknown_file_leaves_no_name_behind() {
        let mut nodes = table();
        let known = nodes.insert(NodeId::ROOT, b"a", &inode(2, 7, FILE)).unwrap().id;
        nodes.renamed((NodeId::ROOT, b"a"), (NodeId::ROOT, b"b"), true);
        assert_eq!(nodes.child(NodeId::ROOT, b"b").unwrap().0, known);
        assert!(nodes.child(NodeId::ROOT, b"a").is_none());
        nodes.renamed((NodeId::ROOT, b"c"), (NodeId::ROOT, b"b"), true);
        assert_eq!(nodes.child(NodeId::ROOT, b"c").unwrap().0, known);
        assert!(nodes.child(NodeId::ROOT, b"b").is_none());
    }

    #[test]
    fn a_set_group_id_directory_passes_its_group_on() {
        let mut nodes = table();
        let mut stat = inode(2, 5, DIR | SET_GID).stat;
        stat.gid = 42;
        let dir = nodes.insert(NodeId::ROOT, b"d", &Inode { control_fd: FdId(2), stat }).unwrap().id;
        assert_eq!(nodes.inheritance(dir).gid, Some(42));
        assert_eq!(nodes.inheritance(NodeId::ROOT).gid, None);
    }
}
