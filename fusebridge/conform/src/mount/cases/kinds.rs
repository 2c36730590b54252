//! FIFOs, sockets and devices.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};

use nix::errno::Errno;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes, skip};
use crate::mount::scene::Scene;

cases! { "kinds":
    fifos = "data passes through a FIFO";
    sockets = "a UNIX socket can be bound to a name and connected to";
    devices = "a device node keeps its numbers";
    whiteouts = "an overlay whiteout (character device 0:0) can be created";
    regular_by_mknod = "mknod creates regular files too";
    linked_and_renamed = "FIFOs can be linked, renamed and removed";
}

fn make(scene: &Scene, name: &str, kind: FileType, device: u64) -> Verdict {
    match mknodat(CWD, scene.at(name), kind, Mode::from_raw_mode(0o640), device) {
        Err(rustix::io::Errno::PERM) => skip(format!("mknod({name}, {kind:?}): EPERM")),
        outcome => outcome.offered(format_args!("mknod({name}, {kind:?})")),
    }
}

fn fifos(scene: &Scene) -> Verdict {
    make(scene, "fifo", FileType::Fifo, 0)?;
    equal("lstat(fifo) is a FIFO", scene.lstat("fifo")?.file_type().is_fifo(), true)?;
    // For both, so that opening does not wait for somebody else.
    let mut both = OpenOptions::new().read(true).write(true).open(scene.at("fifo")).of("open(fifo, O_RDWR)")?;
    both.write_all(b"through").of("write(fifo)")?;
    let mut bytes = [0; 7];
    both.read_exact(&mut bytes).of("read(fifo)")?;
    same_bytes("read(fifo)", &bytes, b"through")
}

fn sockets(scene: &Scene) -> Verdict {
    let listener = match UnixListener::bind("socket") {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return skip("bind(socket): EPERM"),
        outcome => outcome.offered("bind(socket)")?,
    };
    let mut client = UnixStream::connect("socket").of("connect(socket)")?;
    client.write_all(b"hello").of("write(socket)")?;
    drop(client);
    let mut text = Vec::new();
    listener.accept().of("accept(socket)")?.0.read_to_end(&mut text).of("read(socket)")?;
    same_bytes("read(socket)", &text, b"hello")?;
    equal("lstat(socket) is a socket", scene.lstat("socket")?.file_type().is_socket(), true)?;
    drop(listener);
    fails("connect(socket) with nobody listening", UnixStream::connect("socket"), &[Errno::ECONNREFUSED])?;
    scene.unlink("socket")
}

fn devices(scene: &Scene) -> Verdict {
    make(scene, "null", FileType::CharacterDevice, makedev(1, 3))?;
    let stat = scene.lstat("null")?;
    equal("lstat(null).st_rdev", stat.rdev(), makedev(1, 3))?;
    equal("lstat(null) is a device", stat.file_type().is_char_device(), true)?;
    make(scene, "block", FileType::BlockDevice, makedev(300, 70_000))?;
    let stat = scene.lstat("block")?;
    equal("lstat(block).st_rdev", stat.rdev(), makedev(300, 70_000))?;
    equal("lstat(block) is a block device", stat.file_type().is_block_device(), true)
}

fn whiteouts(scene: &Scene) -> Verdict {
    make(scene, "gone", FileType::CharacterDevice, 0)?;
    let stat = scene.lstat("gone")?;
    equal("type and device", (stat.file_type().is_char_device(), stat.rdev()), (true, 0))
}

fn regular_by_mknod(scene: &Scene) -> Verdict {
    make(scene, "a", FileType::RegularFile, 0)?;
    fs::write(scene.at("a"), b"content").of("write(a)")?;
    same_bytes("read(a)", &scene.read("a")?, b"content")?;
    let again = mknodat(CWD, scene.at("a"), FileType::RegularFile, Mode::RUSR, 0);
    fails("mknod(a) again", again, &[Errno::EEXIST])
}

fn linked_and_renamed(scene: &Scene) -> Verdict {
    make(scene, "fifo", FileType::Fifo, 0)?;
    scene.link("fifo", "other")?;
    equal("lstat(other).st_nlink", scene.lstat("other")?.nlink(), 2)?;
    scene.rename("fifo", "moved")?;
    scene.unlink("other")?;
    equal("lstat(moved).st_nlink", scene.lstat("moved")?.nlink(), 1)?;
    scene.unlink("moved")?;
    equal("readdir(.)", scene.names("")?, Vec::<String>::new())
}
