//! Who asks.

use std::fs;

/// Who asks: owns what is created.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permissions that new files do not get, unless their directory says otherwise.
    pub umask: u32,
    /// Thread, or 0 if it cannot be seen from here.
    pub pid: u32,
}

/// Capabilities, by their numbers in Linux.
#[derive(Clone, Copy, Debug)]
pub(super) enum Capability {
    /// `CAP_FSETID`: set-id bits stay.
    KeepSetIds = 4,
    /// `CAP_SYS_ADMIN`, which attributes of the namespace `trusted` are for.
    Administer = 21,
}

impl Caller {
    /// A user and his group, without an umask.
    pub fn new(uid: u32, gid: u32) -> Self {
        Caller { uid, gid, umask: 0, pid: 0 }
    }

    /// Whether he is in `group`.
    pub(super) fn is_in(&self, group: u32) -> bool {
        self.gid == group || self.status().is_some_and(|status| status.groups.contains(&group))
    }

    /// Whether he has `capability` on this machine. Who cannot be looked at has what his user usually has.
    pub(super) fn is_capable(&self, capability: Capability) -> bool {
        match self.status() {
            Some(status) => status.capabilities & 1 << capability as u32 != 0,
            None => self.uid == 0,
        }
    }

    /// What the kernel does not send with each request.
    fn status(&self) -> Option<Status> {
        if self.pid == 0 {
            return None;
        }
        let mut status = Status::parse(&fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?)?;
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/user")).ok();
        if namespace(&self.pid.to_string()) != namespace("self") {
            // They count for what belongs to that namespace only.
            status.capabilities = 0;
        }
        Some(status)
    }
}

/// A part of `/proc/PID/status`.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    groups: Vec<u32>,
    /// The effective ones, a bit for each.
    capabilities: u64,
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        Some(Status {
            groups: field("Groups:")?.split_ascii_whitespace().filter_map(|group| group.parse().ok()).collect(),
            capabilities: u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_capabilities_are_found() {
        let status = Status::parse("Name:\tcat\nGroups:\t4 27 1000 \nCapEff:\t0000000000200010\n");
        assert_eq!(status, Some(Status { groups: vec![4, 27, 1000], capabilities: 1 << 21 | 1 << 4 }));
        let nobody = Status::parse("Groups:\t \nCapEff:\t0000000000000000\n");
        assert_eq!(nobody, Some(Status { groups: vec![], capabilities: 0 }));
        assert_eq!(Status::parse("Name:\tcat\n"), None);
    }

    #[test]
    fn this_process_is_found() {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let caller = Caller { pid: std::process::id(), ..Caller::new(uid, gid) };
        assert!(caller.status().is_some() && caller.is_in(gid));
    }

    #[test]
    fn who_is_hidden_is_taken_for_what_he_says() {
        assert!(Caller::new(0, 0).is_capable(Capability::Administer));
        assert!(!Caller::new(7, 7).is_capable(Capability::Administer));
        assert!(Caller::new(7, 8).is_in(8) && !Caller::new(7, 8).is_in(7));
    }
}
