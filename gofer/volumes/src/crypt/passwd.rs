//! `gofer-volumes crypt passwd`

use clap::Args;
use gofer::extension::Error;
use gofer_crypt::directory;

use super::Place;
use super::keys::{CredentialArgs, NewPasswordArgs, with_advice};

const EXAMPLES: &str = "Examples:
  gofer-volumes crypt passwd /srv/vault
  gofer-volumes crypt passwd --masterkey key /srv/vault
      without the old password";

/// Changes the password of an encrypted directory. Its files stay as they are; the old password still opens older
/// copies of its configuration.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Passwd {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    old: CredentialArgs,
    #[command(flatten)]
    new: NewPasswordArgs,
    /// Change the cost of guessing a password, too: 2^N KiB of memory, and time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(10..=20))]
    scryptn: Option<u8>,
}

impl Passwd {
    pub(super) fn run(self) -> Result<(), Error> {
        let config = self.place.config();
        // Said before anybody is asked for a password.
        directory::read_config(&config)?;
        let old = self.old.get("Old password: ");
        let old =
            old.map_err(|error| with_advice(&error, "--passfile FILE, --extpass CMD, --passfd N or --masterkey FILE"))?;
        let new = || -> Result<_, Error> {
            let new = self.new.source().ask_twice("New password: ");
            Ok(new.map_err(|error| with_advice(&error, "--new-passfile FILE, --new-extpass CMD or --new-passfd N"))?)
        };
        let changed = directory::passwd(self.place.dir(), &config, &old, self.scryptn, new)?;
        println!("{}: the password was changed", config.display());
        if let Some(backup) = changed.backup {
            println!("the previous configuration is in {}; remove it once the new password works", backup.display());
        }
        Ok(())
    }
}
