//! What a release of runsc can do, by its own words.

use std::io;
use std::path::Path;

use super::super::child::{self, Timeout};

/// The platforms of a release, and what else differs between releases.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Platforms {
    /// The names of all platforms.
    pub(super) names: Vec<String>,
    /// The one that is used if nothing is said.
    pub(super) default: Option<String>,
    /// Whether the sandbox may work on files past the gofer, which can be switched off.
    pub(super) has_directfs: bool,
}

/// Precedes the names in the description of the flag, up to a full stop.
const BEFORE: &str = "which platform to use:";
/// Follows the name of the default.
const DEFAULT: &str = "(default)";
/// Of all releases, in case that one does not say.
const ALL: [&str; 3] = ["systrap", "ptrace", "kvm"];

impl Platforms {
    /// Those of the program `runsc`.
    pub(super) fn of(runsc: &Path, timeout: &Timeout) -> io::Result<Self> {
        let outcome = child::run(child::ours(runsc)?.arg("flags"), timeout)?;
        Ok(Platforms::parse(&(outcome.stdout + &outcome.stderr)))
    }

    fn parse(flags: &str) -> Self {
        let listed = flags.split_once(BEFORE).map(|(_, rest)| rest.split(['.', '\n']).next().unwrap_or_default());
        let words = || listed.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty());
        let name = |word: &str| word.trim_end_matches(DEFAULT).trim_end().to_owned();
        let mut names: Vec<String> = words().map(name).collect();
        if names.is_empty() {
            names = ALL.map(String::from).to_vec();
        }
        let default = words().find(|word| word.ends_with(DEFAULT)).map(name);
        let has_directfs = flags.lines().any(|line| line.split_whitespace().next() == Some("-directfs"));
        Platforms { names, default, has_directfs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_say_what_they_have() {
        let flags = "  -directfs\n    \tdirectly access (default true)\n  -platform string\n    \tspecifies which \
                     platform to use: systrap (default), ptrace, kvm. (default \"systrap\")\n";
        let expected = Platforms {
            names: ["systrap", "ptrace", "kvm"].map(String::from).to_vec(),
            default: Some("systrap".to_owned()),
            has_directfs: true,
        };
        assert_eq!(Platforms::parse(flags), expected);
        let flags = "-platform string\n specifies which platform to use: ptrace (default), kvm. (default \"ptrace\")\n";
        let platforms = Platforms::parse(flags);
        assert_eq!(platforms.names, ["ptrace", "kvm"]);
        assert_eq!((platforms.default.as_deref(), platforms.has_directfs), (Some("ptrace"), false));
    }

    #[test]
    fn all_are_tried_if_nothing_is_said() {
        let platforms = Platforms::parse("usage: something else");
        assert_eq!(platforms.names, ALL);
        assert_eq!(platforms.default, None);
    }
}
