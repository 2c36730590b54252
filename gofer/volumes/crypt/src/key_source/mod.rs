//! Where passwords and master keys come from. None of it is ever in an argument, a log or an error's text.

mod command;
mod flags;
mod handed;
mod line;
mod master;
mod terminal;

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, RawFd};
use std::path::PathBuf;
use std::process::ExitStatus;

use gofer::inherited;

use crate::format::{Config, ConfigError, MasterKey, Unlocked};
use crate::secret::{MAX_PASSWORD, Password};

pub(crate) use flags::CredentialSource;
pub use master::{parse_master_key, show_master_key};

/// Where a password comes from. Each as gocryptfs has it: of files, descriptors and programs the first line counts,
/// without its newline, and nothing else is taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// Files, whose first lines are joined.
    Files(Vec<PathBuf>),
    /// The output of a program. A single string is split at its spaces; of several, the others are arguments as they
    /// are.
    Program(Vec<String>),
    /// A descriptor that the process was started with.
    Descriptor(RawFd),
    /// Somebody at the terminal.
    Terminal,
}

/// Where a master key comes from: 64 hexadecimal digits, perhaps with `-` or white space between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterKeySource {
    /// A file.
    File(PathBuf),
    /// A descriptor that the process was started with.
    Descriptor(RawFd),
}

/// What opens a volume.
#[derive(Debug)]
pub enum Credential {
    /// The password.
    Password(Password),
    /// The key that the password protects, for those who have lost it.
    MasterKey(MasterKey),
}

/// What opens volumes.
pub trait Unlock {
    /// The key of the volume with `config`. Whether a master key is right cannot be told from the configuration.
    fn unlock(&self, config: &Config) -> Result<Unlocked, ConfigError>;

    /// Whether the key is the volume's for sure if it could be unlocked.
    fn is_proof(&self) -> bool;
}

impl Unlock for Password {
    fn unlock(&self, config: &Config) -> Result<Unlocked, ConfigError> {
        config.unlock(self)
    }

    fn is_proof(&self) -> bool {
        true
    }
}

impl Unlock for Credential {
    fn unlock(&self, config: &Config) -> Result<Unlocked, ConfigError> {
        match self {
            Credential::Password(password) => config.unlock(password),
            Credential::MasterKey(key) => {
                let mut copy = MasterKey::new([0; 32]);
                copy.copy_from_slice(&**key);
                Ok(Unlocked(copy))
            }
        }
    }

    fn is_proof(&self) -> bool {
        matches!(self, Credential::Password(_))
    }
}

/// Why there is no password or master key. Each says it in one line.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// A file or descriptor cannot be read.
    #[error("cannot read the {what} from {from}: {source}")]
    Read {
        /// Password or master key.
        what: &'static str,
        /// The file or descriptor.
        from: From,
        /// What the kernel says.
        source: io::Error,
    },
    /// Not inherited, or somebody else's by now.
    #[error("descriptor {0} is not open, or is used for something else; pass it as in the shell: {0}<FILE")]
    Descriptor(RawFd),
    /// Nothing to guess.
    #[error("the password from {0} is empty; it must be the first line")]
    Empty(From),
    /// Longer than gocryptfs allows.
    #[error("the password from {0} has more than {MAX_PASSWORD} bytes")]
    Long(From),
    /// The program cannot be started.
    #[error("cannot run {program:?} for the password: {source}")]
    Run {
        /// Its name, without its arguments.
        program: String,
        /// What the kernel says.
        source: io::Error,
    },
    /// The program has failed.
    #[error("{program:?}, which should print the password, failed: {status}")]
    Failed {
        /// Its name, without its arguments.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// Nobody to ask.
    #[error("there is no terminal to ask for a password")]
    NoTerminal,
    /// The terminal does not work.
    #[error("cannot ask for the password at the terminal: {0}")]
    Terminal(#[source] io::Error),
    /// Somebody did not want to answer.
    #[error("interrupted while asking for a password")]
    Interrupted,
    /// Two passwords that should be one.
    #[error("the two passwords differ; nothing was changed")]
    Differ,
    /// Something else than a master key.
    #[error("{0} does not hold a master key: 64 hexadecimal digits, as printed by `init`")]
    NotAMasterKey(From),
}

/// A place that something secret comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// A file.
    File(PathBuf),
    /// A descriptor.
    Descriptor(RawFd),
    /// A program.
    Program(String),
    /// The terminal.
    Terminal,
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            From::File(path) => write!(f, "{}", path.display()),
            From::Descriptor(fd) => write!(f, "descriptor {fd}"),
            From::Program(name) => write!(f, "{name:?}"),
            From::Terminal => write!(f, "the terminal"),
        }
    }
}

impl PasswordSource {
    /// What the usual three options say; the terminal if none is given. clap has seen to it that no two are.
    pub fn new(files: Vec<PathBuf>, program: Vec<String>, descriptor: Option<RawFd>) -> Self {
        match descriptor {
            Some(fd) => PasswordSource::Descriptor(fd),
            None if !files.is_empty() => PasswordSource::Files(files),
            None if !program.is_empty() => PasswordSource::Program(program),
            None => PasswordSource::Terminal,
        }
    }

    /// Gets the password.
    pub fn read(&self) -> Result<Password, SecretError> {
        self.ask("Password: ")
    }

    /// The same; people at a terminal are asked with `prompt`.
    pub fn ask(&self, prompt: &str) -> Result<Password, SecretError> {
        match self {
            PasswordSource::Files(files) => read_files(files),
            PasswordSource::Program(words) => command::run(words),
            PasswordSource::Descriptor(fd) => {
                let from = From::Descriptor(*fd);
                with_descriptor(*fd, |fd| line::password(fd, &from))
            }
            PasswordSource::Terminal => terminal::ask(prompt),
        }
    }

    /// The same for a new password: people are asked twice.
    pub fn ask_twice(&self, prompt: &str) -> Result<Password, SecretError> {
        let password = self.ask(prompt)?;
        if *self == PasswordSource::Terminal && self.ask("Repeat: ")?.as_bytes() != password.as_bytes() {
            return Err(SecretError::Differ);
        }
        Ok(password)
    }
}

impl MasterKeySource {
    /// Gets the master key.
    pub fn read(&self) -> Result<MasterKey, SecretError> {
        match self {
            MasterKeySource::File(path) => {
                let from = From::File(path.clone());
                master::read(&open(path, "master key")?, &from)
            }
            MasterKeySource::Descriptor(fd) => with_descriptor(*fd, |file| master::read(file, &From::Descriptor(*fd))),
        }
    }
}

fn read_files(files: &[PathBuf]) -> Result<Password, SecretError> {
    let mut joined = Password::empty();
    for path in files {
        let from = From::File(path.clone());
        let line = line::password(&open(path, "password")?, &from)?;
        if !line.as_bytes().iter().all(|byte| joined.push(*byte)) {
            return Err(SecretError::Long(from));
        }
    }
    Ok(joined)
}

fn open(path: &std::path::Path, what: &'static str) -> Result<File, SecretError> {
    File::open(path).map_err(|source| SecretError::Read { what, from: From::File(path.to_owned()), source })
}

/// Calls `read` with the inherited descriptor `fd`, which is closed after it unless it is stdin.
fn with_descriptor<T>(fd: RawFd, read: impl FnOnce(&dyn AsFd) -> Result<T, SecretError>) -> Result<T, SecretError> {
    if fd == 0 {
        return read(&io::stdin());
    }
    let fd = inherited::take(fd).map_err(|_| SecretError::Descriptor(fd))?;
    read(&fd)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tempfile::NamedTempFile;

    use super::*;

    fn file(content: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn read(source: &PasswordSource) -> Result<Vec<u8>, String> {
        source.read().map(|password| password.as_bytes().to_vec()).map_err(|error| error.to_string())
    }

    fn from_files(contents: &[&[u8]]) -> Result<Vec<u8>, String> {
        let files: Vec<_> = contents.iter().map(|content| file(content)).collect();
        read(&PasswordSource::Files(files.iter().map(|file| file.path().to_owned()).collect()))
    }

    #[test]
    fn the_first_line_counts_without_its_newline() {
        for (content, password) in [
            (&b"secret"[..], &b"secret"[..]),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret\r"),
            (b" secret \nmore\n", b" secret "),
            (b"\0\xff\n", b"\0\xff"),
        ] {
            assert_eq!(from_files(&[content]).as_deref(), Ok(password));
        }
        assert_eq!(from_files(&[b"hello\n", b"world\n"]).as_deref(), Ok(&b"helloworld"[..]));
        assert!(from_files(&[&[b'x'; 2048]]).is_ok());
    }

    #[test]
    fn what_is_no_password_is_told_without_telling_it() {
        assert!(from_files(&[b""]).unwrap_err().contains("is empty"));
        assert!(from_files(&[b"\nsecret\n"]).unwrap_err().contains("is empty"));
        assert!(from_files(&[&[b'x'; 2049]]).unwrap_err().contains("more than 2048 bytes"));
        assert!(from_files(&[&[b'x'; 2000], &[b'x'; 49]]).unwrap_err().contains("more than 2048 bytes"));
        let missing = PasswordSource::Files(vec!["/nonexistent".into()]);
        assert_eq!(
            read(&missing).unwrap_err(),
            "cannot read the password from /nonexistent: No such file or directory (os error 2)"
        );
        assert!(read(&PasswordSource::Descriptor(99)).unwrap_err().contains("descriptor 99 is not open"));
    }

    #[test]
    fn programs_print_passwords() {
        let program =
            |words: &[&str]| read(&PasswordSource::Program(words.iter().map(|word| (*word).to_owned()).collect()));
        assert_eq!(program(&["echo secret"]).as_deref(), Ok(&b"secret"[..]));
        assert_eq!(program(&["printf", "%s", "two words"]).as_deref(), Ok(&b"two words"[..]));
        assert_eq!(program(&["seq 1 100000"]).as_deref(), Ok(&b"1"[..]));
        let error = program(&["sh", "-c", "echo secret; exit 3"]).unwrap_err();
        assert_eq!(error, "\"sh\", which should print the password, failed: exit status: 3");
        assert!(program(&["/nonexistent secret"]).unwrap_err().starts_with("cannot run \"/nonexistent\""));
        assert!(program(&["true secret"]).unwrap_err().contains("from \"true\" is empty"));
    }

    #[test]
    fn master_keys_are_read_as_they_are_printed() {
        let key = MasterKey::new(std::array::from_fn(|at| u8::try_from(at).unwrap()));
        let printed = show_master_key(&key);
        assert_eq!(*printed.matches('-').collect::<String>(), *"-------");
        let read = |content: &[u8]| MasterKeySource::File(file(content).path().to_owned()).read();
        for text in [printed.to_string(), printed.replace('-', ""), format!(" {}\n", printed.replacen('-', "-\n  ", 4))]
        {
            assert_eq!(*read(text.as_bytes()).unwrap(), *key);
        }
        for wrong in [&printed.as_bytes()[1..], b"", &[b'0'; 66], &[b'g'; 64], &[b'0'; 5000]] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("does not hold a master key") && !error.contains("0102"), "{error}");
        }
    }
}
