//! The command-line flags of extensions.

use crate::configuration::Configuration;
use crate::extension::{self, Extension, Preparation, Registry};

/// All of them.
pub(super) struct Flags(Vec<clap::Arg>);

impl Flags {
    /// Those of `registry`.
    pub(super) fn new(registry: &Registry) -> Self {
        Flags(registry.iter().flat_map(Extension::flags).collect())
    }

    /// Whether an extension has a flag of this name.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument.get_long() == Some(name))
    }

    /// Lets all extensions prepare themselves, with what the machine's configuration says and then what was `given`.
    pub(super) fn prepare(
        &self,
        registry: &Registry,
        given: &[String],
        container: Option<extension::Container<'_>>,
    ) -> Result<(), extension::Error> {
        let matches = if self.0.is_empty() {
            // Most have none, and the parser is larger than all the rest.
            clap::ArgMatches::default()
        } else {
            // runsc passes none of them.
            let configured = Configuration::read()?.flags;
            self.parse(configured.iter().chain(given))?
        };
        registry.prepare(&Preparation::new(&matches).container(container))
    }

    /// The last of what is given twice counts.
    fn parse<'a>(&self, given: impl Iterator<Item = &'a String>) -> Result<clap::ArgMatches, String> {
        let parser = clap::Command::new("gofer").no_binary_name(true).args_override_self(true).args(&self.0);
        parser.try_get_matches_from(given).map_err(|error| one_line(&error))
    }
}

/// What is wrong with a command line, without the advice that people get at a terminal.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction};

    use super::*;

    #[test]
    fn flags_are_understood_or_refused_in_one_line() {
        let flag = |name: &'static str| Arg::new(name).long(name);
        let flags = Flags(vec![flag("x-key").required(true), flag("x-fast").action(ArgAction::SetTrue)]);
        assert!(flags.knows("x-key") && !flags.knows("x"));
        let parse = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|word| (*word).to_owned()).collect();
            flags.parse(given.iter())
        };
        let matches = parse(&["--x-key=one", "--x-fast", "--x-key=two"]).unwrap();
        assert_eq!(matches.get_one::<String>("x-key").map(String::as_str), Some("two"));
        assert!(matches.get_flag("x-fast"));
        for (given, wanted) in
            [(&["--x-kye=1"][..], "--x-kye"), (&[], "not provided"), (&["--x-key=1", "more"], "more")]
        {
            let error = parse(given).unwrap_err();
            assert!(error.contains(wanted) && !error.contains('\n') && !error.starts_with("error"), "{error}");
        }
    }
}
