//! Two clients of one server, which write to one new file at the same moment.

mod common;

use std::sync::{Arc, Barrier};
use std::thread;

use gofer::extension::Claim;
use gofer::extensions::memfs::{MemFs, MemOptions};
use gofer_crypt::CryptFs;
use gofer_crypt::format::FileId;
use lisafs::backend::{Access, Backend, Name, OpenHow};
use lisafs::client::{Client, ClientOptions};
use lisafs::server::Server;
use lisafs::wire::CreateCommon;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use common::{DEFAULT, PLAIN};

const BLOCK: usize = 4096;

#[test]
fn the_file_id_is_made_exactly_once() {
    const READ_WRITE: u32 = 2;
    const ROUNDS: usize = 200;
    let directory = tempfile::tempdir().unwrap();
    for features in [DEFAULT, PLAIN] {
        let config = directory.path().join("config");
        std::fs::write(&config, common::config(features)).unwrap();
        let inner = Arc::new(MemFs::new(MemOptions::default()).unwrap());
        let volume = CryptFs::open(Claim::new(inner.clone()), config.to_str().unwrap(), &common::password()).unwrap();
        let volume: Arc<dyn Backend> = Arc::new(volume);
        let server = Server::new();
        let (connections, clients): (Vec<_>, Vec<_>) = (0..2)
            .map(|_| {
                let (ours, theirs) =
                    socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
                let connection = server.connect(theirs, b"/", volume.clone()).unwrap();
                (connection, Client::connect(ours, &ClientOptions::default().channels(1)).unwrap())
            })
            .unzip();
        let (start, written) = (Barrier::new(2), Barrier::new(2));
        thread::scope(|scope| {
            for (number, (client, root)) in clients.iter().enumerate() {
                let (start, written) = (&start, &written);
                scope.spawn(move || {
                    let root = root.inode.control_fd;
                    for round in 0..ROUNDS {
                        let name = format!("file-{round}");
                        if number == 0 {
                            let new = CreateCommon::new(root, 0, 0, 0o600);
                            client.open_create_at(new, READ_WRITE, name.as_bytes()).unwrap();
                        }
                        start.wait();
                        let found = client.lookup(root, name.as_bytes()).unwrap();
                        let (file, _) = client.open_at(found.control_fd, READ_WRITE).unwrap();
                        start.wait();
                        // Each its own block: a block goes with the id that it was encrypted with.
                        let block = [u8::try_from(number + 1).unwrap(); BLOCK];
                        assert_eq!(client.pwrite(file, (number * BLOCK) as u64, &block), Ok(BLOCK));
                        written.wait();
                        let both = client.pread(file, 0, 3 * BLOCK, |data| data.to_vec()).unwrap();
                        assert!(both.len() == 2 * BLOCK && both[..BLOCK] == [1; BLOCK] && both[BLOCK..] == [2; BLOCK]);
                        client.close_all(&[file, found.control_fd]);
                    }
                });
            }
        });
        drop((clients, connections));
        // What is stored says so, too: no two files have one id.
        let root = inner.attach().unwrap().root.file;
        if features == PLAIN {
            let ids = (0..ROUNDS).map(|round| {
                let file = root.walk(Name::new(format!("file-{round}").as_bytes()).unwrap()).unwrap().file;
                let mut header = [0; 18];
                let opened = file.open(OpenHow::new(Access::Read)).unwrap().file;
                assert_eq!(opened.read_at((&mut header[..]).into(), 0).unwrap(), header.len());
                FileId::parse(&header).unwrap().header()
            });
            assert_eq!(ids.collect::<std::collections::HashSet<_>>().len(), ROUNDS);
        }
    }
}
