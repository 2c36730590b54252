//! Programs that print passwords.

use std::io::{self, Read};
use std::process::{Command, Stdio};

use super::{From, SecretError, line};
use crate::secret::{Password, Secret};

/// Runs the program that `words` name, and reads its first line. It may ask people at the terminal.
pub(super) fn run(words: &[String]) -> Result<Password, SecretError> {
    let words: Vec<&str> = match words {
        [line] => line.split(' ').collect(),
        words => words.iter().map(String::as_str).collect(),
    };
    // The arguments may be secret.
    let (program, arguments) = words.split_first().map_or(("", &[][..]), |(program, rest)| (*program, rest));
    let run = |source| SecretError::Run { program: program.to_owned(), source };
    let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().map_err(run)?;
    let stdout = child.stdout.take();
    let password = stdout.ok_or_else(|| run(io::ErrorKind::BrokenPipe.into())).and_then(|mut stdout| {
        let password = line::password(&stdout, &From::Program(program.to_owned()));
        // What else it has to say is of no interest, but it must be able to say it.
        let mut rest = Secret::new([0; 4096]);
        while stdout.read(&mut *rest).map_err(run)? != 0 {}
        password
    });
    let status = child.wait().map_err(run)?;
    if !status.success() {
        return Err(SecretError::Failed { program: program.to_owned(), status });
    }
    password
}
