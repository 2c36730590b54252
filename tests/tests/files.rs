//! A mount does to the backend's files what is done on it, and tools work there that go deep or wait for each other.
//! What programs rely on otherwise is tested by `fusebridge conform`.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use e2e::modes::{Access, Io, Transport};
use e2e::mount::{self, Mount};
use e2e::scene::{Scene, everywhere};
use e2e::{bins, check, command, host, scratch, skip};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn what_is_done_on_the_mount_is_done_below() -> Result<()> {
    everywhere(|scene| {
        let below = scene.below().unwrap_or(scene.path());
        let odd = OsString::from_vec((1..=255).filter(|&byte| byte != b'/').collect::<Vec<u8>>());
        fs::write(scene.path().join(&odd), "content")?;
        check::equal("content below", &fs::read(below.join(&odd))?.as_slice(), &b"content".as_slice())?;

        const FAR: u64 = 5 << 30;
        let file = OpenOptions::new().write(true).create_new(true).open(scene.path().join("sparse"))?;
        file.write_all_at(b"end", FAR)?;
        let stat = fs::metadata(below.join("sparse"))?;
        check::equal("size below", &stat.len(), &(FAR + 3))?;
        check::holds("a hole below", stat.blocks() < 1000)?;

        fs::hard_link(scene.path().join("sparse"), scene.path().join("link"))?;
        fs::remove_file(scene.path().join("sparse"))?;
        fs::rename(scene.path().join("link"), scene.path().join("moved"))?;
        fs::set_permissions(scene.path().join("moved"), std::os::unix::fs::PermissionsExt::from_mode(0o604))?;
        let stat = fs::metadata(below.join("moved"))?;
        check::equal("links and mode below", &(stat.nlink(), stat.mode() & 0o7777), &(1, 0o604))?;
        check::equal("entries below", &fs::read_dir(below)?.count(), &2)
    })
}

#[test]
fn files_that_have_more_than_their_size() -> Result<()> {
    let served = std::path::Path::new("/proc/sys/kernel");
    for io in [Io::Auto, Io::Direct, Io::Rpc] {
        for access in Access::ALL {
            let mount = Mount::host(served, io, access)?;
            let name = fs::read(served.join("hostname"))?;
            check::holds("its size is 0", fs::metadata(mount.path().join("hostname"))?.len() == 0 && !name.is_empty())?;
            for writes in [false, true] {
                let mut file = OpenOptions::new().read(true).write(writes).open(mount.path().join("hostname"))?;
                let mut actual = Vec::new();
                file.read_to_end(&mut actual)?;
                check::equal(&format!("hostname, {io:?} {access:?}, writable: {writes}"), &actual, &name)?;
            }
            mount.unmount()?;
        }
    }
    Ok(())
}

#[test]
fn noatime_leaves_times_of_access() -> Result<()> {
    if !host::is_root() {
        skip!("the times of other people's links and directories can be left only by root");
    }
    for io in Io::ALL {
        if io == Io::Passthrough && !host::can_pass_through() {
            continue;
        }
        for access in Access::ALL {
            let served = scratch::disk()?;
            fs::create_dir(served.path().join("dir"))?;
            fs::write(served.path().join("dir/file"), "content")?;
            std::os::unix::fs::symlink("file", served.path().join("dir/link"))?;
            let names = ["dir/file", "dir/link", "dir"];
            for name in names {
                // Any other reading would change so old a time.
                let time = rustix::fs::Timespec { tv_sec: 1_000_000, tv_nsec: 0 };
                let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
                rustix::fs::utimensat(CWD, served.path().join(name), &times, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            for option in ["--noatime", "--read-only"] {
                let mut command = mount::command(io, access)?;
                let mount = Mount::start(command.arg(option).arg(mount::backend(served.path())))?;
                let script = "ls -l dir; cat dir/link; cmp dir/file dir/link; grep -r content .";
                command::shell(mount.path(), script, LIMIT)?;
                mount.unmount()?;
                for name in names {
                    let stat = fs::symlink_metadata(served.path().join(name))?;
                    let what = format!("time of access of {name}, {io:?} {access:?} {option}");
                    check::equal(&what, &stat.atime(), &1_000_000)?;
                }
            }
        }
    }
    Ok(())
}

/// The modes of `names` on a mount in exclusive mode with `options`, looked at twice, and how often the server was asked for the
/// attributes of each.
fn modes_and_requests(served: &Path, names: &[&str], options: &[&str]) -> Result<Vec<(u32, usize)>> {
    let traces = scratch::disk()?;
    let trace = traces.path().join("trace");
    let mut bridge = mount::command(Io::Auto, Access::Exclusive)?;
    let mount = Mount::start(bridge.args(options).arg("--trace").arg(&trace).arg(mount::backend(served)))?;
    // Who also wants the time of birth, as `fs::metadata` does, makes the kernel ask once more.
    let mode = |name: &str| Ok(rustix::fs::stat(mount.path().join(name))?.st_mode & 0o7777);
    let modes: Vec<u32> = names.iter().map(|name| mode(name)).collect::<Result<_>>()?;
    let again: Vec<u32> = names.iter().map(|name| mode(name)).collect::<Result<_>>()?;
    check::equal("modes, again", &again, &modes)?;
    mount.unmount()?;
    let requests = |name: &&str| {
        let mut show = Command::new(bins::fusebridge()?);
        show.args(["trace", "show", "--message", "FGetXattr", "--path", &format!("/{name}")]).arg(&trace);
        let shown = command::succeed(&mut show, LIMIT)?;
        Ok(shown.lines().filter(|line| line.contains("FGetXattr")).count())
    };
    let requests: Vec<usize> = names.iter().map(requests).collect::<Result<_>>()?;
    Ok(modes.into_iter().zip(requests).collect())
}

#[test]
fn without_lists_modes_show_what_the_group_may_for_one_request_each() -> Result<()> {
    let served = scratch::memory()?;
    let script = "umask 022; touch listed plain closed; mkdir dir; chmod 600 listed closed; chmod 700 dir
        setfacl -m u:daemon:r,g::--- listed; setfacl -m u:daemon:rwx,g::r-x dir; stat -c %a listed dir";
    let below = command::shell(served.path(), script, LIMIT)?;
    check::equal("modes with the masks", &below.as_str(), &"640\n770\n")?;
    let names = ["listed", "dir", "plain", "closed"];
    let shown = modes_and_requests(served.path(), &names, &["--no-xattr"])?;
    // Whose mode lets no group in has no list that does.
    check::equal("without lists", &shown, &vec![(0o600, 1), (0o750, 1), (0o644, 1), (0o600, 0)])?;
    let shown = modes_and_requests(served.path(), &names, &[])?;
    check::equal("with lists", &shown, &vec![(0o640, 0), (0o770, 0), (0o644, 0), (0o600, 0)])
}

#[test]
fn sizes_are_right_behind_writes_that_nobody_is_told_of() -> Result<()> {
    let directory = scratch::memory()?;
    for access in Access::ALL {
        for (ttl, transport) in Transport::all().flat_map(|transport| [("0", transport), ("3600", transport)]) {
            // Without attributes, the kernel asks nothing before it writes to a donated file.
            let mut command = mount::command(Io::Auto, access)?;
            command.args(["--no-xattr", "--ttl", ttl, "--transport", transport.word()]);
            let mount = Mount::start(command.arg(mount::backend(directory.path())))?;
            let path = mount.path().join("file");
            let file = File::create(&path)?;
            for size in 1..=100 {
                // Looks the name up and asks for nothing else.
                let _place = rustix::fs::open(&path, OFlags::PATH, Mode::empty())?;
                file.write_all_at(b"x", size - 1)?;
                check::equal("size", &file.metadata()?.len(), &size)?;
                check::equal("size by name", &fs::metadata(&path)?.len(), &size)?;
            }
            drop(file);
            fs::remove_file(&path)?;
            mount.unmount()?;
        }
    }
    Ok(())
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
            std::time::Duration::from_secs(180),
        )?;
        check::equal("found", &found.as_str(), &"301\nyes")
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
            std::time::Duration::from_secs(60),
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

#[test]
fn servers_may_read_less_than_they_are_asked_for() -> Result<()> {
    let mount = Mount::start(mount::command(Io::Rpc, Access::Shared)?.arg("fault:mem:?short=read&short=write"))?;
    let content: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    fs::write(mount.path().join("file"), &content)?;
    check::holds("what was written is read", fs::read(mount.path().join("file"))? == content)?;
    mount.unmount()
}

#[test]
fn a_file_system_without_attributes_below_another_speaks_for_itself_only() -> Result<()> {
    if !host::is_root() {
        skip!("mounting a ramfs needs root");
    }
    let scene = Scene::new(Io::Direct, Access::Shared)?;
    let below = scene.directory()?.join("below");
    fs::create_dir(&below)?;
    let file = scene.path().join("file");
    fs::write(&file, "")?;
    command::succeed(Command::new("setfattr").args(["-n", "user.a", "-v", "value"]).arg(&file), LIMIT)?;
    command::succeed(Command::new("mount").args(["-t", "ramfs", "none"]).arg(&below), LIMIT)?;
    // The kernel asks for an attribute before it writes.
    let wrote = fs::write(scene.path().join("below/file"), "content");
    let value = command::succeed(Command::new("getfattr").args(["-n", "user.a", "--only-values"]).arg(&file), LIMIT);
    command::succeed(Command::new("umount").arg("--lazy").arg(&below), LIMIT)?;
    wrote?;
    check::equal("value", &value?.as_str(), &"value")?;
    scene.end()
}

#[test]
fn files_that_cannot_be_looked_at_are_listed_without_attributes() -> Result<()> {
    let scene = Scene::new(Io::Rpc, Access::Shared)?;
    for number in 0..100 {
        fs::write(scene.directory()?.join(number.to_string()), "content")?;
    }
    let mut backend = OsString::from("fault:");
    backend.push(mount::backend(scene.directory()?));
    backend.push("?error=EIO@walk:0.5&seed=1");
    // Attributes come with the names, and are kept.
    let mount = Mount::start(mount::command(Io::Rpc, Access::Exclusive)?.arg(backend))?;
    let mut sizes = Vec::new();
    for entry in fs::read_dir(mount.path())? {
        sizes.push(entry?.metadata().map(|metadata| metadata.len()));
    }
    check::equal("listed", &sizes.len(), &100)?;
    for size in sizes {
        match size {
            Ok(size) => check::equal("size", &size, &7)?,
            Err(error) => check::equal("error", &error.raw_os_error(), &Some(rustix::io::Errno::IO.raw_os_error()))?,
        }
    }
    mount.unmount()?;
    scene.end()
}
