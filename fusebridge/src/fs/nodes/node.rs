//! One file.

use std::collections::HashMap;
use std::sync::Arc;

use lisafs::wire::{FileType, Statx, StatxTimestamp};

use crate::fs::identity::{Identity, NodeId};
use crate::fs::names::{Name, Names};

#[derive(Debug)]
pub(super) struct Node<F> {
    pub(super) identity: Identity,
    pub(super) file_type: Option<FileType>,
    /// How often the kernel was told of this file and has not forgotten it.
    pub(super) lookups: u64,
    pub(super) names: Names,
    pub(super) control: Option<F>,
    /// The name that the control FD was walked to by. `None`: it is no name of the file any more.
    pub(super) walked_by: Option<Name>,
    pub(super) children: HashMap<Arc<[u8]>, NodeId>,
    /// Open handles, which keep the control FD.
    pub(super) handles: u32,
    /// Those of them with which a mapping can be made that changes the file. They last as long as the mapping, unless
    /// it is one of a donated file.
    pub(super) mappable: u32,
    /// Never without its control FD.
    pub(super) kept: bool,
    /// Looked at since the last round of eviction.
    pub(super) used: bool,
    /// Since when it was not, the kernel was asked to forget it.
    pub(super) asked: bool,
    /// Its place in the queue is the one with this number; others of it are left over.
    pub(super) ticket: u32,
    /// Known to have no file capabilities, which the kernel asks for at each write.
    pub(super) no_capabilities: bool,
    /// Permission bits and group as last seen.
    pub(super) mode: u16,
    pub(super) gid: u32,
    /// Size as last seen.
    pub(super) size: u64,
    /// The kernel does not believe that the file ends before this.
    pub(super) end: u64,
    /// When data and attributes were changed, as last seen.
    times: (StatxTimestamp, StatxTimestamp),
    /// Another one for each change of the content that was seen or made.
    pub(super) version: u64,
    /// The kernel may have made mappings that change the file without telling.
    pub(super) changes_unseen: bool,
}

impl<F> Node<F> {
    pub(super) fn new(identity: Identity, stat: &Statx) -> Self {
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
            end: stat.size,
            times: (stat.mtime, stat.ctime),
            version: 0,
            changes_unseen: false,
        }
    }

    pub(super) fn see(&mut self, stat: &Statx) {
        self.mode = stat.mode;
        self.gid = stat.gid;
        let times = (stat.mtime, stat.ctime);
        self.version += u64::from((self.size, self.times) != (stat.size, times));
        (self.size, self.times) = (stat.size, times);
        // Of several answers, it may have believed any, but none from before its own last write.
        self.end = self.end.min(stat.size);
    }

    /// Whether it holds a control FD and can do without: what has no name could not be walked to again, and what is
    /// open may lose its name behind our back.
    pub(super) fn is_spare(&self) -> bool {
        self.control.is_some() && self.handles == 0 && !self.kept && !self.names.is_empty()
    }
}
