//! Flags that say where passwords and master keys come from.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;

use gofer::clap::{Arg, ArgAction, ArgMatches, value_parser};

use super::{Credential, MasterKeySource, PasswordSource, SecretError, handed};

const FILE: &str = "crypt-passfile";
const PROGRAM: &str = "crypt-extpass";
const DESCRIPTOR: &str = "crypt-passfd";
const MASTER_KEY: &str = "crypt-masterkey";
const MASTER_KEY_DESCRIPTOR: &str = "crypt-masterkeyfd";

/// Flags of which only one may be given.
const ALL: [&str; 5] = [FILE, PROGRAM, DESCRIPTOR, MASTER_KEY, MASTER_KEY_DESCRIPTOR];

/// Where that comes from which opens volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CredentialSource {
    Password(PasswordSource),
    MasterKey(MasterKeySource),
    /// The process that has started this one, which says it by a pipe.
    Handed(RawFd),
}

impl CredentialSource {
    /// What the process before says to this one. It counts more than what people say, which is for that.
    pub(crate) const HANDED: &str = "crypt-handed";

    /// The command-line flags that name one.
    pub(crate) fn flags() -> Vec<Arg> {
        let flag = |name: &'static str| {
            let others = ALL.into_iter().filter(|other| *other != name).collect::<Vec<_>>();
            Arg::new(name).long(name).conflicts_with_all(others)
        };
        let number = value_parser!(RawFd).range(0..);
        vec![
            flag(FILE).value_name("FILE").value_parser(value_parser!(PathBuf)).action(ArgAction::Append).help(
                "Read the password of encrypted volumes (crypt:) from the first line of FILE; if given several times, join the lines",
            ),
            flag(PROGRAM).value_name("CMD").action(ArgAction::Append).allow_hyphen_values(true).help(
                "Read the password of encrypted volumes from the first line that CMD prints; if given again, its arguments",
            ),
            flag(DESCRIPTOR)
                .value_name("N")
                .value_parser(number)
                .help("Read the password of encrypted volumes from the first line of descriptor N"),
            flag(MASTER_KEY)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Open encrypted volumes with the master key in FILE instead of a password"),
            flag(MASTER_KEY_DESCRIPTOR)
                .value_name("N")
                .value_parser(number)
                .help("Open encrypted volumes with the master key in descriptor N"),
            Arg::new(Self::HANDED).long(Self::HANDED).value_parser(number).overrides_with(Self::HANDED).hide(true),
        ]
    }

    /// The one that flags name, if they do.
    pub(crate) fn given(flags: &ArgMatches) -> Option<Self> {
        let number = |name| flags.get_one::<RawFd>(name).copied();
        if let Some(fd) = number(Self::HANDED) {
            return Some(CredentialSource::Handed(fd));
        }
        let files = flags.get_many::<PathBuf>(FILE).into_iter().flatten().cloned().collect();
        let words = flags.get_many::<String>(PROGRAM).into_iter().flatten().cloned().collect();
        let key = flags.get_one::<PathBuf>(MASTER_KEY).cloned().map(MasterKeySource::File);
        match key.or_else(|| number(MASTER_KEY_DESCRIPTOR).map(MasterKeySource::Descriptor)) {
            Some(key) => Some(CredentialSource::MasterKey(key)),
            None => match PasswordSource::new(files, words, number(DESCRIPTOR)) {
                PasswordSource::Terminal => None,
                source => Some(CredentialSource::Password(source)),
            },
        }
    }

    /// Whether it is a descriptor of this process, which somebody must have thought of.
    pub(crate) fn is_descriptor(&self) -> bool {
        use CredentialSource::{Handed, MasterKey, Password};
        matches!(self, Password(PasswordSource::Descriptor(_)) | MasterKey(MasterKeySource::Descriptor(_)) | Handed(_))
    }

    /// Gets the password or master key.
    pub(crate) fn read(&self) -> Result<Credential, SecretError> {
        match self {
            CredentialSource::Password(source) => source.read().map(Credential::Password),
            CredentialSource::MasterKey(source) => source.read().map(Credential::MasterKey),
            CredentialSource::Handed(fd) => handed::take(*fd),
        }
    }
}

impl Credential {
    /// A pipe with it for a process that is started with [`CredentialSource::HANDED`].
    pub(crate) fn pipe(&self) -> io::Result<OwnedFd> {
        handed::pipe(self)
    }
}

#[cfg(test)]
mod tests {
    use gofer::clap::Command;

    use super::*;

    fn given(flags: &[&str]) -> Result<Option<CredentialSource>, String> {
        let parser = Command::new("x").no_binary_name(true).args(CredentialSource::flags());
        let matches = parser.try_get_matches_from(flags).map_err(|error| error.to_string())?;
        Ok(CredentialSource::given(&matches))
    }

    #[test]
    fn one_source_is_named() {
        let password = |source| Ok(Some(CredentialSource::Password(source)));
        assert_eq!(given(&[]), Ok(None));
        let files = ["--crypt-passfile=a", "--crypt-passfile", "b"];
        assert_eq!(given(&files), password(PasswordSource::Files(vec!["a".into(), "b".into()])));
        let words = ["--crypt-extpass", "echo", "--crypt-extpass", "-n"];
        assert_eq!(given(&words), password(PasswordSource::Program(vec!["echo".into(), "-n".into()])));
        assert_eq!(given(&["--crypt-passfd=5"]), password(PasswordSource::Descriptor(5)));
        let key = CredentialSource::MasterKey(MasterKeySource::File("k".into()));
        assert_eq!(given(&["--crypt-masterkey=k"]), Ok(Some(key)));
        // Said by the process before.
        let handed = ["--crypt-passfd=5", "--crypt-handed=10", "--crypt-handed=11"];
        assert_eq!(given(&handed), Ok(Some(CredentialSource::Handed(11))));
        for wrong in [["--crypt-passfd=5", "--crypt-masterkey=k"], ["--crypt-passfile=a", "--crypt-extpass=b"]] {
            assert!(given(&wrong).unwrap_err().contains("cannot be used with"));
        }
        assert!(given(&["--crypt-passfd=-1"]).is_err());
    }
}
