//! Servers that go and come back, in this process: with the same files, or with others.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use gofer::extension::Claim;
use gofer::extensions::memfs::{MemFs, MemOptions};
use gofer::extensions::wrap::Wrapped;
use lisafs::backend::{
    Access, Attachment, Backend, ClientKind, DirEntry, DirSink, Errno, IoSource, IoTarget, Mode, Name, NewFile,
    OpenFile, OpenHow, Options, RenameFlags, Result, Unlink,
};
use lisafs::client::{Client, ClientOptions};
use lisafs::server::Server as LisaFsServer;
use lisafs::testing::Subject;
use parking_lot::Mutex;

use super::*;

mod dying;
mod unsure;

/// Files of a backend, for a client that may see all of them.
struct Trusting(Arc<MemFs>);

impl Backend for Trusting {
    fn options(&self) -> Options {
        self.0.options().client(ClientKind::Kernel)
    }

    fn attach(&self) -> Result<Attachment> {
        self.0.attach()
    }
}

/// A server that can be restarted.
#[derive(Clone)]
struct Restarted(Arc<Mutex<Now>>);

struct Now {
    /// `None`: it does not come back.
    files: Option<Arc<MemFs>>,
    socket: Option<UnixStream>,
    end: Option<dying::End>,
}

fn files() -> Arc<MemFs> {
    Arc::new(MemFs::new(MemOptions::default()).unwrap())
}

impl Restarted {
    fn new() -> Self {
        Restarted(Arc::new(Mutex::new(Now { files: Some(files()), socket: None, end: None })))
    }

    fn connect(&self) -> std::result::Result<Connected, String> {
        let mut now = self.0.lock();
        let files = now.files.clone().ok_or("gone")?;
        let (ours, theirs) = UnixStream::pair().unwrap();
        now.socket = Some(ours.try_clone().unwrap());
        drop(now);
        let backend = Wrapped::new(Claim::new(Arc::new(Trusting(files))), dying::Dying(self.clone()));
        let connection = LisaFsServer::new().connect(theirs.into(), b"/", Arc::new(backend)).unwrap();
        let mut server = Server::here(connection, ours);
        let options = ClientOptions::default().channels(2);
        let (client, root) = Client::connect(server.socket.take().unwrap().into(), &options).unwrap();
        Ok((client, root, server))
    }

    /// A mount's backend for it, whose calls wait for `limit`.
    fn backend(&self, limit: Duration) -> Reconnecting {
        self.backend_on(Terms { time_limit: limit, is_exclusive: false })
    }

    fn backend_on(&self, terms: Terms) -> Reconnecting {
        let server = self.clone();
        Reconnecting::new(self.connect().unwrap(), Box::new(move || server.connect()), terms).unwrap()
    }

    /// The server ends, and comes back with `files`.
    fn end(&self, files: Option<Arc<MemFs>>) -> Option<Arc<MemFs>> {
        let mut now = self.0.lock();
        now.socket.take().unwrap().shutdown(Shutdown::Both).unwrap();
        std::mem::replace(&mut now.files, files)
    }

    fn restart(&self) {
        let files = self.0.lock().files.clone();
        self.replace(files);
    }

    /// The same with other `files`. Returns when it has come back: the other one may answer for a moment, and a change
    /// that meets its end may have happened or not.
    fn replace(&self, files: Option<Arc<MemFs>>) -> Option<Arc<MemFs>> {
        let before = self.end(files);
        while self.0.lock().socket.is_none() {
            std::thread::yield_now();
        }
        before
    }
}

/// A backend whose server has been restarted once.
fn restarted() -> Subject {
    let server = Restarted::new();
    let backend = server.backend(LIMIT);
    backend.attach().unwrap();
    server.restart();
    Subject::new(backend)
}

const LIMIT: Duration = Duration::from_secs(60);

lisafs::testing::suite!(after_a_restart, Capabilities::all(), restarted);

fn name(text: &str) -> Name<'_> {
    Name::new(text.as_bytes()).unwrap()
}

const NEW: NewFile = NewFile::new(Mode::new(0o600), 0, 0);

fn read(file: &dyn OpenFile) -> Result<Vec<u8>> {
    let mut bytes = [0; 100];
    let count = file.read_at(IoTarget::from(&mut bytes[..]), 0)?;
    Ok(bytes[..count].to_vec())
}

fn write(file: &dyn OpenFile, bytes: &[u8], offset: u64) {
    assert_eq!(file.write_at(IoSource::from(bytes), offset).unwrap(), bytes.len());
}

struct Names(Vec<String>, usize);

impl DirSink for Names {
    fn add(&mut self, entry: &DirEntry<'_>) -> bool {
        if self.0.len() == self.1 {
            return false;
        }
        self.0.push(String::from_utf8_lossy(entry.name).into_owned());
        true
    }
}

#[test]
fn files_go_on_wherever_they_were_moved() {
    let server = Restarted::new();
    let backend = server.backend(LIMIT);
    let root = backend.attach().unwrap().root.file;
    let dir = root.mkdir(name("d"), &NEW).unwrap().file;
    let made = dir.create(name("f"), &NEW, Access::ReadWrite).unwrap();
    let other = root.create(name("g"), &NEW, Access::ReadWrite).unwrap();
    write(&*made.opened.file, b"one", 0);
    root.rename(name("d"), &*root, name("e"), RenameFlags::Replace).unwrap();
    root.rename(name("g"), &*dir, name("f"), RenameFlags::Exchange).unwrap();
    for round in 0..3 {
        server.restart();
        assert_eq!(read(&*made.opened.file).unwrap()[..3], *b"one");
        write(&*made.opened.file, &[round], 3 + u64::from(round));
        write(&*other.opened.file, b"two", 0);
        assert_eq!(made.found.file.stat().unwrap().size, u64::from(round) + 4);
        assert_eq!(dir.walk(name("f")).unwrap().stat.ino, other.found.stat.ino);
        let mut names = Names(Vec::new(), 9);
        root.open(OpenHow::new(Access::Read)).unwrap().file.read_dir(0, &mut names).unwrap();
        names.0.sort();
        assert_eq!(names.0, ["e", "g"]);
    }
}

#[test]
fn a_listing_goes_on_and_a_deep_file_is_found() {
    let server = Restarted::new();
    let backend = server.backend(LIMIT);
    let mut dir = backend.attach().unwrap().root.file;
    for depth in 0..100 {
        dir = dir.mkdir(name(&format!("directory number {depth}")), &NEW).unwrap().file;
    }
    for file in ["a", "b", "c"] {
        dir.create(name(file), &NEW, Access::Read).unwrap();
    }
    let open = dir.open(OpenHow::new(Access::Read)).unwrap().file;
    let mut first = Names(Vec::new(), 1);
    open.read_dir(0, &mut first).unwrap();
    server.restart();
    let mut rest = Names(Vec::new(), 9);
    open.read_dir(1, &mut rest).unwrap();
    first.0.extend(rest.0);
    first.0.sort();
    assert_eq!(first.0, ["a", "b", "c"]);
    assert!(open.stat().is_ok());
}

#[test]
fn what_is_not_the_same_file_is_stale() {
    let server = Restarted::new();
    let backend = server.backend(LIMIT);
    let root = backend.attach().unwrap().root.file;
    let gone = root.create(name("gone"), &NEW, Access::ReadWrite).unwrap();
    let replaced = root.create(name("replaced"), &NEW, Access::ReadWrite).unwrap();
    root.unlink(name("gone"), Unlink::File).unwrap();
    assert!(read(&*gone.opened.file).is_ok(), "while the server lives");
    // By somebody else.
    let files = server.0.lock().files.clone().unwrap();
    let others = files.attach().unwrap().root.file;
    others.unlink(name("replaced"), Unlink::File).unwrap();
    others.create(name("replaced"), &NEW, Access::Read).unwrap();
    server.restart();
    for file in [gone, replaced] {
        assert_eq!(read(&*file.opened.file).unwrap_err(), Errno::STALE);
        assert_eq!(file.found.file.stat().unwrap_err(), Errno::STALE);
    }
    assert!(root.walk(name("replaced")).unwrap().file.stat().is_ok());
}

#[test]
fn another_file_system_is_stale_until_the_first_one_is_back() {
    let server = Restarted::new();
    let backend = server.backend(LIMIT);
    let root = backend.attach().unwrap().root.file;
    root.mkdir(name("d"), &NEW).unwrap();
    let first = server.replace(Some(files()));
    assert_eq!(root.walk(name("d")).map(drop).unwrap_err(), Errno::STALE);
    server.replace(first);
    // The connection to the other one may still be there.
    let found =
        std::iter::repeat_with(|| root.walk(name("d")).map(drop)).find(|found| *found != Err(Errno::STALE.into()));
    assert_eq!(found, Some(Ok(())));
}

#[test]
fn what_may_be_lost_is_told_once() {
    let server = Restarted::new();
    let backend = server.backend(LIMIT);
    let root = backend.attach().unwrap().root.file;
    let file = root.create(name("f"), &NEW, Access::ReadWrite).unwrap().opened.file;
    write(&*file, b"synced", 0);
    file.sync().unwrap();
    server.restart();
    file.sync().unwrap();
    write(&*file, b"not synced", 0);
    server.restart();
    write(&*file, b"after that", 0);
    assert_eq!(file.sync().unwrap_err(), Errno::IO);
    file.sync().unwrap();
    assert_eq!(read(&*file).unwrap(), b"after that");
}

#[test]
fn calls_wait_no_longer_than_they_may() {
    let server = Restarted::new();
    let backend = server.backend(Duration::from_millis(50));
    let root = backend.attach().unwrap().root.file;
    let files = server.end(None);
    // The last connection may answer for a moment.
    let stat = std::iter::repeat_with(|| root.stat()).find(Result::is_err);
    assert_eq!(stat.unwrap().unwrap_err(), Errno::IO);
    assert_eq!(root.mkdir(name("d"), &NEW).map(drop).unwrap_err(), Errno::IO);
    server.0.lock().files = files;
    // As soon as it is back.
    let stat = std::iter::repeat_with(|| root.stat()).find(Result::is_ok);
    assert!(stat.is_some());
    root.mkdir(name("d"), &NEW).unwrap();
}
