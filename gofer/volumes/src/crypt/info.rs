//! `gofer-volumes crypt info`

use clap::Args;
use gofer::extension::Error;
use gofer_crypt::directory::{DirectoryError, read_config};
use gofer_crypt::format;

use super::Place;

/// Shows what the configuration of an encrypted directory says. No password is needed.
#[derive(Debug, Args)]
pub(crate) struct Info {
    #[command(flatten)]
    place: Place,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Info {
    pub(super) fn run(self) -> Result<(), Error> {
        let config = self.place.config();
        let info = format::Info::parse(&read_config(&config)?).map_err(DirectoryError::format(&config))?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&info)?);
        } else {
            print!("{info}");
        }
        Ok(())
    }
}
