//! Flags that say where passwords and master keys come from.

use std::os::fd::RawFd;
use std::path::PathBuf;

use gofer::clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::PasswordSource;

const FILE: &str = "crypt-passfile";
const PROGRAM: &str = "crypt-extpass";
const DESCRIPTOR: &str = "crypt-passfd";

impl PasswordSource {
    /// The command-line flags that name one.
    pub fn flags() -> Vec<Arg> {
        let flag = |name: &'static str| Arg::new(name).long(name);
        vec![
            flag(FILE)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .action(ArgAction::Append)
                .conflicts_with_all([PROGRAM, DESCRIPTOR])
                .help("The password of encrypted volumes (crypt:) is the first line of FILE; of several, these lines joined"),
            flag(PROGRAM)
                .value_name("CMD")
                .action(ArgAction::Append)
                .allow_hyphen_values(true)
                .conflicts_with(DESCRIPTOR)
                .help("The password of encrypted volumes is the first line that CMD prints; given again, its arguments"),
            flag(DESCRIPTOR)
                .value_name("N")
                .value_parser(value_parser!(RawFd).range(0..))
                .help("The password of encrypted volumes is the first line of descriptor N"),
        ]
    }

    /// The one that flags name, if they do.
    pub fn given(flags: &ArgMatches) -> Option<Self> {
        let all = |name| flags.get_many::<String>(name).into_iter().flatten().cloned().collect();
        let files = flags.get_many::<PathBuf>(FILE).into_iter().flatten().cloned().collect();
        let source = Self::new(files, all(PROGRAM), flags.get_one::<RawFd>(DESCRIPTOR).copied());
        (source != PasswordSource::Terminal).then_some(source)
    }
}
