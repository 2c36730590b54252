//! `gofer-volumes crypt init`

use std::io::{IsTerminal, Write, stdout};

use clap::Args;
use gofer::extension::Error;
use gofer_crypt::directory;
use gofer_crypt::format::Unlocked;
use gofer_crypt::key_source::{parse_master_key, show_master_key};
use zeroize::Zeroize;

use super::Place;
use super::features::FeatureArgs;
use super::keys::{MasterKeyArgs, PasswordArgs, with_advice};

const EXAMPLES: &str = "Examples:
  gofer-volumes crypt init /srv/vault
      ask for a password and create it
  gofer-volumes crypt init --passfile /root/pass vault
      .. with the password in a file
  gofer-volumes crypt init --masterkey key /srv/vault
      recreate only the configuration, after it was lost";

/// Makes an encrypted directory that this program and gocryptfs open.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Init {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    features: FeatureArgs,
    #[command(flatten)]
    master_key: MasterKeyArgs,
}

impl Init {
    pub(super) fn run(self) -> Result<(), Error> {
        let (dir, config) = (self.place.dir(), self.place.config());
        let key = self.master_key.source().map(|source| source.read()).transpose()?;
        // Nobody wants to think of a password for nothing.
        if key.is_none() && dir.read_dir().is_ok_and(|entries| entries.count() > 0) {
            return Err(directory::DirectoryError::NotEmpty(dir.to_owned()).into());
        }
        let password = self.password.source().ask_twice("Password for the new volume: ");
        let password = password.map_err(|error| with_advice(&error, "--passfile FILE, --extpass CMD or --passfd N"))?;
        let new = self.features.config();
        match key {
            Some(key) => {
                directory::restore(dir, &config, &new, &Unlocked(key), &password)?;
                println!("{}: made again", config.display());
            }
            None => {
                let key = directory::init(dir, &config, &new, &password)?;
                println!(
                    "{}: an encrypted directory; mount it: fusebridge mnt {} MOUNTPOINT",
                    dir.display(),
                    self.place.backend()
                );
                show(&key)?;
            }
        }
        Ok(())
    }
}

/// Shows the master key to people, who can keep it; what is not a terminal may be a log.
fn show(key: &Unlocked) -> std::io::Result<()> {
    let mut stdout = stdout().lock();
    if !stdout.is_terminal() {
        return Ok(());
    }
    let digits = show_master_key(&key.0);
    debug_assert!(parse_master_key(digits.as_bytes()).is_some());
    let (first, second) = digits.split_at(digits.len().div_ceil(2));
    let mut text = format!(
        "
The master key is

    {first}
    {second}

With it, and only with it, the files can be read when the password is forgotten or gocryptfs.conf is lost. It is not shown
again: write it on paper, and keep that where nobody finds it.
"
    );
    let written = stdout.write_all(text.as_bytes());
    text.zeroize();
    written
}
