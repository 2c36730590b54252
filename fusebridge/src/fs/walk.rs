//! Ways to files: each has one control FD, and none if it was not used lately. Then it is walked to again.

use std::sync::Arc;

use lisafs::Errno;
use lisafs::wire::Inode;

use super::bridge::{Bridge, Result};
use super::control::Control;
use super::identity::{Identity, NodeId};
use super::nodes::{Found, Way};

impl Bridge {
    /// A control FD of `id`.
    pub(super) fn control(&self, id: NodeId) -> Result<Arc<Control>> {
        let found = self.nodes.lock().control(id)?;
        match found {
            Found::Held(fd) => Ok(fd),
            Found::Lost(way) => self.walk_to(id, way),
        }
    }

    /// Walks to `id`, and before that to the directories on the way that have no control FD either.
    #[cold]
    fn walk_to(&self, id: NodeId, way: Way<Arc<Control>>) -> Result<Arc<Control>> {
        let mut ways = vec![(id, way)];
        loop {
            let Some((id, way)) = ways.last() else { return Err(Errno::STALE) };
            let dir = self.nodes.lock().control(way.name.parent);
            let fd = match dir {
                Ok(Found::Held(dir)) => self.step(*id, way, &dir),
                // Each directory is once on the way at most, unless the server has moved them into each other
                // meanwhile.
                Ok(Found::Lost(up)) if ways.iter().all(|(id, _)| *id != way.name.parent) => {
                    let up = (way.name.parent, up);
                    ways.push(up);
                    continue;
                }
                Ok(Found::Lost(_)) => Err(Errno::STALE),
                Err(error) => Err(error),
            };
            match fd {
                Ok(Some(fd)) => {
                    ways.pop();
                    if ways.is_empty() {
                        return Ok(fd);
                    }
                }
                // The name has led to nothing and is gone. The file may have others.
                Ok(None) => {
                    let id = *id;
                    ways.pop();
                    match self.nodes.lock().control(id)? {
                        Found::Held(fd) if ways.is_empty() => return Ok(fd),
                        Found::Held(_) => {}
                        Found::Lost(way) => ways.push((id, way)),
                    }
                }
                Err(error) => return way.otherwise.clone().filter(|_| ways.len() == 1).ok_or(error),
            }
        }
    }

    /// Walks the last step to `id`, from its directory. `None`: it is not there any more, which is remembered.
    fn step(&self, id: NodeId, way: &Way<Arc<Control>>, dir: &Control) -> Result<Option<Arc<Control>>> {
        let is_it =
            |inode: &Inode| Identity::of(&inode.stat) == way.identity && inode.stat.file_type() == way.file_type;
        let found = match self.evictor.with_room(|| self.client.lookup(dir.id(), &way.name.name)) {
            Ok(inode) => Some((Control::new(&self.client, inode.control_fd), is_it(&inode))),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error),
        };
        let fd = found.and_then(|(fd, is_it)| is_it.then_some(fd));
        let held = {
            let mut nodes = self.nodes.lock();
            match &fd {
                Some(fd) => nodes.walked(id, &way.name, fd.clone()),
                None => {
                    nodes.lose_name(way.name.parent, &way.name.name);
                }
            }
            nodes.fds()
        };
        self.evictor.held(held);
        Ok(fd)
    }
}
