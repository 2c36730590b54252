//! What has to fit together: names and files, files and their content, counts and what they count.

use std::collections::HashSet;

use super::walk::{File, Walk};
use crate::key;
use crate::node::ROOT;
use crate::record::{S_IFMT, Segment, encode};

impl Walk<'_> {
    /// Judges what is in the metadata alone.
    pub(super) fn judge(&mut self) {
        self.report.files = self.inodes.len() as u64;
        self.report.nameless = self.nameless.len() as u64;
        let inodes = std::mem::take(&mut self.inodes);
        if inodes.get(ROOT).is_none_or(|root| !root.is_dir()) {
            self.report.problem("there is no root directory");
        }
        for (ino, inode) in inodes.iter() {
            self.judge_file(ino, inode);
        }
        self.inodes = inodes;
        self.judge_strays();
        self.judge_tree();
        self.judge_segments();
        self.judge_counters();
    }

    fn judge_file(&mut self, ino: u64, inode: &File) {
        let mut wrong = Vec::new();
        let names = self.names.get(&ino);
        let count = names.map_or(0, |names| names.count);
        let is_nameless = self.nameless.contains(&ino);
        if names.is_some_and(|names| names.kind & S_IFMT != inode.mode & S_IFMT) {
            wrong.push("its name says it is of another type".to_owned());
        }
        if (inode.nlink == 0) != is_nameless {
            wrong.push(if is_nameless { "it is to be deleted and has links" } else { "it has no links" }.to_owned());
        }
        if inode.is_dir() {
            let (all, directories) = self.dirs.get(&ino).map_or((0, 0), |entries| (entries.all, entries.directories));
            let expected = u32::from(ino != ROOT && !is_nameless);
            if count != expected {
                wrong.push(format!("it is a directory with {count} names"));
            }
            if !is_nameless && inode.nlink != 2 + directories {
                wrong.push(format!("it says it has {} links but has {}", inode.nlink, 2 + directories));
            }
            if inode.size != all {
                wrong.push(format!("it says it has {} entries but has {all}", inode.size));
            }
            let parent = if ino == ROOT { ROOT } else { names.map_or(inode.parent, |names| names.dir) };
            if inode.parent != parent {
                wrong.push(format!("it says it is in directory {} but is in {parent}", inode.parent));
            }
        } else {
            if inode.nlink != count {
                wrong.push(format!("it says it has {} names but has {count}", inode.nlink));
            }
            if count == 0 && !is_nameless {
                // The next process that writes deletes it.
                self.repairs.push((key::orphan(ino), Some(Vec::new())));
            }
        }
        let (held, end) = self.data.get(ino).map_or((0, 0), |data| (data.held, data.end));
        if inode.held != held {
            wrong.push(format!("it says it holds {} bytes but holds {held}", inode.held));
        }
        if end > inode.size.div_ceil(self.superblock.block.into()) {
            wrong.push("it has data beyond its end".to_owned());
        }
        let xattrs = self.xattrs.get(ino).copied().unwrap_or_default();
        if inode.xattrs != xattrs {
            wrong.push(format!("it says it has {} extended attributes but has {xattrs}", inode.xattrs));
        }
        for what in wrong {
            self.report.problem(format!("file {ino}: {what}"));
        }
    }

    /// What belongs to files that are not there.
    fn judge_strays(&mut self) {
        let is_missing = |ino: u64| !self.inodes.contains(ino);
        let mut problems: Vec<String> = Vec::new();
        let named = self.names.iter().filter(|(ino, _)| is_missing(**ino));
        problems.extend(
            named.map(|(ino, it)| format!("a name in directory {} leads to file {ino}, which does not exist", it.dir)),
        );
        problems.extend(
            self.dirs
                .keys()
                .filter(|ino| is_missing(**ino))
                .map(|ino| format!("there are names in directory {ino}, which does not exist")),
        );
        problems.extend(
            self.data
                .iter()
                .filter(|(ino, _)| is_missing(*ino))
                .map(|(ino, _)| format!("there is data of file {ino}, which does not exist")),
        );
        problems.extend(
            self.xattrs
                .iter()
                .filter(|(ino, _)| is_missing(*ino))
                .map(|(ino, _)| format!("there are attributes of file {ino}, which does not exist")),
        );
        problems.extend(
            self.nameless
                .iter()
                .filter(|ino| is_missing(**ino))
                .map(|ino| format!("file {ino} is to be deleted but does not exist")),
        );
        let lost: Vec<_> =
            self.nameless.iter().filter(|ino| is_missing(**ino)).map(|ino| (key::orphan(*ino), None)).collect();
        self.repairs.extend(lost);
        problems.sort_unstable();
        for problem in problems {
            self.report.problem(problem);
        }
    }

    /// Every directory must be below the root.
    fn judge_tree(&mut self) {
        let mut below = HashSet::from([ROOT]);
        let mut lost = Vec::new();
        for ino in self.inodes.iter().filter(|(_, inode)| inode.is_dir()).map(|(ino, _)| ino) {
            let mut path = Vec::new();
            let mut seen = HashSet::new();
            let mut at = ino;
            let is_below = loop {
                if below.contains(&at) {
                    break true;
                }
                // A circle, or an end that is not the root.
                if !seen.insert(at) {
                    break false;
                }
                path.push(at);
                match self.names.get(&at) {
                    Some(names) => at = names.dir,
                    None => break false,
                }
            };
            if is_below {
                below.extend(path);
            } else if !self.nameless.contains(&ino) {
                lost.push(ino);
            }
        }
        lost.sort_unstable();
        for ino in lost {
            self.report.problem(format!("directory {ino} is not below the root"));
        }
    }

    fn judge_segments(&mut self) {
        self.report.segments = self.uses.len() as u64;
        let mut problems = Vec::new();
        for ((volume, number), used) in &self.uses {
            let segment = self.segments.get(&(*volume, *number));
            let live = segment.map_or(0, |segment| segment.live);
            if live != used.bytes {
                problems.push(format!("segment {number:016x} says that {live} bytes are in use; {} are", used.bytes));
                let right = segment.map(|segment| Segment { live: used.bytes, dead_since: 0, ..*segment });
                self.repairs.extend(right.map(|right| (key::segment(*volume, *number), Some(encode(&right)))));
            }
            if let Some(segment) = segment {
                let is_inside = |end: u64| end <= segment.size;
                if !used.extents.iter().all(|it| is_inside(u64::from(it.offset) + u64::from(it.len))) {
                    problems.push(format!("segment {number:016x} is used beyond its end"));
                }
            }
        }
        for ((volume, number), segment) in &self.segments {
            if segment.live > 0 && !self.uses.contains_key(&(*volume, *number)) {
                problems.push(format!("segment {number:016x} says that {} bytes are in use; none is", segment.live));
                let right = Segment { live: 0, dead_since: crate::volume::now().sec, ..*segment };
                self.repairs.push((key::segment(*volume, *number), Some(encode(&right))));
            }
        }
        problems.sort_unstable();
        for problem in problems {
            self.report.problem(problem);
        }
    }

    fn judge_counters(&mut self) {
        let Some(state) = self.state else { return self.report.problem("there are no counters") };
        let files = self.inodes.len() as u64;
        let bytes: u64 = self.inodes.iter().map(|(_, inode)| inode.held).sum();
        if (state.files, state.bytes) != (files, bytes) {
            let (said, held) = (state.files, state.bytes);
            self.report
                .problem(format!("the volume says it has {said} files of {held} bytes; it has {files} of {bytes}"));
        }
        if self.inodes.iter().any(|(ino, _)| ino >= state.next_ino) {
            self.report.problem("numbers of files would be given twice");
        }
        if self
            .segments
            .keys()
            .any(|(volume, number)| *volume == self.superblock.index() && number >> 32 > u64::from(state.openings))
        {
            self.report.problem("numbers of segments would be given twice");
        }
    }
}
