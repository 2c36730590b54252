//! Connections that may change nothing.

use std::sync::Arc;

use lisafs::backend::{Errno, Options};
use lisafs::wire::FdId;
use lisafs::wire::message::{ListenReq, WalkReq};
use lisafs::wire::{Pad, StringArray};

use crate::common::client::Pathway;
use crate::common::mem::Mem;
use crate::common::serve;

#[test]
fn changes_are_refused_before_anything_else_is_looked_at() {
    let mem = Arc::new(Mem::new(Options::default().read_only(true).tree_locks(true)));
    mem.add_file(&mem.root, b"f", b"data");
    let (mut client, _connection) = serve(mem);
    for message in [4, 8, 11, 13, 14, 15, 16, 18, 22, 23, 26, 28, 29, 33] {
        assert_eq!(client.raw(message, b"").unwrap_err(), Errno::ROFS, "{message}");
    }
    // These change nothing, and are looked at as always.
    for message in [3, 5, 6, 7, 9, 10, 12, 17, 19, 21, 24, 25, 27, 30, 31, 32] {
        assert_eq!(client.raw(message, b"").unwrap_err(), Errno::IO, "{message}");
    }
    let nothing = FdId(999);
    assert_eq!(client.open(nothing, libc::O_RDWR).unwrap_err(), Errno::ROFS);
    assert_eq!(client.open(nothing, libc::O_TRUNC).unwrap_err(), Errno::ROFS);
    assert_eq!(client.open(nothing, libc::O_RDONLY).unwrap_err(), Errno::BADF);
    assert_eq!(client.call(&ListenReq { fd: nothing, backlog: 1, pad: Pad }).unwrap_err(), Errno::BADF);
    let path = StringArray::default();
    assert_eq!(client.call(&WalkReq { dir: nothing, path }).unwrap_err(), Errno::BADF);

    let root = client.mount();
    let file = client.reach(root, &[b"f"]);
    let open = client.open(file, libc::O_RDONLY).unwrap();
    assert_eq!(client.read(open, 0, 10).unwrap(), b"data");
}
