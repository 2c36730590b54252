//! The calls that a backend answers.

use std::fmt;

/// Declares the calls with their names.
macro_rules! calls {
    ($($(#[$doc:meta])* $call:ident = $name:literal,)*) => {
        /// A call to a file system.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Call {
            $($(#[$doc])* $call,)*
        }

        impl Call {
            /// All of them.
            pub const ALL: &[Call] = &[$(Call::$call),*];

            /// What people call it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Call::$call => $name,)*
                }
            }
        }
    };
}

calls! {
    /// Finding the root.
    Attach = "attach",
    /// Finding an entry.
    Walk = "walk",
    /// Attributes of all entries of a path.
    WalkStat = "walkstat",
    /// Attributes, of a position or of an open file.
    Stat = "stat",
    /// Setting attributes, the size among them.
    SetStat = "setstat",
    /// Opening.
    Open = "open",
    /// Creating and opening a regular file.
    Create = "create",
    /// Making a directory.
    Mkdir = "mkdir",
    /// Making a file of any other type.
    Mknod = "mknod",
    /// Making a symbolic link.
    Symlink = "symlink",
    /// Making a hard link.
    Link = "link",
    /// Removing a file or directory.
    Unlink = "unlink",
    /// Renaming.
    Rename = "rename",
    /// Asking where a symbolic link leads.
    ReadLink = "readlink",
    /// Statistics of the file system.
    StatFs = "statfs",
    /// Reading an extended attribute.
    GetXattr = "getxattr",
    /// Setting an extended attribute.
    SetXattr = "setxattr",
    /// Listing extended attributes.
    ListXattr = "listxattr",
    /// Removing an extended attribute.
    RemoveXattr = "removexattr",
    /// Reading data.
    Read = "read",
    /// Writing data.
    Write = "write",
    /// Making data durable.
    Sync = "sync",
    /// Reserving or freeing space.
    Allocate = "allocate",
    /// Looking for data or a hole.
    Seek = "seek",
    /// A descriptor was closed.
    Flush = "flush",
    /// Listing a directory.
    ReadDir = "readdir",
    /// Connecting to a socket.
    Connect = "connect",
    /// Binding a socket.
    Bind = "bind",
    /// Listening on a bound socket.
    Listen = "listen",
    /// Taking a connection to a bound socket.
    Accept = "accept",
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A set of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls(u32);

impl Calls {
    /// The calls that `name` stands for: a [`Call::name`], or `walk` for single entries and whole paths, `xattr` for
    /// all calls about extended attributes, `*` for all calls but `attach`, without which nothing could be mounted.
    pub fn named(name: &str) -> Option<Self> {
        let xattr = [Call::GetXattr, Call::SetXattr, Call::ListXattr, Call::RemoveXattr];
        match name {
            "*" => Some(Self::all_but_attach()),
            "walk" => Some(Calls::of(&[Call::Walk, Call::WalkStat])),
            "xattr" => Some(Calls::of(&xattr)),
            _ => Call::ALL.iter().find(|call| call.name() == name).map(|call| Calls::of(&[*call])),
        }
    }

    /// All calls that are made once a file system is mounted.
    pub fn all_but_attach() -> Self {
        let Calls(all) = Calls::of(Call::ALL);
        Calls(all & !bit(Call::Attach))
    }

    /// These calls.
    pub fn of(calls: &[Call]) -> Self {
        Calls(calls.iter().fold(0, |set, call| set | bit(*call)))
    }

    /// Whether `call` is one of them.
    pub fn contains(self, call: Call) -> bool {
        self.0 & bit(call) != 0
    }
}

fn bit(call: Call) -> u32 {
    1 << call as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_for_calls() {
        for call in Call::ALL {
            assert!(Calls::named(call.name()).unwrap().contains(*call), "{call}");
        }
        let xattr = Calls::named("xattr").unwrap();
        assert!(xattr.contains(Call::ListXattr) && !xattr.contains(Call::Read));
        assert!(Calls::named("walk").unwrap().contains(Call::WalkStat));
        assert!(!Calls::named("*").unwrap().contains(Call::Attach));
        assert_eq!(Calls::named("wlak"), None);
        assert_eq!(Calls::named(""), None);
    }
}
