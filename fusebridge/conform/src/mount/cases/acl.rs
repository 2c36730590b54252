//! Access control lists: kept and obeyed, or refused so that a program can tell.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown, symlink};

use lisafs::acl::{AccessList, Entry, Who};
use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::Uid;
use rustix::fs::{CWD, FileType, XattrFlags, getxattr, lgetxattr, mknodat, removexattr, setxattr};

use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes, skip};
use crate::mount::scene::{Impersonation, SOMEBODY, SOMEBODY_ELSE, Scene};

cases! { "acl":
    of_files = "an access list of a file is kept, or refused with EOPNOTSUPP";
    of_directories = "a default list of a directory is inherited, or refused with EOPNOTSUPP";
    obeyed = "an access list grants access to those it names, and its mask is not the group's permission";
    of_the_way = "a directory's list decides who may search, list and change it";
    changed_by_chmod = "chmod changes the mask of a list, and access follows at once";
    masked = "the umask applies to new files unless their directory has a default list";
    minimal = "a list equivalent to a mode becomes that mode, and a removed list is gone";
    set_by_others = "only the owner may set lists";
    ends_set_gid = "a list set by a user outside the file's group clears the set-group-ID bit";
    refusal_changes_nothing = "a refused list leaves the permissions unchanged";
}

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

/// The rights of the owner, one more user, the group, the mask and others.
fn rights([owner, user, group, mask, others]: [u16; 5]) -> Vec<u8> {
    let entries = [
        Entry::new(Who::Owner, owner),
        Entry::new(Who::User(SOMEBODY), user),
        Entry::new(Who::Group, group),
        Entry::new(Who::Mask, mask),
        Entry::new(Who::Others, others),
    ];
    AccessList::new(entries).map_or_else(|_| unreachable!("the list is whole"), |list| list.to_value())
}

/// The owner and one more user may read and write, others nothing.
fn list() -> Vec<u8> {
    rights([6, 6, 0, 6, 0])
}

/// Sets a list, or ends the test if it is refused as it may be.
fn set_to(scene: &Scene, name: &str, attribute: &str, value: &[u8]) -> Verdict {
    match setxattr(scene.at(name), attribute, value, XattrFlags::empty()) {
        Ok(()) => Ok(()),
        refused => {
            fails(format_args!("setxattr({name}, {attribute})"), refused, &[Errno::EOPNOTSUPP])?;
            skip("access control lists are refused with EOPNOTSUPP")
        }
    }
}

fn set(scene: &Scene, name: &str, attribute: &str) -> Verdict {
    set_to(scene, name, attribute, &list())
}

fn get(scene: &Scene, name: &str, attribute: &str) -> Verdict<Vec<u8>> {
    let mut value = vec![0; 1024];
    let length = getxattr(scene.at(name), attribute, &mut value).of(format_args!("getxattr({name}, {attribute})"))?;
    value.truncate(length);
    Ok(value)
}

fn has_none(scene: &Scene, name: &str, attribute: &str) -> Verdict {
    let mut value = [0; 64];
    let got = lgetxattr(scene.at(name), attribute, &mut value);
    fails(format_args!("getxattr({name}, {attribute})"), got, &[Errno::ENODATA, Errno::EOPNOTSUPP])
}

fn mode(scene: &Scene, name: &str) -> Verdict<String> {
    Ok(format!("{:#o}", scene.stat(name)?.mode() & 0o7777))
}

/// Whether the user and group `id` may open the file for reading.
fn reads(scene: &Scene, name: &str, id: u32, expected: bool) -> Verdict {
    let _impersonation = Impersonation::new(id)?;
    let opened = File::open(scene.at(name));
    let operation = format!("open({name}, O_RDONLY) by user {id}");
    if expected { opened.of(operation).map(drop) } else { fails(operation, opened, &[Errno::EACCES]) }
}

fn of_files(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    set(scene, "a", ACCESS)?;
    same_bytes("getxattr(a, posix_acl_access)", &get(scene, "a", ACCESS)?, &list())?;
    // The group's bits show the list's mask.
    equal("stat(a).st_mode", mode(scene, "a")?, "0o660")
}

fn of_directories(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    // Its owner, who need not be root, may search what is made in it.
    let default = rights([7, 6, 0, 6, 0]);
    set_to(scene, "d", DEFAULT, &default)?;
    same_bytes("getxattr(d, posix_acl_default)", &get(scene, "d", DEFAULT)?, &default)?;
    scene.write("d/a", b"")?;
    same_bytes("the list that d/a inherits", &get(scene, "d/a", ACCESS)?, &list())?;
    scene.dir("d/e")?;
    same_bytes("the list that d/e inherits", &get(scene, "d/e", ACCESS)?, &default)?;
    same_bytes("the default list that d/e inherits", &get(scene, "d/e", DEFAULT)?, &default)?;
    scene.write("d/e/a", b"")?;
    same_bytes("the list that d/e/a inherits", &get(scene, "d/e/a", ACCESS)?, &list())?;
    symlink("a", scene.at("d/s")).offered("symlink(a, d/s)")?;
    has_none(scene, "d/s", ACCESS)?;
    scene.link("d/a", "linked")?;
    same_bytes("getxattr(linked, posix_acl_access)", &get(scene, "linked", ACCESS)?, &list())
}

fn obeyed(scene: &Scene) -> Verdict {
    scene.chmod("", 0o755)?;
    scene.write("a", b"x")?;
    scene.chmod("a", 0o600)?;
    if Uid::effective().is_root() {
        chown(scene.at("a"), None, Some(SOMEBODY_ELSE)).of("chown(a, -1, 65533)")?;
    }
    reads(scene, "a", SOMEBODY, false)?;
    set_to(scene, "a", ACCESS, &rights([6, 4, 0, 4, 0]))?;
    reads(scene, "a", SOMEBODY, true)?;
    // Who is in the file's group has no right, though its bits in the mode say so.
    reads(scene, "a", SOMEBODY_ELSE, false)?;
    equal("stat(a).st_mode", mode(scene, "a")?, "0o640")?;
    set_to(scene, "a", ACCESS, &rights([6, 0, 4, 4, 4]))?;
    reads(scene, "a", SOMEBODY, false)?;
    reads(scene, "a", SOMEBODY_ELSE, true)
}

fn of_the_way(scene: &Scene) -> Verdict {
    scene.chmod("", 0o755)?;
    scene.dir("d")?;
    scene.write("d/a", b"x")?;
    scene.chmod("d/a", 0o644)?;
    scene.chmod("d", 0o700)?;
    set_to(scene, "d", ACCESS, &rights([7, 1, 0, 7, 0]))?;
    reads(scene, "d/a", SOMEBODY, true)?;
    reads(scene, "d/a", SOMEBODY_ELSE, false)?;
    {
        let _impersonation = Impersonation::new(SOMEBODY)?;
        fails("opendir(d) by user 65534", fs::read_dir(scene.at("d")), &[Errno::EACCES])?;
        fails("unlink(d/a) by user 65534", fs::remove_file(scene.at("d/a")), &[Errno::EACCES])?;
    }
    set_to(scene, "d", ACCESS, &rights([7, 7, 0, 7, 0]))?;
    let _impersonation = Impersonation::new(SOMEBODY)?;
    equal("readdir(d) by user 65534", scene.names("d")?, ["a"])?;
    scene.unlink("d/a")
}

fn changed_by_chmod(scene: &Scene) -> Verdict {
    scene.chmod("", 0o755)?;
    scene.write("a", b"x")?;
    set_to(scene, "a", ACCESS, &rights([6, 6, 1, 7, 0]))?;
    reads(scene, "a", SOMEBODY, true)?;
    scene.chmod("a", 0o624)?;
    same_bytes("the list after chmod(a, 0624)", &get(scene, "a", ACCESS)?, &rights([6, 6, 1, 2, 4]))?;
    equal("stat(a).st_mode", mode(scene, "a")?, "0o624")?;
    reads(scene, "a", SOMEBODY, false)?;
    scene.chmod("a", 0o640)?;
    reads(scene, "a", SOMEBODY, true)?;
    reads(scene, "a", SOMEBODY_ELSE, false)
}

/// A file, a directory and a FIFO in `dir`, and the modes that they have.
fn make_in(scene: &Scene, dir: &str) -> Verdict<[String; 3]> {
    let names = ["a", "e", "p"].map(|name| format!("{dir}/{name}"));
    let [file, directory, fifo] = &names;
    let create = OpenOptions::new().write(true).create_new(true).mode(0o666).open(scene.at(file));
    create.of(format_args!("open({file}, O_CREAT, 0666)"))?;
    let made = fs::DirBuilder::new().mode(0o777).create(scene.at(directory));
    made.of(format_args!("mkdir({directory}, 0777)"))?;
    let made = mknodat(CWD, scene.at(fifo), FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o666), 0);
    if made == Err(rustix::io::Errno::PERM) {
        return skip(format!("mkfifo({fifo}): EPERM"));
    }
    made.offered(format_args!("mkfifo({fifo}, 0666)"))?;
    Ok([mode(scene, file)?, mode(scene, directory)?, mode(scene, fifo)?])
}

fn masked(scene: &Scene) -> Verdict {
    scene.dir("plain")?;
    scene.dir("d")?;
    set_to(scene, "d", DEFAULT, &rights([7, 7, 5, 7, 1]))?;
    let before = umask(Mode::from_bits_truncate(0o077));
    let made = (|| Ok((make_in(scene, "plain")?, make_in(scene, "d")?)))();
    umask(before);
    let (plain, inherited) = made?;
    equal("modes of a file, a directory and a FIFO, made under umask 077", plain, ["0o600", "0o700", "0o600"])?;
    equal("modes of the same in a directory with a default list", inherited, ["0o660", "0o771", "0o660"])?;
    same_bytes("the list of d/a", &get(scene, "d/a", ACCESS)?, &rights([6, 7, 5, 6, 0]))?;
    has_none(scene, "plain/a", ACCESS)
}

fn minimal(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    set(scene, "a", ACCESS)?;
    let entries = [Entry::new(Who::Owner, 6), Entry::new(Who::Group, 4), Entry::new(Who::Others, 4)];
    let least = AccessList::new(entries).map_or_else(|_| unreachable!("the list is whole"), |list| list.to_value());
    set_to(scene, "a", ACCESS, &least)?;
    has_none(scene, "a", ACCESS)?;
    equal("stat(a).st_mode", mode(scene, "a")?, "0o644")?;
    set(scene, "a", ACCESS)?;
    removexattr(scene.at("a"), ACCESS).of("removexattr(a, posix_acl_access)")?;
    has_none(scene, "a", ACCESS)?;
    scene.dir("d")?;
    set(scene, "d", DEFAULT)?;
    removexattr(scene.at("d"), DEFAULT).of("removexattr(d, posix_acl_default)")?;
    scene.write("d/a", b"")?;
    has_none(scene, "d/a", ACCESS)?;
    let on_a_file = setxattr(scene.at("a"), DEFAULT, &list(), XattrFlags::empty());
    fails("setxattr(a, posix_acl_default) of a file", on_a_file, &[Errno::EACCES])
}

fn set_by_others(scene: &Scene) -> Verdict {
    scene.chmod("", 0o755)?;
    scene.write("a", b"x")?;
    scene.chmod("a", 0o666)?;
    set_to(scene, "a", ACCESS, &rights([6, 6, 6, 6, 6]))?;
    let _impersonation = Impersonation::new(SOMEBODY)?;
    let refused = setxattr(scene.at("a"), ACCESS, &list(), XattrFlags::empty());
    fails("setxattr(a, posix_acl_access) by another user", refused, &[Errno::EPERM])?;
    fails("removexattr(a, posix_acl_access) by another user", removexattr(scene.at("a"), ACCESS), &[Errno::EPERM])
}

fn ends_set_gid(scene: &Scene) -> Verdict {
    scene.chmod("", 0o755)?;
    for (name, group, expected) in [("a", SOMEBODY_ELSE, "0o660"), ("b", SOMEBODY, "0o2660")] {
        scene.write(name, b"x")?;
        if !Uid::effective().is_root() {
            return skip("giving files away needs root");
        }
        chown(scene.at(name), Some(SOMEBODY), Some(group)).of(format_args!("chown({name}, 65534, {group})"))?;
        scene.chmod(name, 0o2755)?;
        let _impersonation = Impersonation::new(SOMEBODY)?;
        set(scene, name, ACCESS)?;
        equal(format_args!("stat({name}).st_mode, of group {group}"), mode(scene, name)?, expected)?;
    }
    scene.write("c", b"x")?;
    scene.chmod("c", 0o2755)?;
    set(scene, "c", ACCESS)?;
    equal("stat(c).st_mode, set by root", mode(scene, "c")?, "0o2660")
}

fn refusal_changes_nothing(scene: &Scene) -> Verdict {
    scene.write("a", b"x")?;
    scene.chmod("a", 0o640)?;
    if setxattr(scene.at("a"), ACCESS, &list(), XattrFlags::empty()).is_ok() {
        return skip("access control lists are kept");
    }
    equal("stat(a).st_mode after the refusal", mode(scene, "a")?, "0o640")?;
    has_none(scene, "a", ACCESS)
}
