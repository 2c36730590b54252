//! Comparing listings of directories. How a listing is divided into answers is the server's affair, and so is its
//! order.

use std::collections::{HashMap, HashSet};

use lisafs::wire::message::{Getdents64Req, Getdents64Resp};
use lisafs::wire::{FdId, Malformed, MessageId, Pad, Wire};

use super::super::describe::words::dirent_type;
use super::compare::{Comparison, name_differences};
use lisafs::client::Client;

/// A server that goes on for ever is believed so many entries.
const MOST_ENTRIES: usize = 10_000_000;

/// The listings that are under way, by recorded FD.
#[derive(Debug, Default)]
pub(super) struct Listings(HashMap<FdId, Listing>);

/// Names with their types.
#[derive(Debug, Default)]
struct Listing {
    recorded: Vec<Vec<u8>>,
    now: Vec<Vec<u8>>,
    /// Names that were made or removed meanwhile, in whichever directory: whether a listing has them is left open.
    changed: HashSet<Vec<u8>>,
}

impl Listings {
    /// Takes notice of both answers to the recorded `request`, which was made with `fd` on this connection, and returns
    /// what is different if the recorded listing ends with them.
    pub(super) fn answered(
        &mut self,
        comparison: Comparison,
        client: &Client,
        request: &[u8],
        fd: FdId,
        recorded: &[u8],
        now: &[u8],
    ) -> Result<Vec<String>, Malformed> {
        let request = Getdents64Req::from_bytes(request)?;
        let (recorded, now) = (Getdents64Resp::from_bytes(recorded)?, Getdents64Resp::from_bytes(now)?);
        let listing = self.0.entry(request.dir).or_default();
        if request.count < 0 {
            *listing = Listing::default();
        }
        listing.recorded.extend(entries(&recorded));
        listing.now.extend(entries(&now));
        if !recorded.dirents.is_empty() {
            return Ok(Vec::new());
        }
        let Some(mut listing) = self.0.remove(&request.dir) else { return Ok(Vec::new()) };
        if !now.dirents.is_empty() {
            listing.read_to_the_end(client, fd, request.count)?;
        }
        Ok(listing.differences(comparison))
    }

    /// Takes notice that `name` is made or removed while they go on.
    pub(super) fn changed(&mut self, name: &[u8]) {
        for listing in self.0.values_mut() {
            listing.changed.insert(name.to_vec());
        }
    }

    /// Nothing more will come of `fd`.
    pub(super) fn forget(&mut self, fd: FdId) {
        self.0.remove(&fd);
    }
}

impl Listing {
    /// What is different now that both have ended.
    fn differences(mut self, comparison: Comparison) -> Vec<String> {
        if comparison.strict {
            let is_same = self.recorded == self.now;
            let mut found = name_differences(self.recorded, self.now);
            if found.is_empty() && !is_same {
                found.push("the order of the names is another one".to_owned());
            }
            return found;
        }
        for names in [&mut self.recorded, &mut self.now] {
            names.retain(|entry| !self.changed.contains(entry.as_slice()) && !self.changed.contains(name(entry)));
        }
        name_differences(self.recorded, self.now)
    }

    /// Reads what is left of this connection's listing, now that the recorded one has ended.
    fn read_to_the_end(&mut self, client: &Client, dir: FdId, count: i32) -> Result<(), Malformed> {
        let count = i32::try_from(count.unsigned_abs()).unwrap_or(i32::MAX);
        let mut request = Vec::new();
        if (Getdents64Req { dir, count, pad: Pad }).encode(&mut request).is_err() {
            return Ok(());
        }
        while self.now.len() < MOST_ENTRIES {
            // An error ends it as well: what is missing is a difference.
            let Ok(answer) = client.call_raw(MessageId::GETDENTS64, &request) else { return Ok(()) };
            let answer = Getdents64Resp::from_bytes(&answer.payload)?;
            if answer.dirents.is_empty() {
                return Ok(());
            }
            self.now.extend(entries(&answer));
        }
        Ok(())
    }
}

/// Names, with their type behind them where it is not that of most.
fn entries(answer: &Getdents64Resp<'_>) -> impl Iterator<Item = Vec<u8>> {
    answer.dirents.iter().map(|dirent| match dirent_type(dirent.kind) {
        "file" => dirent.name.to_vec(),
        "directory" => [dirent.name, b"/"].concat(),
        other => [dirent.name, b" (", other.as_bytes(), b")"].concat(),
    })
}

/// The name of what [`entries`] gives.
fn name(entry: &[u8]) -> &[u8] {
    if let Some(name) = entry.strip_suffix(b"/") {
        return name;
    }
    let type_at = entry.ends_with(b")").then(|| entry.windows(2).rposition(|two| two == b" (")).flatten();
    type_at.map_or(entry, |at| &entry[..at])
}

#[cfg(test)]
mod tests {
    use super::super::compare::tests::{LOOSE, STRICT};
    use super::*;

    fn listing(recorded: &[&str], now: &[&str]) -> Listing {
        let names = |names: &[&str]| names.iter().map(|name| name.as_bytes().to_vec()).collect();
        Listing { recorded: names(recorded), now: names(now), changed: HashSet::new() }
    }

    #[test]
    fn names_that_change_meanwhile_may_be_listed_or_not() {
        let mut listings = Listings::default();
        listings.0.insert(FdId(1), listing(&["a", "b", "c/"], &["b", "d (fifo)", "e"]));
        for name in ["a", "c", "d"] {
            listings.changed(name.as_bytes());
        }
        let found = listings.0.remove(&FdId(1)).unwrap().differences(LOOSE);
        assert_eq!(found, ["in addition: e"]);
        // Those that came later are not excused.
        listings.0.insert(FdId(1), listing(&["a"], &[]));
        assert_eq!(listings.0.remove(&FdId(1)).unwrap().differences(LOOSE), ["missing: a"]);
    }

    #[test]
    fn the_strict_want_all_names_in_order() {
        let mut changed = listing(&["a"], &[]);
        changed.changed.insert(b"a".to_vec());
        assert_eq!(changed.differences(STRICT), ["missing: a"]);
        let other = || listing(&["a", "b"], &["b", "a"]);
        assert_eq!(other().differences(STRICT), ["the order of the names is another one"]);
        assert_eq!(other().differences(LOOSE), [""; 0]);
    }
}
