//! Where passwords come from.

use std::fs::File;
use std::path::PathBuf;

use gofer::clap::{Arg, ArgMatches, value_parser};
use rustix::io::Errno;

use crate::secret::{MAX_PASSWORD, Password, Secret};

/// Where a password comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordSource {
    /// The first line of a file.
    File(PathBuf),
}

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the password from {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Nothing, or too much.
    #[error("the password from {from} {problem}")]
    Password {
        /// Where it is from.
        from: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

const FILE: &str = "crypt-passfile";

impl PasswordSource {
    /// The command-line flags that name one.
    pub fn flags() -> Vec<Arg> {
        vec![
            Arg::new(FILE)
                .long(FILE)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The password of encrypted volumes (crypt:) is the first line of this file"),
        ]
    }

    /// The one that flags name, if they do.
    pub fn given(flags: &ArgMatches) -> Option<Self> {
        flags.get_one::<PathBuf>(FILE).cloned().map(PasswordSource::File)
    }

    /// Gets the password.
    pub fn read(&self) -> Result<Password, SecretError> {
        match self {
            PasswordSource::File(path) => {
                let failed = |source| SecretError::File { path: path.clone(), source };
                let file = File::open(path).map_err(failed)?;
                first_line(&file, &path.display().to_string(), failed)
            }
        }
    }
}

/// The first line of what `file` has, or all of it if it has no other.
fn first_line(
    file: &File,
    from: &str,
    failed: impl Fn(std::io::Error) -> SecretError,
) -> Result<Password, SecretError> {
    // With its end.
    let mut bytes = Secret::new([0; MAX_PASSWORD + 1]);
    let mut len = 0;
    while len < bytes.len() {
        match rustix::io::read(file, &mut bytes[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    let line = bytes[..len].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let problem = if line.is_empty() { "is empty" } else { "is longer than 2048 bytes" };
    Password::new(line).ok_or_else(|| SecretError::Password { from: from.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: &[u8]) -> Result<Vec<u8>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, content).unwrap();
        let password = PasswordSource::File(path).read();
        password.map(|password| password.as_bytes().to_vec()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_password_is_the_first_line_of_a_file() {
        assert_eq!(of(b"secret").as_deref(), Ok(&b"secret"[..]));
        assert_eq!(of(b"two words \nmore\n").as_deref(), Ok(&b"two words "[..]));
        assert_eq!(of(&[b'x'; MAX_PASSWORD]).map(|password| password.len()), Ok(MAX_PASSWORD));
        assert!(of(b"\nsecret\n").unwrap_err().ends_with("is empty"));
        assert!(of(&[b'x'; MAX_PASSWORD + 1]).unwrap_err().ends_with("is longer than 2048 bytes"));
        let missing = PasswordSource::File("/nonexistent".into()).read().unwrap_err().to_string();
        assert_eq!(missing, "cannot read the password from /nonexistent: No such file or directory (os error 2)");
    }
}
