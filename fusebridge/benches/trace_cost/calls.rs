//! Calls of a client.

use std::path::Path;
use std::sync::Arc;

use fusebridge::launch::{BackendSpec, Server};
use fusebridge::trace::{Facts, Recorder, RecorderOptions};
use lisafs::client::{Client, ClientOptions};
use lisafs::wire::FdId;

use super::pairs::Pairs;
use super::{launcher, traces};

/// A client of a served directory, and its server. Fields are dropped from the top.
struct Side {
    client: Client,
    root: FdId,
    open: FdId,
    _server: Server,
}

impl Side {
    fn new(directory: &Path, trace: Option<Arc<Recorder>>, channels: usize) -> Self {
        let mut server = launcher().launch(&BackendSpec::Host(directory.into())).expect("a server");
        let socket = server.socket.take().expect("a connection");
        let options = ClientOptions::default().channels(channels).trace(trace);
        let (client, root) = Client::connect(socket.into(), &options).expect("a mount");
        let root = root.inode.control_fd;
        let file = client.lookup(root, b"file").expect("the file is there");
        let (open, _) = client.open_at(file.control_fd, libc::O_RDWR.unsigned_abs()).expect("it can be opened");
        Side { client, root, open, _server: server }
    }
}

pub(crate) fn measure(pairs: &Pairs) {
    for (over, channels) in [("channel", 1), ("socket", 0)] {
        let directory = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
        std::fs::write(directory.path().join("file"), vec![7; 1 << 20]).expect("a file");
        let traces = traces();
        let trace = |data: bool| {
            let path = traces.path().join(if data { "data" } else { "lengths" });
            Some(Recorder::create(&path, &Facts::new(), RecorderOptions::default().data(data)).expect("a trace"))
        };
        let off = Side::new(directory.path(), None, channels);
        let on = Side::new(directory.path(), trace(false), channels);
        let with_data = Side::new(directory.path(), trace(true), channels);
        let compare = |name: &str, on: &Side, call: &dyn Fn(&Side)| {
            pairs.compare(&format!("{name}, {over}"), &mut || call(&off), &mut || call(on));
        };
        let page = [1; 4096];
        let read = |side: &Side, count: usize| {
            assert_eq!(side.client.pread(side.open, 0, count, |data| data.len()), Ok(count));
        };
        compare("FStat", &on, &|side| assert!(side.client.fstat(side.open).is_ok()));
        compare("Walk, Close", &on, &|side| {
            let file = side.client.lookup(side.root, b"file").expect("it is there");
            side.client.close(file.control_fd);
        });
        compare("OpenAt, Close", &on, &|side| {
            let file = side.client.open_at(side.root, 0).expect("it can be opened");
            side.client.close(file.0);
        });
        compare("PRead 4 KiB", &on, &|side| read(side, 4096));
        compare("PRead 1 MiB", &on, &|side| read(side, 1 << 20));
        compare("PWrite 4 KiB", &on, &|side| {
            assert_eq!(side.client.pwrite(side.open, 0, &page), Ok(page.len()));
        });
        compare("PRead 4 KiB, --trace-data", &with_data, &|side| read(side, 4096));
    }
}
