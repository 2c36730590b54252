//! Comparing listings of directories. How a listing is divided into answers is the server's affair, and so is its order.

use std::collections::HashMap;

use gofer::wire::message::{Getdents64Req, Getdents64Resp};
use gofer::wire::{FdId, Malformed, MessageId, Pad, Wire};

use super::super::describe::words::dirent_type;
use super::compare::{Comparison, name_differences};
use crate::client::Client;

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
}

impl Listings {
    /// Takes notice of both answers to the recorded `request`, which was made with `fd` on this connection, and answers what
    /// is different if the recorded listing ends with them.
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
        if comparison.strict && listing.recorded != listing.now {
            let mut found = name_differences(listing.recorded, listing.now);
            if found.is_empty() {
                found.push("the order of the names is another one".to_owned());
            }
            return Ok(found);
        }
        Ok(name_differences(listing.recorded, listing.now))
    }

    /// Nothing more will come of `fd`.
    pub(super) fn forget(&mut self, fd: FdId) {
        self.0.remove(&fd);
    }
}

impl Listing {
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
