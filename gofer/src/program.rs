//! What a program is made of.

use crate::extension::Extension;

/// The extensions of a program, and what it says of itself.
pub struct Program {
    own: Vec<Box<dyn Extension>>,
    is_alone: bool,
    name: Option<(&'static str, &'static str)>,
}

impl Program {
    /// A program with the extensions `own`, beside all that ship. One of `own` takes the place of one that ships under
    /// the same name.
    #[must_use]
    pub fn new(own: Vec<Box<dyn Extension>>) -> Self {
        Program { own, is_alone: false, name: None }
    }

    /// The same without the extensions that ship.
    #[must_use]
    pub fn without_shipped(self) -> Self {
        Program { is_alone: true, ..self }
    }

    /// The same, whose `--version` and usage say `name` and `version`: `env!("CARGO_PKG_VERSION")`, most likely.
    #[must_use]
    pub fn named(self, name: &'static str, version: &'static str) -> Self {
        Program { name: Some((name, version)), ..self }
    }

    /// Its command line, of which `command` is made.
    pub fn command(&self, command: clap::Command) -> clap::Command {
        match self.name {
            Some((name, version)) => command.name(name).version(version),
            None => command,
        }
    }

    /// All its extensions, if `shipped` are those that ship.
    pub fn extensions(self, shipped: Vec<Box<dyn Extension>>) -> Vec<Box<dyn Extension>> {
        let mut all = self.own;
        if !self.is_alone {
            let own: Vec<&str> = all.iter().map(|extension| extension.name()).collect();
            let (_, others): (Vec<_>, Vec<_>) = shipped.into_iter().partition(|other| own.contains(&other.name()));
            all.extend(others);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extensions::{shipped, stats::StatsExtension};

    #[test]
    fn own_extensions_come_first_and_take_the_place_of_others() {
        let names = |program: Program| -> Vec<&str> {
            program.extensions(shipped()).iter().map(|extension| extension.name()).collect()
        };
        let own = || Program::new(vec![Box::new(StatsExtension)]);
        let all = names(own());
        assert_eq!(all[0], "stats");
        assert_eq!(all.iter().filter(|name| **name == "stats").count(), 1);
        assert!(all.contains(&"mem") && all.contains(&"readonly"), "{all:?}");
        assert_eq!(names(own().without_shipped()), ["stats"]);
    }

    #[test]
    fn a_program_has_its_own_name_and_version() {
        let command = Program::new(Vec::new()).named("shelf", "7.1").command(clap::Command::new("gofer").version("0"));
        assert_eq!(command.render_version(), "shelf 7.1\n");
    }
}
