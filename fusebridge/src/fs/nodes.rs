//! The files that the kernel knows, the names they have, and the server's control FDs for them.
//!
//! A file has one control FD, or none: then one is made when it is needed, by walking to one of its names.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use lisafs::Errno;
use lisafs::wire::{FileType, Inode, Statx};

use super::identity::{Identity, NodeId, Numbering};
use super::names::{Name, Names};

#[derive(Debug)]
struct Node<F> {
    identity: Identity,
    file_type: Option<FileType>,
    /// How often the kernel was told of this file and has not forgotten it.
    lookups: u64,
    names: Names,
    control: Option<F>,
    /// The name that the control FD was walked to by. `None`: it is no name of the file any more.
    walked_by: Option<Name>,
    children: HashMap<Arc<[u8]>, NodeId>,
    /// Open handles, which keep the control FD.
    handles: u32,
    /// Those of them with which a map can be made that changes the file. They last as long as the map, unless it is one of a
    /// donated file.
    mappable: u32,
    /// Never without its control FD.
    kept: bool,
    /// Looked at since the last round of eviction.
    used: bool,
    /// Since when it was not, the kernel was asked to forget it.
    asked: bool,
    /// Its place in the queue is the one with this number; others of it are left over.
    ticket: u32,
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

/// How to get to a file.
#[derive(Clone, Debug)]
pub struct Way<F> {
    /// One of its names.
    pub name: Name,
    /// How to tell whether that still is the file.
    pub identity: Identity,
    /// Its type, as in a mode.
    pub file_type: Option<FileType>,
    /// A control FD under a name that is gone, which servers may refuse.
    pub otherwise: Option<F>,
}

/// What there is of a file.
#[derive(Clone, Debug)]
pub enum Found<F> {
    /// Its control FD.
    Held(F),
    /// None. Walk.
    Lost(Way<F>),
}

/// What a round of eviction has come to.
#[derive(Debug)]
pub struct Sweep<F> {
    /// Files that were not used lately and that the kernel may be asked to forget.
    pub idle: Vec<NodeId>,
    /// Control FDs that are held no longer.
    pub given_up: Vec<F>,
}

/// All nodes of a mount, with control FDs `F`.
#[derive(Debug)]
pub struct Nodes<F> {
    nodes: HashMap<NodeId, Node<F>>,
    numbering: Numbering,
    /// Second-chance queue of those with a control FD.
    clock: VecDeque<(NodeId, u32)>,
    tickets: u32,
    /// Control FDs held.
    fds: usize,
    /// How many of them could be given up.
    spare: usize,
}

impl<F: Clone> Nodes<F> {
    /// The table of a mount with nothing but its root.
    pub fn new(root: &Inode, control: F) -> Self {
        let identity = Identity::of(&root.stat);
        let mut node = Node::new(identity, &root.stat);
        let name = Name { parent: NodeId::ROOT, name: Arc::from(&b""[..]) };
        (node.lookups, node.kept, node.control, node.walked_by) = (1, true, Some(control), Some(name));
        Nodes {
            nodes: HashMap::from([(NodeId::ROOT, node)]),
            numbering: Numbering::new(identity),
            clock: VecDeque::new(),
            tickets: 0,
            fds: 1,
            spare: 0,
        }
    }

    /// How many control FDs the nodes hold.
    pub fn fds(&self) -> usize {
        self.fds
    }

    /// How many of them could be given up.
    pub fn spare(&self) -> usize {
        self.spare
    }

    /// Changes node `id`, keeping count.
    fn change<R>(&mut self, id: NodeId, change: impl FnOnce(&mut Node<F>) -> R) -> Option<R> {
        let node = self.nodes.get_mut(&id)?;
        let (had, was_spare) = (node.control.is_some(), node.is_spare());
        let result = change(node);
        let (has, is_spare) = (node.control.is_some(), node.is_spare());
        if has && !had {
            self.tickets = self.tickets.wrapping_add(1);
            node.ticket = self.tickets;
            self.clock.push_back((id, node.ticket));
        }
        self.fds = self.fds + usize::from(has) - usize::from(had);
        self.spare = self.spare + usize::from(is_spare) - usize::from(was_spare);
        self.tidy_clock();
        Some(result)
    }

    /// Drops some of what forgotten nodes have left in the queue once they are the larger part of it.
    fn tidy_clock(&mut self) {
        for _ in 0..2 {
            if self.clock.len() <= 2 * self.fds + 1024 {
                return;
            }
            let Some((id, ticket)) = self.clock.pop_front() else { return };
            if self.nodes.get(&id).is_some_and(|node| node.control.is_some() && node.ticket == ticket) {
                self.clock.push_back((id, ticket));
            }
        }
    }

    /// The number under which applications see the file with `identity`.
    pub fn number_of(&mut self, identity: Identity) -> NodeId {
        self.numbering.number(identity)
    }

    /// A control FD of `id`, under a living name if there is one: servers may refuse operations through names that are
    /// gone.
    pub fn control(&mut self, id: NodeId) -> Result<Found<F>, Errno> {
        let node = self.nodes.get_mut(&id).ok_or(Errno::STALE)?;
        node.used = true;
        match (&node.control, node.names.first()) {
            (Some(control), name) if node.walked_by.is_some() || name.is_none() => Ok(Found::Held(control.clone())),
            (control, Some(name)) => Ok(Found::Lost(Way {
                name: name.clone(),
                identity: node.identity,
                file_type: node.file_type,
                otherwise: control.clone(),
            })),
            (_, None) => Err(Errno::STALE),
        }
    }

    /// Records that walking to `name` has led to `id`, by `control`.
    pub fn walked(&mut self, id: NodeId, name: &Name, control: F) {
        self.change(id, |node| {
            if (node.control.is_none() || node.walked_by.is_none()) && node.names.iter().any(|known| known == name) {
                node.control = Some(control);
                node.walked_by = Some(name.clone());
            }
        });
    }

    /// Gives `control` back to `id`, if it has none.
    pub fn restore(&mut self, id: NodeId, control: F) {
        self.change(id, |node| {
            node.control.get_or_insert(control);
        });
    }

    /// Never gives the control FD of `id` up.
    pub fn keep(&mut self, id: NodeId) {
        self.change(id, |node| node.kept = true);
    }

    /// The file that `name` in `parent` was last known to be, with its identity.
    pub fn child(&self, parent: NodeId, name: &[u8]) -> Option<(NodeId, Identity)> {
        let id = *self.nodes.get(&parent)?.children.get(name)?;
        Some((id, self.nodes.get(&id)?.identity))
    }

    /// The directory that `id` is in.
    pub fn parent(&self, id: NodeId) -> NodeId {
        let name = self.nodes.get(&id).and_then(|node| node.names.first());
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

    /// Records that `name` in `parent` is the file with attributes `stat` and control FD `control`, which the kernel is about to
    /// be told. `None`: that cannot be.
    pub fn insert(&mut self, parent: NodeId, name: &[u8], stat: &Statx, control: F) -> Option<NodeId> {
        let identity = Identity::of(stat);
        let id = self.numbering.number(identity);
        let is_other = |node: &Node<F>| node.identity != identity || node.file_type != stat.file_type();
        if id == NodeId::ROOT || self.nodes.get(&id).is_some_and(is_other) {
            // The server shows the root inside itself, or two files with one identity. Following either would corrupt both.
            return None;
        }
        let known = self.nodes.get(&parent).and_then(|directory| directory.children.get_key_value(name));
        let known = known.map(|(name, id)| (name.clone(), *id));
        if known.as_ref().is_some_and(|(_, other)| *other != id) {
            self.lose_name(parent, name);
        }
        let name = Name { parent, name: known.map_or_else(|| Arc::from(name), |(name, _)| name) };
        self.nodes.entry(id).or_insert_with(|| Node::new(identity, stat));
        let entered = name.name.clone();
        self.change(id, |node| {
            node.lookups += 1;
            node.used = true;
            node.see(stat);
            node.names.insert(name.clone());
            if node.control.is_none() || node.walked_by.is_none() {
                node.control = Some(control);
                node.walked_by = Some(name);
            }
        });
        self.enter(parent, entered, id);
        Some(id)
    }

    fn enter(&mut self, parent: NodeId, name: Arc<[u8]>, id: NodeId) {
        if let Some(directory) = self.nodes.get_mut(&parent) {
            directory.children.insert(name, id);
        }
    }

    /// Records that `name` in `parent` is gone.
    pub fn lose_name(&mut self, parent: NodeId, name: &[u8]) {
        let lost = self.nodes.get_mut(&parent).and_then(|directory| directory.children.remove_entry(name));
        let Some((name, id)) = lost else { return };
        let name = Name { parent, name };
        self.change(id, |node| {
            node.names.remove(&name);
            node.walked_by.take_if(|walked_by| *walked_by == name);
        });
    }

    /// Records that a rename has succeeded.
    pub fn renamed(&mut self, from: (NodeId, &[u8]), to: (NodeId, &[u8]), exchange: bool) {
        let source = self.child(from.0, from.1).map(|(id, _)| id);
        let target = self.child(to.0, to.1).map(|(id, _)| id);
        if source.is_some() && source == target {
            // Two links of one file: the kernel's rename does nothing.
            return;
        }
        if !exchange {
            self.lose_name(to.0, to.1);
        }
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
    }

    fn rename_one(&mut self, id: Option<NodeId>, from: (NodeId, &[u8]), to: (NodeId, &[u8])) {
        let Some(id) = id else { return };
        let name = |(parent, name): (NodeId, &[u8])| Name { parent, name: Arc::from(name) };
        let (from, to) = (name(from), name(to));
        self.change(id, |node| {
            node.names.remove(&from);
            node.names.insert(to.clone());
            if node.walked_by.as_ref() == Some(&from) {
                node.walked_by = Some(to.clone());
            }
        });
        self.enter(to.parent, to.name, id);
    }

    /// Takes `count` lookups back. When none is left the node goes.
    pub fn forget(&mut self, id: NodeId, count: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.lookups = node.lookups.saturating_sub(count);
        if node.lookups > 0 || id == NodeId::ROOT {
            return;
        }
        let Some(node) = self.nodes.remove(&id) else { return };
        self.fds -= usize::from(node.control.is_some());
        self.spare -= usize::from(node.is_spare());
        for name in node.names.iter() {
            let directory = self.nodes.get_mut(&name.parent);
            if let Some(directory) = directory.filter(|directory| directory.children.get(&name.name) == Some(&id)) {
                directory.children.remove(&name.name);
            }
        }
        // Nobody can walk to them by these names any more.
        for (name, child) in node.children {
            self.change(child, |node| node.names.remove(&Name { parent: id, name }));
        }
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

    /// Counts handles on `id`. `is_mappable`: a map can change the file.
    pub fn opened(&mut self, id: NodeId, is_mappable: bool) {
        self.change(id, |node| {
            node.handles += 1;
            node.mappable += u32::from(is_mappable);
        });
    }

    /// Counts handles on `id`. `was_mappable`: as it was opened.
    pub fn closed(&mut self, id: NodeId, was_mappable: bool) {
        self.change(id, |node| {
            node.handles = node.handles.saturating_sub(1);
            node.mappable = node.mappable.saturating_sub(was_mappable.into());
        });
    }

    /// Whether somebody has `id` open so that he can change it by a map.
    pub fn is_mappable(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.mappable > 0)
    }

    /// Looks at the next `count` files of the queue. Those that were not used since the last time and that nobody has open are
    /// idle at first; the control FDs of those that still are when they come up again are given up. With `force`, all are that
    /// can be.
    pub fn sweep(&mut self, count: usize, force: bool) -> Sweep<F> {
        let mut sweep = Sweep { idle: Vec::new(), given_up: Vec::new() };
        for _ in 0..count.min(self.clock.len()) {
            let Some((id, ticket)) = self.clock.pop_front() else { break };
            // What was forgotten meanwhile leaves the queue here.
            let node = self.nodes.get_mut(&id).filter(|node| node.control.is_some() && node.ticket == ticket);
            let Some(node) = node else { continue };
            let was_used = std::mem::take(&mut node.used);
            if node.is_spare() && (force || (!was_used && node.asked)) {
                node.asked = false;
                sweep.given_up.extend(node.control.take());
                node.walked_by = None;
                self.fds -= 1;
                self.spare -= 1;
                continue;
            }
            node.asked = !was_used && node.is_spare();
            // The kernel has those in a directory only with the directory.
            if node.asked && node.children.is_empty() {
                sweep.idle.push(id);
            }
            self.clock.push_back((id, ticket));
        }
        sweep
    }

    /// How long the queue is.
    pub fn queued(&self) -> usize {
        self.clock.len()
    }
}

/// The set-group-id bit.
const SET_GID: u16 = 0o2000;

impl<F> Node<F> {
    fn new(identity: Identity, stat: &Statx) -> Self {
        Node {
            identity,
            file_type: stat.file_type(),
            lookups: 0,
            names: Names::None,
            control: None,
            walked_by: None,
            children: HashMap::new(),
            handles: 0,
            mappable: 0,
            kept: false,
            used: true,
            asked: false,
            ticket: 0,
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

    /// Whether it holds a control FD and can do without: what has no name could not be walked to again, and what is open may lose its
    /// name behind our back.
    fn is_spare(&self) -> bool {
        self.control.is_some() && self.handles == 0 && !self.kept && !self.names.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use lisafs::wire::FdId;

    use super::*;

    const DIR: u16 = 0o040_755;
    const FILE: u16 = 0o100_644;

    type Table = Nodes<u64>;

    fn stat(ino: u64, mode: u16) -> Statx {
        Statx { ino, mode, dev_minor: 1, ..Statx::default() }
    }

    fn table() -> Table {
        Nodes::new(&Inode { control_fd: FdId(1), stat: stat(100, DIR) }, 1)
    }

    impl Table {
        fn add(&mut self, parent: NodeId, name: &str, control: u64, ino: u64, mode: u16) -> NodeId {
            self.insert(parent, name.as_bytes(), &stat(ino, mode), control).unwrap()
        }

        fn held(&mut self, id: NodeId) -> Option<u64> {
            match self.control(id) {
                Ok(Found::Held(control)) => Some(control),
                _ => None,
            }
        }

        /// The name to walk to, and the control FD for when that does not work.
        fn lost(&mut self, id: NodeId) -> (Name, Option<u64>) {
            match self.control(id) {
                Ok(Found::Lost(way)) => (way.name, way.otherwise),
                other => panic!("{other:?}"),
            }
        }

        /// Control FDs as counted and as they are.
        fn assert_counts(&self, fds: usize, spare: usize) {
            assert_eq!((self.fds, self.spare), (fds, spare));
            let nodes = self.nodes.values();
            assert_eq!(nodes.clone().filter(|node| node.control.is_some()).count(), fds);
            assert_eq!(nodes.filter(|node| node.is_spare()).count(), spare);
        }
    }

    #[test]
    fn hard_links_are_one_node_with_one_control_fd_by_a_living_name() {
        let mut nodes = table();
        let a = nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
        let b = nodes.add(NodeId::ROOT, "b", 3, 7, FILE);
        assert_eq!((a, b), (NodeId(7), NodeId(7)));
        assert_eq!(nodes.held(a), Some(2));
        nodes.assert_counts(2, 1);
        nodes.lose_name(NodeId::ROOT, b"a");
        let (name, otherwise) = nodes.lost(a);
        assert_eq!((&*name.name, otherwise), (&b"b"[..], Some(2)));
        nodes.walked(a, &name, 4);
        assert_eq!(nodes.held(a), Some(4));
        nodes.lose_name(NodeId::ROOT, b"b");
        assert_eq!(nodes.held(a), Some(4), "who is in it goes on");
        nodes.assert_counts(2, 0);
        nodes.forget(a, 1);
        assert_eq!(nodes.held(a), Some(4));
        nodes.forget(a, 1);
        assert_eq!(nodes.control(a).unwrap_err(), Errno::STALE);
        nodes.assert_counts(1, 0);
    }

    #[test]
    fn any_number_of_names_costs_one_control_fd() {
        let mut nodes = table();
        for number in 0..5000 {
            nodes.add(NodeId::ROOT, &number.to_string(), number, 7, FILE);
        }
        nodes.assert_counts(2, 1);
        for number in 0..4999 {
            nodes.lose_name(NodeId::ROOT, number.to_string().as_bytes());
        }
        assert_eq!(&*nodes.lost(NodeId(7)).0.name, b"4999");
        nodes.lose_name(NodeId::ROOT, b"4999");
        assert_eq!(nodes.held(NodeId(7)), Some(0));
    }

    #[test]
    fn a_name_that_was_lost_and_found_is_served_by_its_new_control_fd() {
        let mut nodes = table();
        let id = nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
        nodes.lose_name(NodeId::ROOT, b"a");
        nodes.add(NodeId::ROOT, "a", 3, 7, FILE);
        assert_eq!(nodes.held(id), Some(3));
    }

    #[test]
    fn a_name_that_became_another_file_leads_there() {
        let mut nodes = table();
        nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
        nodes.add(NodeId::ROOT, "a", 3, 8, FILE);
        assert_eq!(nodes.child(NodeId::ROOT, b"a").unwrap().0, NodeId(8));
        assert_eq!(nodes.held(NodeId(7)), Some(2), "the old file can still be used by who has it");
    }

    #[test]
    fn renames_move_names() {
        let mut nodes = table();
        let dir = nodes.add(NodeId::ROOT, "d", 2, 5, DIR);
        nodes.add(NodeId::ROOT, "a", 3, 7, FILE);
        nodes.add(dir, "b", 4, 8, FILE);
        nodes.renamed((NodeId::ROOT, b"a"), (dir, b"b"), false);
        assert_eq!(nodes.child(NodeId::ROOT, b"a"), None);
        assert_eq!(nodes.child(dir, b"b").unwrap().0, NodeId(7));
        assert_eq!(nodes.parent(NodeId(7)), dir);
        nodes.add(dir, "c", 5, 9, FILE);
        nodes.renamed((dir, b"b"), (dir, b"c"), true);
        assert_eq!(nodes.child(dir, b"b").unwrap().0, NodeId(9));
        assert_eq!(nodes.child(dir, b"c").unwrap().0, NodeId(7));
        assert_eq!((nodes.held(NodeId(7)), nodes.held(NodeId(9))), (Some(3), Some(5)), "renames keep control FDs");
    }

    #[test]
    fn renaming_one_link_over_another_changes_nothing() {
        let mut nodes = table();
        nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
        nodes.add(NodeId::ROOT, "b", 3, 7, FILE);
        nodes.renamed((NodeId::ROOT, b"a"), (NodeId::ROOT, b"b"), false);
        assert!(nodes.child(NodeId::ROOT, b"a").is_some() && nodes.child(NodeId::ROOT, b"b").is_some());
    }

    #[test]
    fn two_types_under_one_identity_are_refused() {
        let mut nodes = table();
        nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
        assert_eq!(nodes.insert(NodeId::ROOT, b"b", &stat(7, DIR), 3), None);
        assert_eq!(nodes.insert(NodeId::ROOT, b"loop", &stat(100, DIR), 4), None);
    }

    #[test]
    fn idle_files_are_given_up_when_they_still_are_the_next_time() {
        let mut nodes = table();
        let dir = nodes.add(NodeId::ROOT, "d", 2, 5, DIR);
        for (name, control, ino) in [("used", 3, 7), ("idle", 4, 8), ("open", 5, 9), ("kept", 6, 10), ("gone", 7, 11)] {
            nodes.add(dir, name, control, ino, FILE);
        }
        nodes.opened(NodeId(9), true);
        nodes.keep(NodeId(10));
        nodes.lose_name(dir, b"gone");
        nodes.assert_counts(7, 3);
        let first = nodes.sweep(100, false);
        assert!(first.idle.is_empty() && first.given_up.is_empty(), "all were just used");
        nodes.control(NodeId(7)).unwrap();
        let second = nodes.sweep(100, false);
        assert_eq!((second.idle, second.given_up.len()), (vec![NodeId(8)], 0), "a directory goes after what is in it");
        nodes.control(NodeId(7)).unwrap();
        assert_eq!(nodes.sweep(100, false).given_up, [2, 4]);
        nodes.assert_counts(5, 1);
        assert_eq!(nodes.sweep(100, true).given_up, [3]);
        nodes.assert_counts(4, 0);
        nodes.closed(NodeId(9), true);
        nodes.assert_counts(4, 1);
    }

    #[test]
    fn what_was_given_up_is_walked_to_again() {
        let mut nodes = table();
        let dir = nodes.add(NodeId::ROOT, "d", 2, 5, DIR);
        let file = nodes.add(dir, "a", 3, 7, FILE);
        assert_eq!(nodes.sweep(100, true).given_up, [2, 3]);
        let (name, otherwise) = nodes.lost(file);
        assert_eq!((name.parent, otherwise), (dir, None));
        assert_eq!(nodes.lost(dir).0.parent, NodeId::ROOT);
        nodes.walked(file, &name, 4);
        assert_eq!(nodes.held(file), Some(4));
        // A name that was lost meanwhile is no way to it.
        nodes.sweep(100, true);
        nodes.lose_name(dir, b"a");
        nodes.walked(file, &name, 5);
        assert_eq!(nodes.control(file).unwrap_err(), Errno::STALE);
        nodes.restore(file, 6);
        assert_eq!(nodes.held(file), Some(6));
    }

    #[test]
    fn the_queue_stays_short_though_files_come_and_go() {
        let mut nodes = table();
        for ino in 2..20_000 {
            let id = nodes.add(NodeId::ROOT, "a", ino, if ino == 100 { 20_000 } else { ino }, FILE);
            nodes.forget(id, 1);
        }
        assert!(nodes.queued() < 2000, "{}", nodes.queued());
    }

    #[test]
    fn a_name_of_a_directory_that_came_back_is_known_again() {
        let mut nodes = table();
        let dir = nodes.add(NodeId::ROOT, "d", 2, 5, DIR);
        let file = nodes.add(dir, "a", 3, 7, FILE);
        nodes.add(NodeId::ROOT, "b", 4, 7, FILE);
        // The file stays because of its other name.
        nodes.forget(dir, 1);
        assert_eq!(nodes.held(file), Some(3), "its control FD is as good as before");
        nodes.add(NodeId::ROOT, "d", 5, 5, DIR);
        nodes.add(dir, "a", 6, 7, FILE);
        assert_eq!(nodes.child(dir, b"a").unwrap().0, file);
        nodes.lose_name(dir, b"a");
        assert_eq!(&*nodes.lost(file).0.name, b"b");
    }

    #[test]
    fn a_file_of_another_type_under_a_known_number_is_another_file() {
        let mut nodes = table();
        let id = nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
        assert!(nodes.looked_up_again(id, &stat(7, FILE)));
        assert!(!nodes.looked_up_again(id, &stat(7, DIR)));
        // This number is what a file of the second device with inode number 7 gets.
        let foreign = Statx { dev_minor: 2, ..stat(7, FILE) };
        let taken = nodes.insert(NodeId::ROOT, b"b", &foreign, 3).unwrap();
        assert_ne!(nodes.insert(NodeId::ROOT, b"c", &stat(taken.0, FILE), 4), Some(taken));
    }

    #[test]
    fn an_exchange_with_an_unknown_file_leaves_no_name_behind() {
        let mut nodes = table();
        let known = nodes.add(NodeId::ROOT, "a", 2, 7, FILE);
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
        let stat = Statx { gid: 42, ..stat(5, DIR | SET_GID) };
        let dir = nodes.insert(NodeId::ROOT, b"d", &stat, 2).unwrap();
        assert_eq!(nodes.inheritance(dir).gid, Some(42));
        assert_eq!(nodes.inheritance(NodeId::ROOT).gid, None);
    }
}
