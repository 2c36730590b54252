//! Which path an FD stands for, from what was said so far.

use std::collections::HashMap;

use lisafs::wire::message::{RenameAt2Req, UnlinkAtReq};
use lisafs::wire::{FdId, Malformed, MessageId, Wire};
use slab::Slab;

use super::granted::granted;
use super::reader::{Answer, Record};
use super::target::{Target, targets};

/// `RENAME_EXCHANGE` of the kernel.
const EXCHANGE: u32 = 2;

/// The part of the tree that FDs were seen in, kept up to date with each record.
#[derive(Debug, Default)]
pub(super) struct Paths {
    nodes: Slab<Node>,
    /// Names as they are now. A node that has lost its name is not among them.
    names: HashMap<(NodeId, Vec<u8>), NodeId>,
    fds: HashMap<FdId, NodeId>,
}

type NodeId = usize;

#[derive(Debug)]
struct Node {
    /// Where it is, or was; `None` for the root, and for what an FD of unknown origin stands for.
    place: Option<(NodeId, Vec<u8>)>,
    is_root: bool,
    is_gone: bool,
    /// FDs and nodes in it. Without any, it is forgotten.
    users: usize,
}

/// A path, for people and for comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathOf {
    /// From the root of the mount, beginning with a slash; with a question mark if the origin is unknown.
    pub(super) path: Vec<u8>,
    /// The name has been removed meanwhile.
    pub(super) is_gone: bool,
}

impl Paths {
    /// Takes notice of a message. What makes no sense is ignored.
    pub(super) fn learn(&mut self, record: &Record<'_>) {
        let Answer::Answered(answer) = record.outcome else { return };
        // A record that ends too early has nothing to learn from.
        let _: Result<(), Malformed> = self.learn_answer(record.message, record.request, answer);
    }

    fn learn_answer(&mut self, message: MessageId, request: &[u8], answer: &[u8]) -> Result<(), Malformed> {
        let about = targets(message, request)?;
        let granted = granted(message, answer)?;
        match message {
            MessageId::MOUNT => {
                let root = self.nodes.insert(Node { place: None, is_root: true, is_gone: false, users: 0 });
                granted.iter().for_each(|fd| self.bind(*fd, root));
            }
            MessageId::CLOSE => about.iter().for_each(|target| {
                if let Target::Fd(fd) = target {
                    self.close(*fd);
                }
            }),
            MessageId::UNLINK_AT => {
                let request = UnlinkAtReq::from_bytes(request)?;
                let dir = self.node(request.dir);
                self.remove(dir, request.name);
            }
            MessageId::RENAME_AT | MessageId::RENAME_AT2 => {
                let [Target::Entry(old_dir, old_name), Target::Entry(new_dir, new_name)] = about[..] else {
                    return Ok(());
                };
                let flags = match message {
                    MessageId::RENAME_AT2 => RenameAt2Req::from_bytes(request)?.flags,
                    _ => 0,
                };
                self.rename((old_dir, old_name), (new_dir, new_name), flags & EXCHANGE != 0);
            }
            _ => match about.last() {
                Some(Target::Walk(dir, path)) => {
                    let mut node = self.node(*dir);
                    for (name, fd) in path.iter().zip(granted) {
                        node = self.child(node, name);
                        self.bind(fd, node);
                    }
                }
                Some(Target::Entry(dir, name)) => {
                    let dir = self.node(*dir);
                    let node = self.child(dir, name);
                    granted.iter().for_each(|fd| self.bind(*fd, node));
                }
                Some(Target::Fd(fd)) if !granted.is_empty() => {
                    let node = self.node(*fd);
                    granted.iter().for_each(|fd| self.bind(*fd, node));
                }
                Some(Target::Fd(_)) | None => {}
            },
        }
        Ok(())
    }

    /// The path of `target` before the message that has it is [learned](Self::learn).
    pub(super) fn path_of(&self, target: &Target<'_>) -> PathOf {
        match target {
            Target::Fd(fd) => self.path_of_fd(*fd),
            Target::Entry(dir, name) => self.path_of_fd(*dir).join([*name]),
            Target::Walk(dir, names) => self.path_of_fd(*dir).join(names.iter()),
        }
    }

    /// The path of what `fd` stands for.
    pub(super) fn path_of_fd(&self, fd: FdId) -> PathOf {
        let Some(node) = self.fds.get(&fd) else { return PathOf { path: b"?".to_vec(), is_gone: false } };
        let mut names = Vec::new();
        let (mut at, mut is_gone) = (*node, false);
        while let Some((parent, name)) = &self.nodes[at].place {
            is_gone |= self.nodes[at].is_gone;
            names.push(name.as_slice());
            at = *parent;
        }
        let top = if self.nodes[at].is_root { "/" } else { "?" };
        PathOf { path: top.into(), is_gone }.join(names.into_iter().rev())
    }

    /// The node of `fd`; of an FD that was granted before recording began, one of unknown place.
    fn node(&mut self, fd: FdId) -> NodeId {
        if let Some(node) = self.fds.get(&fd) {
            return *node;
        }
        let node = self.nodes.insert(Node { place: None, is_root: false, is_gone: false, users: 0 });
        self.bind(fd, node);
        node
    }

    fn bind(&mut self, fd: FdId, node: NodeId) {
        self.nodes[node].users += 1;
        if let Some(before) = self.fds.insert(fd, node) {
            self.release(before);
        }
    }

    fn close(&mut self, fd: FdId) {
        if let Some(node) = self.fds.remove(&fd) {
            self.release(node);
        }
    }

    /// The node called `name` in `dir`, which is there from now on. An empty name is `dir` itself.
    fn child(&mut self, dir: NodeId, name: &[u8]) -> NodeId {
        if name.is_empty() {
            return dir;
        }
        let place = (dir, name.to_vec());
        if let Some(node) = self.names.get(&place) {
            return *node;
        }
        let node = self.nodes.insert(Node { place: Some(place.clone()), is_root: false, is_gone: false, users: 0 });
        self.names.insert(place, node);
        self.nodes[dir].users += 1;
        node
    }

    /// Takes one user from `node`, and forgets it and what is above it as far as nobody uses them.
    fn release(&mut self, mut node: NodeId) {
        loop {
            self.nodes[node].users -= 1;
            if self.nodes[node].users > 0 {
                return;
            }
            let Some(place) = self.nodes.remove(node).place else { return };
            if self.names.get(&place) == Some(&node) {
                self.names.remove(&place);
            }
            node = place.0;
        }
    }

    /// What is called `name` in `dir` has lost its name, but for those who hold it.
    fn remove(&mut self, dir: NodeId, name: &[u8]) {
        if let Some(node) = self.names.remove(&(dir, name.to_vec())) {
            self.nodes[node].is_gone = true;
        }
    }

    /// Whether `node` is `top` or below it.
    fn is_within(&self, mut node: NodeId, top: NodeId) -> bool {
        while node != top {
            match self.nodes[node].place {
                Some((parent, _)) => node = parent,
                None => return false,
            }
        }
        true
    }

    fn rename(&mut self, old: (FdId, &[u8]), new: (FdId, &[u8]), exchange: bool) {
        let old = (self.node(old.0), old.1.to_vec());
        let new = (self.node(new.0), new.1.to_vec());
        let moved = self.names.remove(&old);
        if exchange {
            if let Some(other) = self.names.remove(&new) {
                self.place(other, old);
            }
        } else {
            self.remove(new.0, &new.1);
        }
        if let Some(moved) = moved {
            self.place(moved, new);
        }
    }

    /// Gives `node` another place, unless that is within itself: no server that works says so.
    fn place(&mut self, node: NodeId, place: (NodeId, Vec<u8>)) {
        if self.is_within(place.0, node) {
            return;
        }
        self.nodes[place.0].users += 1;
        self.names.insert(place.clone(), node);
        if let Some((before, _)) = self.nodes[node].place.replace(place) {
            self.release(before);
        }
    }
}

impl PathOf {
    fn join<'n>(mut self, names: impl IntoIterator<Item = &'n [u8]>) -> Self {
        for name in names.into_iter().filter(|name| !name.is_empty()) {
            if self.path != b"/" {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
        }
        self
    }

    /// Whether this is `top` or something below it.
    pub(super) fn is_within(&self, top: &[u8]) -> bool {
        match self.path.strip_prefix(top) {
            Some(rest) => rest.is_empty() || rest[0] == b'/' || top.ends_with(b"/"),
            None => false,
        }
    }
}
