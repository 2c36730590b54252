//! Access control lists: kept, or refused so that a program can tell.

use nix::errno::Errno;
use rustix::fs::{XattrFlags, getxattr, setxattr};

use crate::mount::check::{Expect, Verdict, equal, fails, same_bytes, skip};
use crate::mount::scene::{SOMEBODY, Scene};

cases! { "acl":
    of_files = "an access list of a file is kept, or refused with EOPNOTSUPP";
    of_directories = "a default list of a directory is inherited, or refused with EOPNOTSUPP";
    refusal_changes_nothing = "a list that is refused leaves the permissions";
}

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";

/// A list in the kernel's format: the owner and one more user may read and write, others nothing.
fn list() -> Vec<u8> {
    const UNNAMED: u32 = u32::MAX;
    let entries: [(u16, u16, u32); 5] =
        [(0x01, 6, UNNAMED), (0x02, 6, SOMEBODY), (0x04, 0, UNNAMED), (0x10, 6, UNNAMED), (0x20, 0, UNNAMED)];
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Sets the list, or ends the test if it is refused as it may be.
fn set(scene: &Scene, name: &str, attribute: &str) -> Verdict {
    match setxattr(scene.at(name), attribute, &list(), XattrFlags::empty()) {
        Ok(()) => Ok(()),
        refused => {
            fails(format_args!("setxattr({name}, {attribute})"), refused, &[Errno::EOPNOTSUPP])?;
            skip("access control lists are refused with EOPNOTSUPP")
        }
    }
}

fn get(scene: &Scene, name: &str, attribute: &str) -> Verdict<Vec<u8>> {
    let mut value = vec![0; 1024];
    let length = getxattr(scene.at(name), attribute, &mut value).of(format_args!("getxattr({name}, {attribute})"))?;
    value.truncate(length);
    Ok(value)
}

fn of_files(scene: &Scene) -> Verdict {
    use std::os::unix::fs::MetadataExt;
    scene.write("a", b"x")?;
    set(scene, "a", ACCESS)?;
    same_bytes("getxattr(a, posix_acl_access)", &get(scene, "a", ACCESS)?, &list())?;
    // The group's bits show the list's mask.
    equal("stat(a).st_mode", format!("{:#o}", scene.stat("a")?.mode() & 0o777), "0o660")
}

fn of_directories(scene: &Scene) -> Verdict {
    scene.dir("d")?;
    set(scene, "d", DEFAULT)?;
    same_bytes("getxattr(d, posix_acl_default)", &get(scene, "d", DEFAULT)?, &list())?;
    scene.write("d/a", b"")?;
    let inherited = get(scene, "d/a", ACCESS)?;
    equal("entries of the list that d/a inherits", inherited.len(), list().len())
}

fn refusal_changes_nothing(scene: &Scene) -> Verdict {
    use std::os::unix::fs::MetadataExt;
    scene.write("a", b"x")?;
    scene.chmod("a", 0o640)?;
    if setxattr(scene.at("a"), ACCESS, &list(), XattrFlags::empty()).is_ok() {
        return skip("access control lists are kept");
    }
    equal("stat(a).st_mode after the refusal", format!("{:#o}", scene.stat("a")?.mode() & 0o777), "0o640")?;
    let mut value = [0; 64];
    let got = getxattr(scene.at("a"), ACCESS, &mut value);
    fails("getxattr(a, posix_acl_access)", got, &[Errno::EOPNOTSUPP, Errno::ENODATA])
}
