//! Damage of every kind, looked for here and by Debian's `gocryptfs -fsck`.

mod common;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use gofer_crypt::directory::{config_path, init, load_config};
use gofer_crypt::format::{
    BLOCK, ContentCipher, DIR_IV, DirIv, Entry, Features, FileId, HEADER_LEN, Keys, NameEncryption, NewConfig, Stored,
};
use gofer_crypt::fsck::{Finding, Observer, Severity, Summary, check};
use tempfile::TempDir;

use common::stored::{as_path, dir_iv, encrypted};
use common::{DEFAULT, PLAIN, password};

/// Changes one byte. Writing a certain one would now and then change nothing: what is encrypted is random.
fn flip(file: &File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

/// An encrypted directory with some files.
struct Volume {
    directory: TempDir,
    keys: Keys,
}

const LONG: &str = "a name that is so long that it is kept in a file of its own, as are all that have 176 bytes and more \
                    of which this is one, since it goes on and on and on and on until there are enough";

impl Volume {
    fn new(features: Features) -> Self {
        // Extended attributes are wanted, which not every /tmp has.
        let directory = tempfile::tempdir_in("/var/tmp").unwrap();
        let new = NewConfig { features, scrypt_n: 10 };
        let config = config_path(directory.path());
        let key = init(directory.path(), &config, &new, &password()).unwrap();
        let keys = key.keys(&load_config(&config).unwrap());
        Volume { directory, keys }
    }

    fn with_files(features: Features) -> Self {
        let volume = Self::new(features);
        for directory in ["d", "d/e", "empty"] {
            volume.mkdir(directory);
        }
        volume.write("file", &vec![7; 5 * BLOCK + 100]);
        volume.write("other", &vec![8; 5 * BLOCK + 100]);
        volume.write("nothing", b"");
        volume.write("d/e/deep", b"deep");
        volume.write(LONG, b"long");
        volume.symlink("link", b"to/somewhere");
        rustix::fs::setxattr(
            volume.path("file"),
            as_path(&volume.keys.store_attribute(b"user.mine").unwrap()),
            &volume.keys.store_value(b"value"),
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
        volume
    }

    /// Where the directory of `path` is on disk, and what `path` is called there.
    fn place(&self, path: &str) -> (PathBuf, Stored) {
        let (dir, name) = path
            .rsplit_once('/')
            .map_or((self.directory.path().to_owned(), path), |(dir, name)| (self.path(dir), name));
        let stored = self.keys.names.store(name.as_bytes(), &dir_iv(&self.keys, &dir)).unwrap();
        (dir, stored)
    }

    /// Where `path` is on disk.
    fn path(&self, path: &str) -> PathBuf {
        let (dir, stored) = self.place(path);
        dir.join(as_path(stored.entry()))
    }

    /// The same, and the file with the long name.
    fn new_path(&self, path: &str) -> PathBuf {
        let (dir, stored) = self.place(path);
        if let Stored::Long { content, full } = &stored {
            fs::write(dir.join(as_path(&Entry::name_file(content))), full).unwrap();
        }
        dir.join(as_path(stored.entry()))
    }

    fn mkdir(&self, path: &str) {
        let dir = self.new_path(path);
        fs::create_dir(&dir).unwrap();
        if self.keys.names.have_dir_ivs() {
            fs::write(dir.join(as_path(DIR_IV)), DirIv::random().as_bytes()).unwrap();
        }
    }

    fn write(&self, path: &str, plain: &[u8]) {
        fs::write(self.new_path(path), encrypted(&self.keys, plain)).unwrap();
    }

    fn symlink(&self, path: &str, target: &[u8]) {
        let target = self.keys.store_target(target).unwrap();
        symlink(OsStr::from_bytes(&target), self.new_path(path)).unwrap();
    }

    fn change(&self, path: &str, change: impl FnOnce(&File)) {
        change(&OpenOptions::new().read(true).write(true).open(self.path(path)).unwrap());
    }

    /// Where block `number` of a file is.
    fn block(&self, number: u64) -> u64 {
        self.keys.content.layout().position(number).unwrap()
    }

    /// A file beside others: of `dir` if that is a directory.
    fn beside(&self, dir: &str, name: &[u8]) -> PathBuf {
        let dir = if dir.is_empty() { self.directory.path().to_owned() } else { self.path(dir) };
        dir.join(as_path(name))
    }

    fn check(&self) -> (Summary, Vec<String>) {
        let mut found = Found::default();
        let summary =
            check(self.directory.path(), &config_path(self.directory.path()), &self.keys, &mut found).unwrap();
        // A file with several names is looked at once.
        assert!(summary.files + summary.directories + summary.symlinks + summary.others <= found.entries);
        assert_eq!(summary.bytes, found.bytes);
        (summary, found.lines)
    }

    /// What gocryptfs says.
    fn gocryptfs_finds(&self) -> bool {
        let mut command = Command::new("gocryptfs");
        command.args(["-quiet", "-nosyslog", "-extpass", "echo secret", "-fsck"]).arg(self.directory.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        match output.status.code() {
            Some(0) => false,
            Some(26) => true,
            other => panic!("gocryptfs -fsck: {other:?} {}", String::from_utf8_lossy(&output.stderr)),
        }
    }
}

#[derive(Default)]
struct Found {
    lines: Vec<String>,
    entries: u64,
    bytes: u64,
}

impl Observer for Found {
    fn found(&mut self, finding: &Finding) {
        let line = finding.to_string();
        assert!(!line.contains('\n'), "{line}");
        // What it is on disk is at random.
        let end = line.rfind(" [").unwrap_or(line.len());
        self.lines.push(line[..end].to_owned());
    }

    fn entry(&mut self) {
        self.entries += 1;
    }

    fn read(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

fn has_gocryptfs() -> bool {
    let found = Command::new("gocryptfs").arg("-version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIPPED: needs gocryptfs (cargo xtask setup installs it)");
    }
    found
}

/// A kind of damage.
struct Case {
    does: fn(&Volume),
    /// What is found here: beginnings of lines.
    finds: &'static [&'static str],
    /// Whether gocryptfs finds something, too.
    gocryptfs: bool,
}

/// What does not depend on how names are encrypted.
const OF_FILES: [Case; 16] = [
    Case { does: |_| {}, finds: &[], gocryptfs: false },
    Case {
        does: |volume| volume.change("file", |file| flip(file, volume.block(3) + 100)),
        finds: &["file: block 3 is damaged (from byte 12288)"],
        gocryptfs: true,
    },
    Case {
        does: |volume| volume.change("file", |file| file.write_all_at(&[1; 9000], volume.block(1)).unwrap()),
        finds: &["file: blocks 1 to 3 are damaged (bytes 4096 to 16384)"],
        gocryptfs: true,
    },
    // Swapped.
    Case {
        does: |volume| {
            volume.change("file", |file| {
                let size = volume.keys.content.block();
                let (mut first, mut second) = (vec![0; size], vec![0; size]);
                file.read_exact_at(&mut first, volume.block(0)).unwrap();
                file.read_exact_at(&mut second, volume.block(4)).unwrap();
                file.write_all_at(&second, volume.block(0)).unwrap();
                file.write_all_at(&first, volume.block(4)).unwrap();
            });
        },
        finds: &["file: block 0 is damaged (from byte 0)", "file: block 4 is damaged (from byte 16384)"],
        gocryptfs: true,
    },
    // Another file's.
    Case {
        does: |volume| {
            let mut block = vec![0; volume.keys.content.block()];
            volume.change("other", |file| file.read_exact_at(&mut block, volume.block(2)).unwrap());
            volume.change("file", |file| file.write_all_at(&block, volume.block(2)).unwrap());
        },
        finds: &["file: block 2 is damaged"],
        gocryptfs: true,
    },
    // Another file's header.
    Case {
        does: |volume| volume.change("file", |file| file.write_all_at(&FileId::random().header(), 0).unwrap()),
        finds: &["file: blocks 0 to 5 are damaged (bytes 0 to 24576), and there is no other"],
        gocryptfs: true,
    },
    Case {
        does: |volume| volume.change("file", |file| file.write_all_at(&[0, 3], 0).unwrap()),
        finds: &["file: the header has version 3, not 2, no block decrypts"],
        gocryptfs: true,
    },
    Case {
        does: |volume| volume.change("file", |file| file.write_all_at(&[0; HEADER_LEN], 0).unwrap()),
        finds: &["file: the file id is all zeros, no block decrypts"],
        gocryptfs: true,
    },
    Case {
        does: |volume| volume.change("file", |file| file.set_len(17).unwrap()),
        finds: &["file: the header is cut off after 17 bytes"],
        // It is an empty file there.
        gocryptfs: false,
    },
    // Only a header: an empty file.
    Case {
        does: |volume| volume.change("file", |file| file.set_len(HEADER_LEN as u64).unwrap()),
        finds: &[],
        gocryptfs: false,
    },
    Case {
        does: |volume| volume.change("file", |file| file.set_len(volume.block(3) + 20).unwrap()),
        finds: &["file: block 3 is cut off"],
        gocryptfs: true,
    },
    Case {
        does: |volume| volume.change("file", |file| file.set_len(volume.block(3) + 2000).unwrap()),
        finds: &["file: block 3 is damaged"],
        gocryptfs: true,
    },
    // Whole blocks of zeros are holes. The last one, which was not whole, is no longer the last.
    Case {
        does: |volume| volume.change("file", |file| file.set_len(volume.block(2000)).unwrap()),
        finds: &["file: block 5 is damaged"],
        gocryptfs: true,
    },
    // A hole at the end that is no whole block.
    Case {
        does: |volume| {
            volume.change("file", |file| {
                file.set_len(volume.block(5)).unwrap();
                file.set_len(volume.block(900) + 500).unwrap();
            });
        },
        finds: &["file: block 900 is damaged"],
        gocryptfs: true,
    },
    Case {
        does: |volume| {
            let name = volume.keys.store_attribute(b"user.mine").unwrap();
            rustix::fs::setxattr(volume.path("file"), as_path(&name), b"else", rustix::fs::XattrFlags::REPLACE)
                .unwrap();
        },
        finds: &["file: the value of an attribute does not decrypt: user.mine"],
        gocryptfs: true,
    },
    Case {
        does: |volume| {
            let name = as_path(b"user.gocryptfs.AAAAAAAAAAAAAAAAAAAAAA");
            rustix::fs::setxattr(volume.path("d"), name, b"", rustix::fs::XattrFlags::CREATE).unwrap();
        },
        finds: &["d: the name of an attribute does not decrypt: user.gocryptfs.AAAAAAAAAAAAAAAAAAAAAA"],
        gocryptfs: true,
    },
];

/// What is about encrypted names.
const OF_NAMES: [Case; 15] = [
    Case {
        does: |volume| {
            fs::remove_file(volume.path("link")).unwrap();
            let (dir, stored) = volume.place("link");
            symlink("plain/target", dir.join(as_path(stored.entry()))).unwrap();
        },
        finds: &["link: the target of the link does not decrypt"],
        gocryptfs: true,
    },
    Case {
        does: |volume| fs::rename(volume.path("other"), volume.beside("", b"AAAAAAAAAAAAAAAAAAAAAA")).unwrap(),
        finds: &["AAAAAAAAAAAAAAAAAAAAAA: the name does not decrypt"],
        gocryptfs: true,
    },
    // Content is looked at, too.
    Case {
        does: |volume| {
            volume.change("other", |file| flip(file, volume.block(0)));
            fs::rename(volume.path("other"), volume.beside("", b"hello")).unwrap();
        },
        finds: &["hello: the name does not decrypt", "hello: block 0 is damaged (from byte 0)"],
        gocryptfs: true,
    },
    // A name of another directory.
    Case {
        does: |volume| {
            fs::rename(volume.path("other"), volume.beside("empty", volume.place("other").1.entry())).unwrap();
        },
        finds: &["the name does not decrypt"],
        gocryptfs: true,
    },
    Case {
        does: |volume| fs::remove_file(volume.beside("d", DIR_IV)).unwrap(),
        finds: &["d: gocryptfs.diriv is missing"],
        gocryptfs: true,
    },
    Case {
        does: |volume| fs::write(volume.beside("d", DIR_IV), b"").unwrap(),
        finds: &["d: gocryptfs.diriv is damaged"],
        gocryptfs: true,
    },
    Case {
        does: |volume| fs::write(volume.beside("empty", DIR_IV), [0; 16]).unwrap(),
        finds: &["empty: gocryptfs.diriv is damaged"],
        gocryptfs: true,
    },
    Case {
        does: |volume| {
            fs::remove_file(volume.beside("empty", DIR_IV)).unwrap();
            symlink("/dev/zero", volume.beside("empty", DIR_IV)).unwrap();
        },
        finds: &["empty: gocryptfs.diriv is damaged"],
        gocryptfs: true,
    },
    Case {
        does: |volume| fs::write(volume.beside("d", DIR_IV), [1; 16]).unwrap(),
        finds: &["the name does not decrypt"],
        gocryptfs: true,
    },
    Case {
        does: |volume| fs::remove_file(volume.beside("", &Entry::name_file(volume.place(LONG).1.entry()))).unwrap(),
        finds: &["the file with the long name is missing"],
        gocryptfs: true,
    },
    Case {
        does: |volume| fs::write(volume.beside("", &Entry::name_file(volume.place(LONG).1.entry())), b"x").unwrap(),
        finds: &["the file with the long name is damaged"],
        gocryptfs: true,
    },
    Case {
        does: |volume| fs::remove_file(volume.path(LONG)).unwrap(),
        finds: &["a long name without a file"],
        gocryptfs: false,
    },
    Case {
        does: |volume| {
            let Stored::Long { content, .. } = volume.place(LONG).1 else { panic!("a long name") };
            fs::rename(volume.path(LONG), volume.beside("", b"gocryptfs.longname.x")).unwrap();
            let names = [&Entry::name_file(&content)[..], b"gocryptfs.longname.x.name"];
            fs::rename(volume.beside("", names[0]), volume.beside("", names[1])).unwrap();
        },
        finds: &["the file with the long name is damaged"],
        gocryptfs: true,
    },
    Case {
        does: |volume| fs::write(volume.beside("d", b"gocryptfs.diriv.rmdir.123"), [1; 16]).unwrap(),
        finds: &["a file that is not needed any more"],
        gocryptfs: true,
    },
    Case {
        does: |volume| {
            fs::copy(config_path(volume.directory.path()), volume.beside("", b"gocryptfs.conf.bak")).unwrap();
        },
        finds: &["gocryptfs.conf.bak: a file that is not needed any more"],
        gocryptfs: true,
    },
];

fn try_all(features: Features, cases: &[Case]) {
    let compare = has_gocryptfs();
    let mut differences = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let volume = Volume::with_files(features);
        (case.does)(&volume);
        let (summary, lines) = volume.check();
        let is_found = |line: &&&str| lines.iter().any(|found| found.starts_with(**line) || found.ends_with(**line));
        assert!(case.finds.iter().all(|line| is_found(&line)), "{features:?} {index}: {lines:?}");
        assert_eq!(summary.damaged + summary.notes, lines.len() as u64);
        assert!(lines.len() >= case.finds.len() && lines.is_empty() == case.finds.is_empty(), "{index}: {lines:?}");
        if compare && volume.gocryptfs_finds() != case.gocryptfs {
            differences.push((index, lines));
        }
    }
    assert!(differences.is_empty(), "gocryptfs thinks otherwise: {differences:?}");
}

#[test]
fn damage_of_files_is_found_as_gocryptfs_finds_it() {
    for features in [DEFAULT, Features { content: ContentCipher::XChaCha20Poly1305, names: NameEncryption::Plain }] {
        try_all(features, &OF_FILES);
    }
}

#[test]
fn damage_of_names_is_found_as_gocryptfs_finds_it() {
    try_all(DEFAULT, &OF_NAMES);
}

#[test]
fn all_is_counted_once() {
    let volume = Volume::with_files(DEFAULT);
    fs::hard_link(volume.path("file"), volume.new_path("again")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, volume.new_path("fifo"), rustix::fs::Mode::RUSR).unwrap();
    let (summary, lines) = volume.check();
    assert_eq!(lines, Vec::<String>::new());
    assert!(summary.is_clean());
    assert_eq!((summary.files, summary.directories, summary.symlinks, summary.others), (5, 4, 1, 1));
}

#[test]
fn names_that_nobody_looks_for_are_found() {
    let names = |long_names| NameEncryption::Eme { per_dir: true, raw64: true, long_names: Some(long_names) };
    let volume = Volume::new(Features { content: ContentCipher::AesGcm, names: names(255) });
    volume.write(&"x".repeat(100), b"x");
    // The same volume with a configuration that somebody has changed.
    let features = Features { content: ContentCipher::AesGcm, names: names(62) };
    let config = load_config(&config_path(volume.directory.path())).unwrap();
    let keys = config.unlock(&password()).unwrap();
    let volume = Volume { keys: Keys::derive(&keys.0, &features), ..volume };
    let (_, lines) = volume.check();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].ends_with("the name is stored in a form that nobody looks for"), "{lines:?}");
}

#[test]
fn deep_trees_need_few_descriptors() {
    let volume = Volume::new(DEFAULT);
    let mut path = String::from("d");
    volume.mkdir(&path);
    for _ in 0..100 {
        path.push_str("/d");
        volume.mkdir(&path);
        fs::set_permissions(volume.path(&path), fs::Permissions::from_mode(0o700)).unwrap();
    }
    volume.write(&format!("{path}/file"), b"x");
    volume.change(&format!("{path}/file"), |file| flip(file, 30));
    volume.write("d/e", b"x");
    let (summary, lines) = volume.check();
    assert_eq!((summary.directories, summary.files), (102, 2));
    assert_eq!(lines, [format!("{path}/file: block 0 is damaged (from byte 0), and there is no other")]);
}

#[test]
fn severities_are_told_apart() {
    let leftover = gofer_crypt::fsck::Problem::Leftover;
    assert_eq!(leftover.severity(), Severity::Note);
    let unread = gofer_crypt::fsck::Problem::Unread { reason: std::io::ErrorKind::PermissionDenied.into() };
    assert_eq!(unread.severity(), Severity::Unread);
}

#[test]
fn what_is_no_file_is_no_damage() {
    for features in [DEFAULT, PLAIN] {
        let volume = Volume::new(features);
        volume.write("file", b"x");
        let dir = volume.directory.path();
        fs::write(dir.join("gocryptfs.longname.gofer-redo-7.name"), b"erased").unwrap();
        let config = dir.join("elsewhere");
        fs::rename(config_path(dir), &config).unwrap();
        let mut found = Found::default();
        let summary = check(dir, &config, &volume.keys, &mut found).unwrap();
        assert!(summary.is_clean(), "{:?}", found.lines);
        assert_eq!((summary.files, summary.notes, found.lines.len()), (1, 1, 1));
    }
}
