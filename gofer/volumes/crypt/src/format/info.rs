//! What a configuration says, for people.

use std::fmt;

use serde::Serialize;

use super::config::{Raw, check_version};
use super::{Config, ConfigError};

/// What can be told of a configuration without the password, also if the volume cannot be opened here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Info {
    /// The program that made it.
    pub creator: String,
    /// The version of the format.
    pub version: u64,
    /// The feature flags, as they are spelled in the file.
    pub feature_flags: Vec<String>,
    /// Encrypted names of more bytes are in files of their own.
    pub long_name_max: Option<u8>,
    /// Bytes of the encrypted master key.
    pub encrypted_key: usize,
    /// What it costs to try a password.
    pub scrypt: ScryptInfo,
    /// The cipher for content.
    pub content_encryption: &'static str,
    /// Why the volume cannot be opened here.
    pub unsupported: Option<String>,
}

/// Parameters of scrypt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScryptInfo {
    /// Bytes of salt.
    pub salt: usize,
    /// The cost. 128 N R bytes of memory are needed.
    pub n: u64,
    /// The size of blocks.
    pub r: u64,
    /// How often, one after the other.
    pub p: u64,
    /// Bytes of the key that comes out.
    pub key_len: u64,
}

impl Info {
    /// What `json` says. An error is something that is no configuration of this version at all.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        check_version(json)?;
        let raw: Raw = serde_json::from_slice(json).map_err(|error| ConfigError::Syntax(error.to_string()))?;
        let has = |flag: &str| raw.feature_flags.iter().any(|other| other == flag);
        let content_encryption = match () {
            () if has("XChaCha20Poly1305") => "XChaCha20-Poly1305",
            () if has("AESSIV") => "AES-SIV-512",
            () => "AES-GCM-256",
        };
        Ok(Info {
            content_encryption,
            unsupported: Config::parse(json).err().map(|error| error.to_string()),
            creator: raw.creator,
            version: raw.version,
            feature_flags: raw.feature_flags,
            long_name_max: raw.long_name_max,
            encrypted_key: raw.encrypted_key.0.len(),
            scrypt: ScryptInfo {
                salt: raw.scrypt_object.salt.0.len(),
                n: raw.scrypt_object.n,
                r: raw.scrypt_object.r,
                p: raw.scrypt_object.p,
                key_len: raw.scrypt_object.key_len,
            },
        })
    }
}

impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScryptInfo { salt, n, r, p, key_len } = &self.scrypt;
        // Whoever writes it may have written control characters.
        writeln!(f, "Creator:           {}", self.creator.escape_debug())?;
        writeln!(f, "FeatureFlags:      {}", self.feature_flags.join(" ").escape_debug())?;
        if let Some(max) = self.long_name_max {
            writeln!(f, "LongNameMax:       {max}")?;
        }
        writeln!(f, "EncryptedKey:      {}B", self.encrypted_key)?;
        writeln!(f, "ScryptObject:      Salt={salt}B N={n} R={r} P={p} KeyLen={key_len}")?;
        writeln!(f, "contentEncryption: {}", self.content_encryption)?;
        match &self.unsupported {
            Some(problem) => writeln!(f, "cannot be opened:  {problem}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::NewConfig;
    use crate::secret::Password;

    #[test]
    fn also_what_cannot_be_opened_is_shown() {
        let new = NewConfig { scrypt_n: 10, ..NewConfig::default() };
        let (config, _) = Config::create(&new, &Password::new(b"secret").unwrap()).unwrap();
        let json = String::from_utf8(config.to_json()).unwrap();
        let info = Info::parse(json.as_bytes()).unwrap();
        assert_eq!((info.scrypt.n, info.unsupported.as_deref()), (1024, None));
        let info = Info::parse(json.replace("GCMIV128", "AESSIV\", \"GCMIV128").as_bytes()).unwrap();
        assert_eq!(info.content_encryption, "AES-SIV-512");
        assert!(info.unsupported.as_ref().unwrap().contains("\"AESSIV\""));
        let text = Info::parse(json.replace("HKDF", "\\u001b[31m").as_bytes()).unwrap().to_string();
        assert!(!text.contains('\u{1b}') && text.contains("cannot be opened"), "{text}");
        assert_eq!(Info::parse(b"{\"Version\": 3}").unwrap_err(), ConfigError::Version(3));
    }
}
