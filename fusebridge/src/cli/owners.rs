//! Options about whom files belong to, with the names that bindfs and sshfs have for them.

use clap::Args;

use super::accounts;
use crate::fs::{Ids, Owners};

/// Whom files belong to in the mount.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct OwnerArgs {
    /// Show the files of user FROM as those of TO, of @GROUP as those of @GROUP, and give back what TO makes; numbers
    /// or names, several separated by colons
    #[arg(long, value_name = "FROM/TO[:...]", value_parser = map)]
    map: Option<Map>,

    /// Show all files as those of USER
    #[arg(long, value_name = "USER", value_parser = user)]
    force_user: Option<u32>,

    /// Show all files as those of GROUP
    #[arg(long, value_name = "GROUP", value_parser = group)]
    force_group: Option<u32>,

    /// New files belong to USER on the server, instead of to who makes them
    #[arg(long, value_name = "USER", value_parser = user)]
    create_for_user: Option<u32>,

    /// New files belong to GROUP on the server
    #[arg(long, value_name = "GROUP", value_parser = group)]
    create_for_group: Option<u32>,

    /// Show all files with the permissions that the octal MASK leaves of 777
    #[arg(long, value_name = "MASK", value_parser = umask)]
    umask: Option<u16>,
}

impl OwnerArgs {
    /// What the mount shows.
    pub(super) fn owners(&self) -> Owners {
        let Map { users, groups } = self.map.clone().unwrap_or_default();
        Owners {
            users: Ids { pairs: users, forced: self.force_user, created: self.create_for_user },
            groups: Ids { pairs: groups, forced: self.force_group, created: self.create_for_group },
            umask: self.umask,
        }
    }
}

/// Numbers of the server and what they are in the mount.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Map {
    users: Vec<(u32, u32)>,
    groups: Vec<(u32, u32)>,
}

fn map(text: &str) -> Result<Map, String> {
    let mut map = Map::default();
    for pair in text.split(':') {
        let (from, to) = pair.split_once('/').ok_or_else(|| format!("{pair:?} is not FROM/TO or @FROM/@TO"))?;
        let (pairs, from, to) = match from.strip_prefix('@') {
            Some(from) => (&mut map.groups, group(from)?, group(to.strip_prefix('@').unwrap_or(to))?),
            None => (&mut map.users, user(from)?, user(to)?),
        };
        if pairs.iter().any(|(other_from, other_to)| *other_from == from || *other_to == to) {
            return Err(format!("what {pair:?} maps, or maps to, occurs twice"));
        }
        pairs.push((from, to));
    }
    Ok(map)
}

fn user(text: &str) -> Result<u32, String> {
    number(text).or_else(|| accounts::user(text)).ok_or_else(|| format!("there is no user {text:?}"))
}

fn group(text: &str) -> Result<u32, String> {
    number(text).or_else(|| accounts::group(text)).ok_or_else(|| format!("there is no group {text:?}"))
}

/// The largest number stands for "none" in system calls.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

fn umask(text: &str) -> Result<u16, String> {
    let mask = u16::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777);
    mask.ok_or_else(|| "not an octal number up to 777; for example 022".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups_are_mapped() {
        let expected = Map { users: vec![(1000, 0), (0, 1000)], groups: vec![(5, 6), (7, 0)] };
        assert_eq!(map("1000/root:@5/@6:root/1000:@7/root"), Ok(expected));
        for (wrong, word) in [
            ("1000", "FROM/TO"),
            ("", "FROM/TO"),
            ("1/2:3/2", "twice"),
            ("1/2:1/3", "twice"),
            ("1/no such user", "no user"),
            ("@1/4294967295", "no group"),
        ] {
            assert!(map(wrong).is_err_and(|error| error.contains(word)), "{wrong}");
        }
    }

    #[test]
    fn masks_are_octal() {
        assert_eq!(umask("027"), Ok(0o27));
        assert!(umask("1000").is_err() && umask("8").is_err());
    }
}
