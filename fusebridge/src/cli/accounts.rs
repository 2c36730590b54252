//! The numbers of users and groups that have names.

use nix::unistd::{Group, User};

/// Whether the C library is part of the program. Then it has no way to load what asks directories of users.
const IS_STATIC: bool = cfg!(target_feature = "crt-static");

/// The number of the user with this name.
pub(super) fn user(name: &str) -> Option<u32> {
    if IS_STATIC {
        return in_file("/etc/passwd", name);
    }
    User::from_name(name).ok().flatten().map(|user| user.uid.as_raw())
}

/// The number of the group with this name.
pub(super) fn group(name: &str) -> Option<u32> {
    if IS_STATIC {
        return in_file("/etc/group", name);
    }
    Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw())
}

/// Both files have the name as first field of a line, and the number as third.
fn in_file(path: &str, name: &str) -> Option<u32> {
    let text = std::fs::read(path).ok()?;
    String::from_utf8_lossy(&text).lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_programs_find_what_others_do() {
        for name in ["root", "nobody", "daemon", "no such user"] {
            assert_eq!(in_file("/etc/passwd", name), user(name), "{name}");
        }
        for name in ["root", "nogroup", "tty", "x"] {
            assert_eq!(in_file("/etc/group", name), group(name), "{name}");
        }
        assert_eq!(user("root"), Some(0));
        assert_eq!(in_file("/no/such/file", "root"), None);
    }
}
