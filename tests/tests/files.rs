//! A mount behaves like a local file system in what programs rely on without knowing it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, symlink};

use anyhow::Result;
use e2e::check;
use e2e::mapping::Mapping;
use e2e::scene::everywhere;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

fn read_write() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options
}

#[test]
fn hard_links_are_one_file() -> Result<()> {
    everywhere(|scene| {
        let [one, two, three] = ["one", "two", "three"].map(|name| scene.path().join(name));
        fs::write(&one, "first")?;
        fs::hard_link(&one, &two)?;
        fs::create_dir(scene.path().join("dir"))?;
        fs::hard_link(&two, &three)?;
        let (a, b) = (fs::metadata(&one)?, fs::metadata(&two)?);
        check::equal("inode number", &a.ino(), &b.ino())?;
        check::equal("links", &b.nlink(), &3)?;

        // Every change shows through every name, at once.
        let mut handle = File::open(&three)?;
        fs::write(&two, "second, and longer")?;
        check::equal("content", &fs::read(&one)?.as_slice(), &b"second, and longer".as_slice())?;
        let mut text = String::new();
        handle.read_to_string(&mut text)?;
        check::equal("content in an open file", &text.as_str(), &"second, and longer")?;
        fs::set_permissions(&one, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        check::equal("mode", &(fs::metadata(&three)?.mode() & 0o777), &0o600)?;

        // The name by which it was found first may go.
        fs::remove_file(&one)?;
        check::equal("links left", &fs::metadata(&two)?.nlink(), &2)?;
        fs::rename(&two, scene.path().join("dir/moved"))?;
        fs::write(&three, "third")?;
        check::equal("content", &fs::read(scene.path().join("dir/moved"))?.as_slice(), &b"third".as_slice())?;
        fs::remove_file(&three)?;
        check::equal("last link", &fs::metadata(scene.path().join("dir/moved"))?.nlink(), &1)?;
        fs::remove_file(scene.path().join("dir/moved"))?;
        check::equal("no link", &handle.metadata()?.nlink(), &0)
    })
}

#[test]
fn sparse_files_beyond_four_gibibytes() -> Result<()> {
    everywhere(|scene| {
        const FAR: u64 = 5 << 30;
        let file = read_write().open(scene.path().join("sparse"))?;
        file.write_all_at(b"begin", 0)?;
        file.write_all_at(b"end", FAR)?;
        // Across the border of 32 bits.
        file.write_all_at(b"0123456789", (4 << 30) - 5)?;
        check::equal("size", &file.metadata()?.len(), &(FAR + 3))?;
        check::holds("it has holes", file.metadata()?.blocks() < 1000)?;
        let mut bytes = [0; 10];
        file.read_exact_at(&mut bytes, (4 << 30) - 5)?;
        check::equal("across the border", &bytes, b"0123456789")?;
        file.read_exact_at(&mut bytes, 1 << 30)?;
        check::equal("in a hole", &bytes, &[0; 10])?;

        // A file system may say that all is data, but never that data is a hole.
        let seek = |from| rustix::fs::seek(&file, from);
        check::holds("data at the start", seek(rustix::fs::SeekFrom::Data(0))? == 0)?;
        let hole = seek(rustix::fs::SeekFrom::Hole(0))?;
        check::holds("a hole after it", (5..=FAR + 3).contains(&hole))?;
        let data = seek(rustix::fs::SeekFrom::Data(1 << 30))?;
        check::holds("data before the border", data <= (4 << 30) - 5)?;
        check::fails(
            "data behind the end",
            seek(rustix::fs::SeekFrom::Data(FAR + 3)).map_err(Into::into),
            &[Errno::NXIO],
        )?;

        file.set_len(FAR)?;
        check::equal("cut off", &file.metadata()?.len(), &FAR)?;
        let below = fs::metadata(scene.below().unwrap_or(scene.path()).join("sparse"))?;
        check::equal("size below", &below.len(), &FAR)
    })
}

#[test]
fn names_of_any_bytes() -> Result<()> {
    everywhere(|scene| {
        let names: Vec<OsString> = vec![
            OsString::from("n".repeat(255)),
            OsString::from_vec(vec![0xff, 0xfe, b'x', 0x80]),
            OsString::from_vec((1..=255).filter(|&byte| byte != b'/').collect::<Vec<u8>>()),
            OsString::from("new\nline"),
            OsString::from(" "),
            OsString::from("..."),
            OsString::from("\u{fc}n\u{ef}c\u{f6}d\u{e9}"),
        ];
        for name in &names {
            // The one with all bytes is 254 long.
            let path = scene.path().join(name);
            fs::write(&path, name.as_bytes())?;
            let below = scene.below().unwrap_or(scene.path());
            check::equal("content", &fs::read(below.join(name))?.as_slice(), &name.as_bytes())?;
        }
        let mut listed: Vec<OsString> = Vec::new();
        for entry in fs::read_dir(scene.path())? {
            listed.push(entry?.file_name());
        }
        listed.sort();
        let mut wanted = names.clone();
        wanted.sort();
        check::equal("listed names", &listed, &wanted)?;
        let long = scene.path().join("n".repeat(256));
        check::fails("a name of 256", fs::write(&long, "").map(drop), &[Errno::NAMETOOLONG])?;
        check::fails("looking for it", fs::metadata(&long).map(drop), &[Errno::NAMETOOLONG])?;

        // Targets of symbolic links are any bytes too.
        let target = OsStr::from_bytes(b"../\xff//x");
        symlink(target, scene.path().join("link"))?;
        check::equal("target", &fs::read_link(scene.path().join("link"))?.as_os_str(), &target)
    })
}

#[test]
fn trees_deeper_than_a_path() -> Result<()> {
    everywhere(|scene| {
        let name = "directory-of-twenty-f";
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let mut here = rustix::fs::open(scene.path(), flags, Mode::empty())?;
        for _ in 0..300 {
            rustix::fs::mkdirat(&here, name, Mode::RWXU)?;
            here = rustix::fs::openat(&here, name, flags, Mode::empty())?;
        }
        let file = rustix::fs::openat(&here, "leaf", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR)?;
        File::from(file).write_all(b"at the end")?;
        drop(here);
        let found = e2e::command::shell(
            scene.path(),
            "find . -type d | wc -l; find . -name leaf -size 10c -printf yes; rm -r directory*; ls -A",
            std::time::Duration::from_secs(60),
        )?;
        check::equal("found", &found.as_str(), &"301\nyes")
    })
}

#[test]
fn memory_maps_and_calls_see_the_same() -> Result<()> {
    everywhere(|scene| {
        const LENGTH: usize = 3 * 4096;
        let path = scene.path().join("mapped");
        fs::write(&path, vec![b'.'; LENGTH])?;
        let file = read_write().open(&path)?;
        let mut map = Mapping::new(&file, LENGTH)?;
        check::equal("read through the map", &map.get(5000), &b'.')?;
        map.set(5000, b'm');
        let mut byte = [0];
        file.read_exact_at(&mut byte, 5000)?;
        check::equal("written through the map", &byte, b"m")?;
        file.write_all_at(b"w", 5001)?;
        check::equal("written by a call", &map.get(5001), &b'w')?;
        map.flush()?;
        let below = scene.below().unwrap_or(scene.path());
        check::equal("below", &fs::read(below.join("mapped"))?.get(5000..5002), &Some(b"mw".as_slice()))?;

        // The map outlives its descriptor and its name.
        drop(file);
        fs::remove_file(&path)?;
        map.set(1, b'z');
        check::equal("after all names are gone", &(map.get(1), map.get(5000)), &(b'z', b'm'))
    })
}

#[test]
fn an_open_file_lives_on_without_a_name() -> Result<()> {
    everywhere(|scene| {
        let path = scene.path().join("gone");
        let mut file = read_write().open(&path)?;
        file.write_all(b"before")?;
        fs::remove_file(&path)?;
        check::fails("the name", fs::metadata(&path).map(drop), &[Errno::NOENT])?;
        file.write_all(b" after")?;
        file.seek(SeekFrom::Start(0))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        check::equal("content", &text.as_str(), &"before after")?;
        file.set_len(3)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o604))?;
        file.set_modified(std::time::UNIX_EPOCH)?;
        file.sync_all()?;
        let metadata = file.metadata()?;
        check::equal("size", &metadata.len(), &3)?;
        check::equal("mode", &(metadata.mode() & 0o7777), &0o604)?;
        check::equal("time", &metadata.mtime(), &0)?;
        check::equal("links", &metadata.nlink(), &0)?;
        // Nothing is hidden under another name instead.
        check::equal("entries", &fs::read_dir(scene.path())?.count(), &0)?;

        // A new file of the same name is another file.
        fs::write(&path, "new")?;
        check::holds("another inode", fs::metadata(&path)?.ino() != metadata.ino())?;
        check::equal("the old one", &file.metadata()?.len(), &3)?;

        // A removed directory can still be held.
        let directory = scene.path().join("dir");
        fs::create_dir(&directory)?;
        let held = File::open(&directory)?;
        fs::remove_dir(&directory)?;
        check::equal("links of a removed directory", &held.metadata()?.nlink(), &0)?;
        let inside = rustix::fs::mkdirat(held.as_fd(), "in", Mode::RWXU);
        check::fails("making something in it", inside.map_err(Into::into), &[Errno::NOENT])
    })
}

#[test]
fn renames_replace_keep_and_exchange() -> Result<()> {
    everywhere(|scene| {
        let at = |name: &str| scene.path().join(name);
        fs::write(at("a"), "A")?;
        fs::write(at("b"), "B")?;
        let (mut old, mut moved) = (File::open(at("b"))?, File::open(at("a"))?);
        fs::rename(at("a"), at("b"))?;
        let (mut x, mut y) = (String::new(), String::new());
        old.read_to_string(&mut x)?;
        moved.read_to_string(&mut y)?;
        check::equal("open files", &(x.as_str(), y.as_str()), &("B", "A"))?;
        check::equal("links of the replaced one", &old.metadata()?.nlink(), &0)?;

        fs::write(at("c"), "C")?;
        let rename = |from: &str, to: &str, flags| {
            rustix::fs::renameat_with(CWD, at(from), CWD, at(to), flags).map_err(std::io::Error::from)
        };
        check::fails("over an existing one", rename("b", "c", RenameFlags::NOREPLACE), &[Errno::EXIST])?;
        rename("b", "d", RenameFlags::NOREPLACE)?;
        fs::create_dir(at("dir"))?;
        fs::write(at("dir/inside"), "I")?;
        rename("d", "dir", RenameFlags::EXCHANGE)?;
        check::equal("after the exchange", &fs::read_to_string(at("dir"))?.as_str(), &"A")?;
        check::equal("after the exchange", &fs::read_to_string(at("d/inside"))?.as_str(), &"I")?;
        check::fails("into itself", fs::rename(at("d"), at("d/below")), &[Errno::INVAL])?;
        fs::create_dir(at("empty"))?;
        check::fails("over a full directory", fs::rename(at("empty"), at("d")), &[Errno::NOTEMPTY, Errno::EXIST])?;
        fs::rename(at("d"), at("empty"))?;
        check::equal("a moved tree", &fs::read_to_string(at("empty/inside"))?.as_str(), &"I")
    })
}

#[test]
fn listings_stay_whole_while_entries_come_and_go() -> Result<()> {
    everywhere(|scene| {
        for number in 0..3000 {
            File::create(scene.path().join(format!("{number:04}")))?;
        }
        let mut seen = Vec::new();
        for (position, entry) in fs::read_dir(scene.path())?.enumerate() {
            let name = entry?.file_name().into_string().unwrap_or_default();
            // Entries that exist all the time are seen exactly once, whatever happens to others.
            if name.len() != 4 {
                // New since the listing began: may turn up or not.
            } else if name.ends_with(['1', '3', '5', '7', '9']) {
                seen.push(name);
            } else {
                fs::remove_file(scene.path().join(name))?;
                File::create(scene.path().join(format!("new-{position:05}")))?;
            }
        }
        seen.sort();
        check::equal("entries seen", &seen.len(), &1500)?;
        seen.dedup();
        check::equal("different entries seen", &seen.len(), &1500)
    })
}

#[test]
fn special_files_are_made() -> Result<()> {
    if !e2e::host::is_root() {
        e2e::skip!("device nodes need root");
    }
    everywhere(|scene| {
        e2e::command::shell(
            scene.path(),
            r#"
            mkfifo pipe
            echo through > pipe & test "$(cat pipe)" = through
            wait
            mknod null c 1 3; test "$(stat -c %F:%t:%T null)" = 'character special file:1:3'
            mknod disk b 7 0; test "$(stat -c %F null disk | tail -1)" = 'block special file'
            "#,
            std::time::Duration::from_secs(20),
        )?;
        let socket = scene.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&socket)?;
        let mut client = std::os::unix::net::UnixStream::connect(&socket)?;
        client.write_all(b"hello")?;
        drop(client);
        let mut text = String::new();
        listener.accept()?.0.read_to_string(&mut text)?;
        check::equal("through the socket", &text.as_str(), &"hello")?;
        let kind = rustix::fs::statat(CWD, &socket, AtFlags::SYMLINK_NOFOLLOW)?;
        check::holds("a socket", rustix::fs::FileType::from_raw_mode(kind.st_mode).is_socket())
    })
}
