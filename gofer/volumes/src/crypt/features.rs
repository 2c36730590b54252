//! What a new volume is to be like, on the command line.

use clap::Args;
use gofer_crypt::format::{ContentCipher, Features, NameEncryption, NewConfig};

/// Features, as gocryptfs calls them.
#[derive(Debug, Args)]
pub(super) struct FeatureArgs {
    /// Encrypt content with XChaCha20-Poly1305 instead of AES-256-GCM: faster on processors without AES instructions
    #[arg(long)]
    xchacha: bool,
    /// Do not encrypt file names and targets of symbolic links
    #[arg(long, conflicts_with_all = ["deterministic_names", "longnamemax", "raw64"])]
    plaintextnames: bool,
    /// Encrypt equal names in the same way in all directories
    #[arg(long)]
    deterministic_names: bool,
    /// Store encrypted names of more than N bytes in separate files
    #[arg(long, value_name = "N", default_value_t = 255, value_parser = clap::value_parser!(u8).range(62..))]
    longnamemax: u8,
    /// Whether names are without padding; with it, as before gocryptfs 1.3, they are longer
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    raw64: bool,
    /// The cost of guessing a password: 2^N KiB of memory, and time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u8).range(10..=20))]
    scryptn: u8,
}

impl FeatureArgs {
    pub(super) fn config(&self) -> NewConfig {
        let names = match self.plaintextnames {
            true => NameEncryption::Plain,
            false => NameEncryption::Eme {
                per_dir: !self.deterministic_names,
                raw64: self.raw64,
                long_names: Some(self.longnamemax),
            },
        };
        let content = if self.xchacha { ContentCipher::XChaCha20Poly1305 } else { ContentCipher::AesGcm };
        NewConfig { features: Features { content, names }, scrypt_n: self.scryptn }
    }
}
