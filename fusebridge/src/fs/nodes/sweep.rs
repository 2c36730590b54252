//! Control FDs that are given up, those first that were not used lately.

use super::Nodes;
use crate::fs::identity::NodeId;

/// What a round of eviction has come to.
#[derive(Debug)]
pub struct Sweep<F> {
    /// Files that were not used lately and that the kernel may be asked to forget.
    pub idle: Vec<NodeId>,
    /// Control FDs that are held no longer.
    pub given_up: Vec<F>,
}

impl<F> Nodes<F> {
    /// Looks at the next `count` files of the queue. Those that were not used since the last time and that nobody has
    /// open are idle at first; the control FDs of those that still are when they come up again are given up. With
    /// `force`, all are that can be.
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

    /// Drops some of what forgotten nodes have left in the queue once they are the larger part of it.
    pub(super) fn tidy_clock(&mut self) {
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
}
