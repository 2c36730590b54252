//! Extended attributes and their limits.

use std::fs::File;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::Uid;
use rustix::fs::{
    XattrFlags, getxattr, getxattr_query, lgetxattr, listxattr, listxattr_query, llistxattr, lremovexattr, lsetxattr,
    removexattr, setxattr,
};
use rustix::io;

use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes, skip};
use crate::mount::scene::{Impersonation, Incapable, SOMEBODY, Scene};

cases! { "xattr":
    kept = "values of any bytes, and empty ones, are kept";
    listed = "all names are listed, and no others";
    flags = "XATTR_CREATE and XATTR_REPLACE are honoured";
    removed = "a removed attribute is gone";
    sizes = "a length of 0 queries the size, and too small a buffer is ERANGE";
    long_names = "a name has at most 255 bytes";
    long_values = "a value of 4000 bytes is kept or refused, one of more than 64 KiB is refused";
    on_directories = "directories have attributes";
    on_symlinks = "user attributes of symbolic links are refused";
    follow_the_file = "attributes stay with a file when it is linked, renamed and unlinked";
    through_descriptors = "attributes set by descriptor are found by path";
    change_time = "setting an attribute changes the file's attribute time";
    trusted = "attributes of the namespace trusted are kept for root, and for nobody else to see";
    security = "attributes of the namespace security are kept, on symbolic links too";
    capabilities = "a write takes the file's capabilities away, also one by root";
}

/// A value, or the errno.
fn get(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut value = vec![0; 1 << 16];
    let length = getxattr(path, name, &mut value)?;
    value.truncate(length);
    Ok(value)
}

fn list(path: &Path) -> io::Result<Vec<String>> {
    let mut names = vec![0; 1 << 16];
    let length = listxattr(path, &mut names)?;
    let mut names: Vec<String> = names[..length]
        .split(|byte| *byte == 0)
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .filter(|name| name.starts_with("user."))
        .collect();
    names.sort();
    Ok(names)
}

/// Whether all names, not only those of users, have this one among them.
fn lists(path: &Path, wanted: &str) -> io::Result<bool> {
    let mut names = vec![0; 1 << 16];
    let length = llistxattr(path, &mut names)?;
    Ok(names[..length].split(|byte| *byte == 0).any(|name| name == wanted.as_bytes()))
}

/// A file with one attribute.
fn start(scene: &Scene) -> Verdict<std::path::PathBuf> {
    scene.write("a", b"x")?;
    let path = scene.at("a");
    setxattr(&path, "user.one", b"value", XattrFlags::empty()).offered("setxattr(a, user.one)")?;
    Ok(path)
}

fn kept(scene: &Scene) -> Verdict {
    let path = start(scene)?;
    same_bytes("getxattr(a, user.one)", &get(&path, "user.one").of("getxattr(a, user.one)")?, b"value")?;
    let all: Vec<u8> = (0..=255).collect();
    for value in [all.as_slice(), b"", b"\0"] {
        setxattr(&path, "user.one", value, XattrFlags::empty()).of("setxattr(a, user.one)")?;
        same_bytes("getxattr(a, user.one)", &get(&path, "user.one").of("getxattr(a, user.one)")?, value)?;
    }
    Ok(())
}

fn listed(scene: &Scene) -> Verdict {
    let path = start(scene)?;
    let mut expected = vec!["user.one".to_owned()];
    for number in 0..20 {
        let name = format!("user.number-{number:02}");
        setxattr(&path, name.as_str(), b"", XattrFlags::empty()).of(format_args!("setxattr(a, {name})"))?;
        expected.push(name);
    }
    expected.sort();
    equal("listxattr(a)", list(&path).of("listxattr(a)")?, expected)?;
    scene.write("b", b"")?;
    equal("listxattr(b) of a file without", list(&scene.at("b")).of("listxattr(b)")?, Vec::<String>::new())
}

fn flags(scene: &Scene) -> Verdict {
    let path = start(scene)?;
    let again = setxattr(&path, "user.one", b"new", XattrFlags::CREATE);
    fails("setxattr(a, user.one, XATTR_CREATE) of one that exists", again, &[Errno::EEXIST])?;
    let missing = setxattr(&path, "user.two", b"new", XattrFlags::REPLACE);
    fails("setxattr(a, user.two, XATTR_REPLACE) of one that does not", missing, &[Errno::ENODATA])?;
    setxattr(&path, "user.one", b"v2", XattrFlags::REPLACE).of("setxattr(a, user.one, XATTR_REPLACE)")?;
    setxattr(&path, "user.two", b"v3", XattrFlags::CREATE).of("setxattr(a, user.two, XATTR_CREATE)")?;
    same_bytes("getxattr(a, user.one)", &get(&path, "user.one").of("getxattr(a, user.one)")?, b"v2")
}

fn removed(scene: &Scene) -> Verdict {
    let path = start(scene)?;
    removexattr(&path, "user.one").of("removexattr(a, user.one)")?;
    fails("getxattr(a, user.one) after its removal", get(&path, "user.one"), &[Errno::ENODATA])?;
    fails("removexattr(a, user.one) again", removexattr(&path, "user.one"), &[Errno::ENODATA])?;
    equal("listxattr(a)", list(&path).of("listxattr(a)")?, Vec::<String>::new())
}

fn sizes(scene: &Scene) -> Verdict {
    let path = start(scene)?;
    equal(
        "getxattr(a, user.one, 0 bytes)",
        getxattr_query(&path, "user.one").of("getxattr(a, user.one, 0 bytes)")?,
        5,
    )?;
    let mut small = [0; 4];
    fails("getxattr(a, user.one, 4 bytes) of 5", getxattr(&path, "user.one", &mut small), &[Errno::ERANGE])?;
    let listed = listxattr_query(&path).of("listxattr(a, 0 bytes)")?;
    equal("listxattr(a, 0 bytes) covers user.one", listed >= b"user.one\0".len(), true)?;
    fails("listxattr(a, 4 bytes)", listxattr(&path, &mut small), &[Errno::ERANGE])
}

fn long_names(scene: &Scene) -> Verdict {
    let path = start(scene)?;
    let longest = format!("user.{}", "n".repeat(250));
    setxattr(&path, longest.as_str(), b"v", XattrFlags::empty()).of("setxattr(a, a name of 255 bytes)")?;
    same_bytes("getxattr(a, a name of 255 bytes)", &get(&path, &longest).of("getxattr()")?, b"v")?;
    let longer = format!("{longest}n");
    let refused = setxattr(&path, longer.as_str(), b"v", XattrFlags::empty());
    fails("setxattr(a, a name of 256 bytes)", refused, &[Errno::ERANGE, Errno::ENAMETOOLONG])
}

fn long_values(scene: &Scene) -> Verdict {
    let path = start(scene)?;
    let value = vec![b'v'; 4000];
    match setxattr(&path, "user.long", &value, XattrFlags::empty()) {
        Ok(()) => same_bytes("getxattr(a, user.long)", &get(&path, "user.long").of("getxattr(a, user.long)")?, &value)?,
        // Some keep attributes in the inode's own block.
        refused => fails("setxattr(a, 4000 bytes)", refused, &[Errno::ENOSPC, Errno::E2BIG, Errno::EDQUOT])?,
    }
    let huge = vec![b'v'; (1 << 16) + 1];
    fails("setxattr(a, 65537 bytes)", setxattr(&path, "user.huge", &huge, XattrFlags::empty()), &[Errno::E2BIG])?;
    fails("getxattr(a, user.huge)", get(&path, "user.huge"), &[Errno::ENODATA])
}

fn on_directories(scene: &Scene) -> Verdict {
    let path = scene.dir("d")?;
    setxattr(&path, "user.one", b"value", XattrFlags::empty()).offered("setxattr(d, user.one)")?;
    same_bytes("getxattr(d, user.one)", &get(&path, "user.one").of("getxattr(d, user.one)")?, b"value")
}

fn on_symlinks(scene: &Scene) -> Verdict {
    start(scene)?;
    symlink("a", scene.at("s")).offered("symlink(a, s)")?;
    let set = lsetxattr(scene.at("s"), "user.one", b"link", XattrFlags::empty());
    fails("lsetxattr(s, user.one)", set, &[Errno::EPERM, Errno::EOPNOTSUPP])?;
    let mut value = [0; 16];
    let got = lgetxattr(scene.at("s"), "user.one", &mut value);
    fails("lgetxattr(s, user.one)", got, &[Errno::ENODATA, Errno::EPERM, Errno::EOPNOTSUPP])?;
    same_bytes("getxattr(s, user.one) of its target", &get(&scene.at("s"), "user.one").of("getxattr(s)")?, b"value")
}

fn follow_the_file(scene: &Scene) -> Verdict {
    start(scene)?;
    let held = scene.open("a")?;
    scene.link("a", "b")?;
    scene.rename("a", "c")?;
    for name in ["b", "c"] {
        let value = get(&scene.at(name), "user.one").of(format_args!("getxattr({name}, user.one)"))?;
        same_bytes(format_args!("getxattr({name}, user.one)"), &value, b"value")?;
    }
    scene.unlink("b")?;
    scene.unlink("c")?;
    let mut value = [0; 16];
    let length = rustix::fs::fgetxattr(&held, "user.one", &mut value).of("fgetxattr(a) without a name")?;
    same_bytes("fgetxattr(a) without a name", &value[..length], b"value")
}

fn through_descriptors(scene: &Scene) -> Verdict {
    let path = start(scene)?;
    let file: File = scene.open("a")?;
    rustix::fs::fsetxattr(&file, "user.two", b"by fd", XattrFlags::empty()).of("fsetxattr(a, user.two)")?;
    same_bytes("getxattr(a, user.two)", &get(&path, "user.two").of("getxattr(a, user.two)")?, b"by fd")
}

fn change_time(scene: &Scene) -> Verdict {
    use std::os::unix::fs::MetadataExt;
    let path = start(scene)?;
    let changed = || scene.stat("a").map(|stat| (stat.ctime(), stat.ctime_nsec()));
    let before = changed()?;
    super::times::nap();
    setxattr(&path, "user.one", b"later", XattrFlags::empty()).of("setxattr(a, user.one)")?;
    super::times::later("stat(a).st_ctim after setxattr(a)", changed()?, before)
}

/// Gives the file itself an attribute. Some file systems have none of symbolic links.
fn give(scene: &Scene, name: &str, attribute: &str, value: &[u8]) -> Verdict {
    let set = lsetxattr(scene.at(name), attribute, value, XattrFlags::empty());
    if set == Err(io::Errno::PERM) && scene.lstat(name)?.file_type().is_symlink() {
        return skip(format!("lsetxattr({name}, {attribute}) of a symbolic link: EPERM"));
    }
    set.offered(format_args!("lsetxattr({name}, {attribute})"))
}

fn trusted(scene: &Scene) -> Verdict {
    const NAME: &str = "trusted.conform";
    scene.chmod("", 0o755)?;
    scene.write("a", b"x")?;
    scene.chmod("a", 0o666)?;
    if !Uid::effective().is_root() {
        let refused = setxattr(scene.at("a"), NAME, b"value", XattrFlags::empty());
        return fails("setxattr(a, trusted.conform) not by root", refused, &[Errno::EPERM]);
    }
    symlink("a", scene.at("s")).offered("symlink(a, s)")?;
    for name in ["a", "s"] {
        let path = scene.at(name);
        give(scene, name, NAME, b"value")?;
        let mut value = [0; 16];
        let length = lgetxattr(&path, NAME, &mut value).of(format_args!("lgetxattr({name}, {NAME})"))?;
        same_bytes(format_args!("lgetxattr({name}, {NAME})"), &value[..length], b"value")?;
        equal(format_args!("llistxattr({name}) has {NAME}"), lists(&path, NAME).of("llistxattr()")?, true)?;
        let _impersonation = Impersonation::new(SOMEBODY)?;
        let _incapable = Incapable::new()?;
        fails(
            format_args!("lgetxattr({name}, {NAME}) not by root"),
            lgetxattr(&path, NAME, &mut value),
            &[Errno::ENODATA],
        )?;
        let listed = lists(&path, NAME).of(format_args!("llistxattr({name}) not by root"))?;
        equal(format_args!("llistxattr({name}) has {NAME}, not by root"), listed, false)?;
        let refused = lsetxattr(&path, NAME, b"other", XattrFlags::empty());
        fails(format_args!("lsetxattr({name}, {NAME}) not by root"), refused, &[Errno::EPERM])?;
    }
    lremovexattr(scene.at("s"), NAME).of("lremovexattr(s, trusted.conform)")?;
    fails("lgetxattr(s, trusted.conform)", lgetxattr(scene.at("s"), NAME, &mut [0; 16]), &[Errno::ENODATA])?;
    same_bytes("getxattr(a, trusted.conform)", &get(&scene.at("a"), NAME).of("getxattr(a)")?, b"value")
}

fn security(scene: &Scene) -> Verdict {
    const NAME: &str = "security.conform";
    if !Uid::effective().is_root() {
        return skip("attributes of this namespace need root");
    }
    scene.write("a", b"x")?;
    symlink("a", scene.at("s")).offered("symlink(a, s)")?;
    for (name, given) in [("a", b"file"), ("s", b"link")] {
        give(scene, name, NAME, given)?;
    }
    for (name, given) in [("a", b"file"), ("s", b"link")] {
        let mut value = [0; 16];
        let length = lgetxattr(scene.at(name), NAME, &mut value).of(format_args!("lgetxattr({name}, {NAME})"))?;
        same_bytes(format_args!("lgetxattr({name}, {NAME})"), &value[..length], given)?;
    }
    Ok(())
}

fn capabilities(scene: &Scene) -> Verdict {
    const NAME: &str = "security.capability";
    // Revision 2 with an effective CAP_NET_RAW: the revision and flags, then permitted and inheritable sets, twice 32
    // bits of each.
    const VALUE: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    if !Uid::effective().is_root() {
        return skip("giving capabilities to a file needs root");
    }
    let give = |name: &str| setxattr(scene.at(name), NAME, &VALUE, XattrFlags::empty());
    let gone = |name: &str, when: &str| {
        fails(format_args!("getxattr({name}, {NAME}) after {when}"), get(&scene.at(name), NAME), &[Errno::ENODATA])
    };
    scene.write("a", b"x")?;
    give("a").offered("setxattr(a, security.capability)")?;
    same_bytes("getxattr(a, security.capability)", &get(&scene.at("a"), NAME).of("getxattr(a)")?, &VALUE)?;
    scene.open_rw("a")?.write_all_at(b"y", 0).of("pwrite(a)")?;
    gone("a", "pwrite(a)")?;
    // Who has the file open has perhaps been told that there is nothing to take away.
    let file = scene.file("b", b"x")?;
    give("b").of("setxattr(b, security.capability)")?;
    file.write_all_at(b"y", 0).of("pwrite(b), open before setxattr(b)")?;
    gone("b", "pwrite(b), which was open before")
}
