//! The messages that a sandbox sends, counted in its own log: whoever serves, it is the sandbox that decides.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Numbers of messages by kind.
pub(super) type Counts = BTreeMap<String, u64>;

/// The log of a sandbox, of which a part is read.
pub(super) struct Log {
    path: PathBuf,
    read: u64,
}

impl Log {
    /// The one in the directory that `--debug-log` names.
    pub(super) fn find(directory: &Path) -> Result<Self> {
        let files = fs::read_dir(directory)?.collect::<std::io::Result<Vec<_>>>()?;
        let of_sandbox = files.into_iter().find(|file| file.file_name().to_string_lossy().contains("boot"));
        Ok(Self { path: of_sandbox.context("no log of the sandbox")?.path(), read: 0 })
    }

    /// Counts what has been sent since the last time.
    pub(super) fn count(&mut self) -> Result<Counts> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        self.read += file.read_to_end(&mut bytes)? as u64;
        Ok(count(&String::from_utf8_lossy(&bytes)))
    }
}

/// Counts the requests in a log. The names are those of gVisor's types.
fn count(log: &str) -> Counts {
    let mut counts = Counts::new();
    for line in log.lines() {
        match message(line) {
            Some(("send", request)) => {
                *counts.entry(request.trim_end_matches("Req").to_owned()).or_default() += 1;
            }
            // Its request looks like one to walk.
            Some(("recv", "WalkStatResp")) => {
                *counts.entry("WalkStat".to_owned()).or_default() += 1;
                if let Some(walks) = counts.get_mut("Walk") {
                    *walks -= 1;
                }
            }
            _ => {}
        }
    }
    counts.retain(|_, count| *count > 0);
    counts
}

/// The direction and the type of a message: `... send [channel 3] WalkReq{..`.
fn message(line: &str) -> Option<(&str, &str)> {
    let (before, rest) = line.split_once(" [")?;
    let direction = before.rsplit(' ').next()?;
    let (_, message) = rest.split_once("] ")?;
    let (name, _) = message.split_once('{')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then_some((direction, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_their_type() {
        let log = "\
I1129 21:56:40.870100    9180 config.go:413] Platform: systrap
D1129 21:56:41.871006    9180 client.go:400] send [channel 0xc00035b290] WalkReq{DirFD: 1, Path: [a, ]}
D1129 21:56:41.871120    9180 client.go:400] recv [channel 0xc00035b290] WalkResp{Status: 0, Inodes: []}
D1129 21:56:41.873000    9180 client.go:400] send [channel 0xc0003fa5a0] WalkReq{DirFD: 1, Path: [b]}
D1129 21:56:41.873220    9180 client.go:400] recv [channel 0xc0003fa5a0] WalkStatResp{Stats: [{Mask:8191}]}
D1129 21:56:41.873479    9180 client.go:400] send [sockComm 4] OpenAtReq{FD: 4, Flags: 0}
D1129 21:56:41.873523    9180 client.go:400] recv [sockComm 4] ErrorResp{errno: 2}
D1129 21:56:41.873600    9180 task.go:12] send [7 8] to whoever {asks}
";
        let expected = [("OpenAt", 1), ("Walk", 1), ("WalkStat", 1)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!(count(log), Counts::from(expected));
    }
}
