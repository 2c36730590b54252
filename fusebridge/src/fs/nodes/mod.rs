//! The files that the kernel knows, the names they have, and the server's control FDs for them.
//!
//! A file has one control FD, or none: then one is made when it is needed, by walking to one of its names.

mod node;
mod seen;
mod sweep;
#[cfg(test)]
mod tests;

pub use seen::Inheritance;
pub use sweep::Sweep;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use lisafs::Errno;
use lisafs::wire::{FileType, Inode, Statx};

use super::identity::{Identity, NodeId, Numbering};
use super::names::Name;
use node::Node;

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

/// All nodes of a mount, with control FDs `F`.
#[derive(Debug)]
pub struct Nodes<F> {
    /// Boxed, since a table has room for twice as many as it was made for.
    nodes: HashMap<NodeId, Box<Node<F>>>,
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
            nodes: HashMap::from([(NodeId::ROOT, Box::new(node))]),
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

    /// Counts one more lookup of a known file whose attributes are `stat`. `false`: it is not known any more, or
    /// another file has its number by now.
    pub fn looked_up_again(&mut self, id: NodeId, stat: &Statx) -> bool {
        let node = self.nodes.get_mut(&id).filter(|node| node.file_type == stat.file_type());
        let Some(node) = node else { return false };
        node.lookups += 1;
        node.used = true;
        node.see(stat);
        true
    }

    /// Records that `name` in `parent` is the file with attributes `stat` and control FD `control`, which the kernel is
    /// about to be told. `None`: that cannot be.
    pub fn insert(&mut self, parent: NodeId, name: &[u8], stat: &Statx, control: F) -> Option<NodeId> {
        let identity = Identity::of(stat);
        let id = self.numbering.number(identity);
        let is_other = |node: &Node<F>| node.identity != identity || node.file_type != stat.file_type();
        if id == NodeId::ROOT || self.nodes.get(&id).is_some_and(|node| is_other(node)) {
            // The server shows the root inside itself, or two files with one identity. Following either would corrupt
            // both.
            return None;
        }
        let known = self.nodes.get(&parent).and_then(|directory| directory.children.get_key_value(name));
        let known = known.map(|(name, id)| (name.clone(), *id));
        if known.as_ref().is_some_and(|(_, other)| *other != id) {
            self.lose_name(parent, name);
        }
        let name = Name { parent, name: known.map_or_else(|| Arc::from(name), |(name, _)| name) };
        self.nodes.entry(id).or_insert_with(|| Box::new(Node::new(identity, stat)));
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

    /// Counts handles on `id`. `is_mappable`: a mapping can change the file.
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

    /// Whether somebody has `id` open so that he can change it by a mapping.
    pub fn is_mappable(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.mappable > 0)
    }
}
