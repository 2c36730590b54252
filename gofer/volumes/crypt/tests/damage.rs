//! Damaged volumes: what is damaged fails, its neighbours do not.

mod common;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use gofer_crypt::CryptFs;
use gofer_crypt::format::Features;
use lisafs::backend::{
    Access, Backend, ControlBox, ControlFile, DirEntry, DirSink, Errno, Mode, NO_ID, Name, NewFile, OpenBox, OpenHow,
    Result, Unlink, XattrFlags,
};
use tempfile::TempDir;

use common::{DEFAULT, XCHACHA};

const BLOCK: usize = 4096;

fn name(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

fn new(mode: u16) -> NewFile {
    NewFile::new(Mode::new(mode), NO_ID, NO_ID)
}

fn content() -> Vec<u8> {
    (0..251).cycle().take(5 * BLOCK + 100).collect()
}

/// A volume with some files.
struct Scene {
    directory: TempDir,
    volume: CryptFs,
    /// Bytes of a whole block, encrypted.
    block: u64,
}

impl Scene {
    fn new(features: Features) -> Self {
        let directory = common::volume(features);
        let volume = common::open(directory.path());
        let block = if features == DEFAULT { 4128 } else { 4136 };
        let scene = Scene { directory, volume, block };
        scene.make("victim");
        scene.make("neighbour");
        scene.make(&"long".repeat(50));
        let dir = scene.root().mkdir(name("dir"), &new(0o700)).unwrap().file;
        dir.create(name("inside"), &new(0o600), Access::Write).unwrap();
        scene
    }

    fn root(&self) -> ControlBox {
        self.volume.attach().unwrap().root.file
    }

    fn make(&self, file: &str) {
        let file = self.root().create(name(file), &new(0o600), Access::Write).unwrap().opened.file;
        assert_eq!(file.write_at(content().as_slice().into(), 0).unwrap(), content().len());
    }

    fn walk(&self, file: &str) -> ControlBox {
        self.root().walk(name(file)).unwrap().file
    }

    fn open(&self, file: &str) -> OpenBox {
        self.walk(file).open(OpenHow::new(Access::ReadWrite)).unwrap().file
    }

    /// Where a file is in the host's directory.
    fn stored(&self, file: &str) -> PathBuf {
        let ino = self.walk(file).stat().unwrap().ino;
        let mut entries = fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        entries.find(|path| fs::symlink_metadata(path).unwrap().ino() == ino).unwrap()
    }

    /// Where block `number` begins.
    fn at(&self, number: u64) -> u64 {
        18 + number * self.block
    }

    /// Reads each block of a file: its bytes, or the error.
    fn blocks(&self, file: &str) -> Vec<std::result::Result<Vec<u8>, Errno>> {
        let file = self.open(file);
        let blocks = file.stat().unwrap().size.div_ceil(BLOCK as u64);
        (0..blocks).map(|number| read(&file, number * BLOCK as u64, BLOCK).map_err(|error| error.errno())).collect()
    }

    /// Fails unless exactly the blocks `damaged` of the victim are, and its neighbours are as they were.
    #[track_caller]
    fn damaged(&self, damaged: &[usize]) {
        let content = content();
        for (number, (block, expected)) in self.blocks("victim").iter().zip(content.chunks(BLOCK)).enumerate() {
            let expected = if damaged.contains(&number) { Err(Errno::IO) } else { Ok(expected.to_vec()) };
            assert!(*block == expected, "block {number}");
        }
        // In one request with others it is an error, too: no byte of it, and no end of the file before it.
        let whole = read(&self.open("victim"), 0, content.len());
        assert!(if damaged.is_empty() { whole.is_ok() } else { whole.is_err_and(|error| error == Errno::IO) });
        self.others();
    }

    #[track_caller]
    fn others(&self) {
        for other in ["neighbour", &"long".repeat(50)] {
            assert!(read(&self.open(other), 0, 1 << 20).unwrap() == content());
        }
    }

    fn names(&self) -> Vec<String> {
        list(&*self.root()).unwrap()
    }
}

fn read(file: &OpenBox, offset: u64, len: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let count = file.read_at((&mut bytes[..]).into(), offset)?;
    bytes.truncate(count);
    Ok(bytes)
}

fn list(dir: &dyn ControlFile) -> Result<Vec<String>> {
    struct Names(Vec<String>);
    impl DirSink for Names {
        fn add(&mut self, entry: &DirEntry<'_>) -> bool {
            self.0.push(String::from_utf8(entry.name.to_vec()).unwrap());
            true
        }
    }
    let mut names = Names(Vec::new());
    dir.open(OpenHow::new(Access::Read)).unwrap().file.read_dir(0, &mut names)?;
    names.0.sort();
    Ok(names.0)
}

/// Changes some bytes of a file of the host.
fn patch(path: &Path, at: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, at).unwrap();
}

fn bytes(path: &Path, at: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(len).unwrap()];
    fs::File::open(path).unwrap().read_exact_at(&mut bytes, at).unwrap();
    bytes
}

#[test]
fn a_changed_block() {
    for features in [DEFAULT, XCHACHA] {
        let scene = Scene::new(features);
        scene.damaged(&[]);
        let stored = scene.stored("victim");
        let at = scene.at(2) + 1000;
        patch(&stored, at, &[!bytes(&stored, at, 1)[0]]);
        scene.damaged(&[2]);
        // A part of it cannot be written, since the rest is not known; all of it can.
        let file = scene.open("victim");
        assert_eq!(file.write_at((&b"part"[..]).into(), 2 * BLOCK as u64 + 10), Err(Errno::IO.into()));
        let whole = &content()[2 * BLOCK..3 * BLOCK];
        assert_eq!(file.write_at(whole.into(), 2 * BLOCK as u64), Ok(BLOCK));
        scene.damaged(&[]);
    }
}

#[test]
fn a_file_that_is_cut_off() {
    for features in [DEFAULT, XCHACHA] {
        let scene = Scene::new(features);
        let stored = scene.stored("victim");
        let cut = |len| OpenOptions::new().write(true).open(&stored).unwrap().set_len(len).unwrap();
        cut(scene.at(5) + 50);
        scene.damaged(&[5]);
        cut(scene.at(5) + 3);
        scene.damaged(&[5]);
        cut(scene.at(4) + 4000);
        assert_eq!(scene.blocks("victim").last(), Some(&Err(Errno::IO)));
        for len in [17, 1] {
            cut(len);
            assert_eq!(scene.blocks("victim"), [Err(Errno::IO)]);
        }
        cut(0);
        assert_eq!(scene.blocks("victim"), []);
        scene.others();
    }
}

#[test]
fn blocks_in_the_wrong_place() {
    for features in [DEFAULT, XCHACHA] {
        let scene = Scene::new(features);
        let (stored, other) = (scene.stored("victim"), scene.stored("neighbour"));
        let block = |path: &Path, number| bytes(path, scene.at(number), scene.block);
        let (one, two) = (block(&stored, 1), block(&stored, 2));
        patch(&stored, scene.at(1), &two);
        patch(&stored, scene.at(2), &one);
        scene.damaged(&[1, 2]);
        patch(&stored, scene.at(1), &block(&other, 1));
        patch(&stored, scene.at(2), &two);
        scene.damaged(&[1]);
        // Zeros are a hole, which the format cannot tell from damage.
        patch(&stored, scene.at(1), &vec![0; one.len()]);
        assert_eq!(scene.blocks("victim")[1], Ok(vec![0; BLOCK]));
        patch(&stored, scene.at(1), &one);
        scene.damaged(&[]);
    }
}

#[test]
fn a_damaged_header() {
    let scene = Scene::new(DEFAULT);
    let (stored, other) = (scene.stored("victim"), scene.stored("neighbour"));
    for header in [vec![0; 18], vec![0xff; 18], [&[0, 3][..], &[1; 16]].concat(), bytes(&other, 0, 18)] {
        patch(&stored, 0, &header);
        scene.damaged(&[0, 1, 2, 3, 4, 5]);
        let file = scene.open("victim");
        assert!(file.write_at((&b"part"[..]).into(), 10).is_err());
    }
}

#[test]
fn names_that_do_not_decrypt() {
    let scene = Scene::new(DEFAULT);
    let all = ["dir".to_owned(), "long".repeat(50), "neighbour".to_owned(), "victim".to_owned()];
    assert_eq!(scene.names(), all);
    let file = |name: &str, content: &[u8]| fs::write(scene.directory.path().join(name), content).unwrap();
    file("plain", b"");
    file("AAAAAAAAAAAAAAAAAAAAAA", b"");
    file("gocryptfs.longname.AAAA", b"");
    file("gocryptfs.longname.BBBB", b"");
    file("gocryptfs.longname.BBBB.name", b"not its name");
    file("gocryptfs.longname.CCCC.name", &[b'x'; 10_000]);
    file("gocryptfs.diriv.rmdir.17", b"left by a crash");
    fs::create_dir(scene.directory.path().join("gocryptfs.longname.DDDD.name")).unwrap();
    assert_eq!(scene.names(), all);
    let long = scene.stored(&"long".repeat(50));
    let of_long = PathBuf::from(format!("{}.name", long.display()));
    fs::write(&of_long, "changed").unwrap();
    assert_eq!(scene.names(), ["dir", "neighbour", "victim"]);
    fs::remove_file(&of_long).unwrap();
    assert_eq!(scene.names(), ["dir", "neighbour", "victim"]);
    // Who knows its name has it all the same, and can give it another.
    scene.others();
    scene.root().link(name(&"long".repeat(51)), &*scene.walk(&"long".repeat(50))).unwrap();
    assert_eq!(scene.names(), ["dir".to_owned(), "long".repeat(51), "neighbour".to_owned(), "victim".to_owned()]);
}

#[test]
fn directories_without_their_vector() {
    let scene = Scene::new(DEFAULT);
    let stored = scene.stored("dir");
    let vector = stored.join("gocryptfs.diriv");
    let good = fs::read(&vector).unwrap();
    for bad in [None, Some(&[0; 16][..]), Some(b""), Some(&good[1..]), Some(&[1; 17])] {
        fs::remove_file(&vector).ok();
        if let Some(bad) = bad {
            fs::write(&vector, bad).unwrap();
        }
        let dir = scene.walk("dir");
        assert_eq!(list(&*dir), Err(Errno::IO.into()), "{bad:?}");
        assert_eq!(dir.walk(name("inside")).map(|_| ()), Err(Errno::IO.into()), "{bad:?}");
        assert_eq!(dir.create(name("new"), &new(0o600), Access::Read).map(|_| ()), Err(Errno::IO.into()), "{bad:?}");
        assert_eq!(scene.root().unlink(name("dir"), Unlink::Directory), Err(Errno::NOTEMPTY.into()));
    }
    assert_eq!(scene.names().len(), 4);
    fs::remove_file(&vector).unwrap();
    fs::write(&vector, &good).unwrap();
    assert_eq!(list(&*scene.walk("dir")).unwrap(), ["inside"]);
    // What a crash in rmdir leaves can be removed, and what a crash in mkdir leaves.
    scene.walk("dir").unlink(name("inside"), Unlink::File).unwrap();
    fs::remove_file(&vector).unwrap();
    fs::write(stored.join("gocryptfs.longname.AAAA.name"), "of nobody").unwrap();
    scene.root().unlink(name("dir"), Unlink::Directory).unwrap();
    assert_eq!(scene.names().len(), 3);
}

#[test]
fn damaged_links_and_attributes() {
    let scene = Scene::new(DEFAULT);
    scene.root().symlink(name("link"), b"target", &new(0o777)).unwrap();
    let stored = scene.stored("link");
    fs::remove_file(&stored).unwrap();
    for target in ["target", "AAAA", "../../etc/passwd", &"A".repeat(200)] {
        symlink(target, &stored).unwrap();
        assert_eq!(scene.walk("link").read_link(), Err(Errno::IO.into()));
        assert!(scene.names().contains(&"link".to_owned()));
        fs::remove_file(&stored).unwrap();
    }
    let victim = scene.walk("victim");
    victim.set_xattr(b"user.a", b"value", XattrFlags::empty()).unwrap();
    victim.set_xattr(b"user.b", b"value", XattrFlags::empty()).unwrap();
    let inner = common::host(scene.directory.path()).backend.attach().unwrap().root.file;
    let stored = scene.stored("victim");
    let inner = inner.walk(Name::new(stored.file_name().unwrap().as_encoded_bytes()).unwrap()).unwrap().file;
    for of_b in inner.list_xattr().unwrap() {
        let value = inner.get_xattr(&of_b).unwrap();
        inner.set_xattr(&of_b, &value[1..], XattrFlags::empty()).unwrap();
    }
    for damaged in [&b"user.a"[..], b"user.b"] {
        assert_eq!(victim.get_xattr(damaged), Err(Errno::IO.into()));
    }
    inner.set_xattr(b"user.gocryptfs.AAAA", b"value", XattrFlags::empty()).unwrap();
    inner.set_xattr(b"user.mine", b"value", XattrFlags::empty()).unwrap();
    let mut names = victim.list_xattr().unwrap();
    names.sort();
    assert_eq!(names, [b"user.a", b"user.b"]);
    scene.damaged(&[]);
}
