//! Where passwords and master keys come from, on the command line.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Args;
use gofer_crypt::key_source::{Credential, MasterKeySource, PasswordSource, SecretError};

/// Where the password comes from: the terminal, unless something else is said.
#[derive(Debug, Args)]
pub(super) struct PasswordArgs {
    /// Read the password from the first line of FILE; if given several times, join the lines
    #[arg(long, alias = "crypt-passfile", value_name = "FILE", conflicts_with_all = ["extpass", "passfd"])]
    passfile: Vec<PathBuf>,
    /// Read the password from the first line that CMD prints; if given again, its arguments
    #[arg(long, alias = "crypt-extpass", value_name = "CMD", allow_hyphen_values = true, conflicts_with = "passfd")]
    extpass: Vec<String>,
    /// Read the password from the first line of descriptor N
    #[arg(long, alias = "crypt-passfd", value_name = "N")]
    passfd: Option<RawFd>,
}

impl PasswordArgs {
    pub(super) fn source(&self) -> PasswordSource {
        PasswordSource::new(self.passfile.clone(), self.extpass.clone(), self.passfd)
    }
}

/// Where the next password comes from, likewise.
#[derive(Debug, Args)]
pub(super) struct NewPasswordArgs {
    /// Read the new password from the first line of FILE; if given several times, join the lines
    #[arg(long, value_name = "FILE", conflicts_with_all = ["new_extpass", "new_passfd"])]
    new_passfile: Vec<PathBuf>,
    /// Read the new password from the first line that CMD prints; if given again, its arguments
    #[arg(long, value_name = "CMD", allow_hyphen_values = true, conflicts_with = "new_passfd")]
    new_extpass: Vec<String>,
    /// Read the new password from the first line of descriptor N; with --passfd 0, 0 is the next line of stdin
    #[arg(long, value_name = "N")]
    new_passfd: Option<RawFd>,
}

impl NewPasswordArgs {
    pub(super) fn source(&self) -> PasswordSource {
        PasswordSource::new(self.new_passfile.clone(), self.new_extpass.clone(), self.new_passfd)
    }
}

/// Where the master key comes from, if it is used instead of the password.
#[derive(Debug, Args)]
pub(super) struct MasterKeyArgs {
    /// Use the master key in FILE instead of the password
    #[arg(long, alias = "crypt-masterkey", value_name = "FILE", conflicts_with = "masterkeyfd")]
    masterkey: Option<PathBuf>,
    /// Use the master key in descriptor N
    #[arg(long, alias = "crypt-masterkeyfd", value_name = "N")]
    masterkeyfd: Option<RawFd>,
}

impl MasterKeyArgs {
    pub(super) fn source(&self) -> Option<MasterKeySource> {
        match (&self.masterkey, self.masterkeyfd) {
            (Some(path), _) => Some(MasterKeySource::File(path.clone())),
            (None, Some(fd)) => Some(MasterKeySource::Descriptor(fd)),
            (None, None) => None,
        }
    }
}

/// What opens a volume: the password, or the master key.
#[derive(Debug, Args)]
pub(super) struct CredentialArgs {
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    master_key: MasterKeyArgs,
}

impl CredentialArgs {
    /// Gets it. People at the terminal are asked with `prompt`.
    pub(super) fn get(&self, prompt: &str) -> Result<Credential, SecretError> {
        match self.master_key.source() {
            Some(source) => source.read().map(Credential::MasterKey),
            None => self.password.source().ask(prompt).map(Credential::Password),
        }
    }
}

/// What to add to an error where something else could be said.
pub(super) fn with_advice(error: &SecretError, options: &str) -> String {
    match error {
        SecretError::NoTerminal => format!("{error}; use {options}"),
        _ => error.to_string(),
    }
}
