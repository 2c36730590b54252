//! `gocryptfs.conf`.

use aes_gcm::KeyInit;
use data_encoding::BASE64;
use scrypt::Params;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::content::{Gcm, open_gcm, seal_gcm};
use super::header::VERSION;
use super::keys::{GCM, Keys, MasterKey, expand};
use super::{Features, random};
use crate::secret::{Key, MAKING_KEYS, MAX_PASSWORD, Password, Secret, without_traces};

/// What the master key is bound to: block 0 of no file.
const BOUND_TO: [u8; 8] = [0; 8];

/// Bytes of the encrypted master key: nonce, key, tag.
const SEALED_KEY: usize = 16 + 32 + 16;

/// Most memory for scrypt, in bytes: what others write into a configuration must not take all there is.
const MAX_MEMORY: u64 = 1 << 30;

/// The configuration of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    raw: Raw,
    features: Features,
    params: Cost,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Raw {
    #[serde(default)]
    pub(super) creator: String,
    pub(super) encrypted_key: Base64,
    pub(super) scrypt_object: Scrypt,
    pub(super) version: u64,
    pub(super) feature_flags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) long_name_max: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Scrypt {
    pub(super) salt: Base64,
    pub(super) n: u64,
    pub(super) r: u64,
    pub(super) p: u64,
    pub(super) key_len: u64,
}

/// What of a configuration is needed if the master key comes from elsewhere.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WithoutKey {
    #[serde(default)]
    creator: String,
    feature_flags: Vec<String>,
    #[serde(default)]
    long_name_max: Option<u8>,
}

/// Checked parameters of scrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    log_n: u8,
    r: u32,
    p: u32,
    key_len: usize,
}

/// What a new volume is to be like.
#[derive(Clone, Copy, Debug)]
pub struct NewConfig {
    /// What is special about it.
    pub features: Features,
    /// The cost of guessing a password, 10 to 28: its memory is 2^n KiB. gocryptfs has 16.
    pub scrypt_n: u8,
}

impl Default for NewConfig {
    fn default() -> Self {
        NewConfig { features: Features::default(), scrypt_n: 16 }
    }
}

/// The key that a password has unlocked.
#[derive(Debug)]
pub struct Unlocked(pub MasterKey);

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is no configuration.
    #[error("not a gocryptfs configuration: {0}")]
    Syntax(String),
    /// Another version of the format.
    #[error("version {0} of the format; only version 2 is supported")]
    Version(u64),
    /// A flag that nobody knows here.
    #[error("unknown feature flag {0:?}; a newer program may know it")]
    Unknown(String),
    /// A flag whose meaning is known but not supported.
    #[error("the feature {0:?} is not supported; use gocryptfs itself for this volume")]
    Unsupported(String),
    /// A flag without which volumes are not supported.
    #[error("the feature flag {0:?} is missing; volumes without it are not supported")]
    Missing(&'static str),
    /// Flags that contradict each other.
    #[error("the feature flags {0:?} and {1:?} are mutually exclusive")]
    Conflict(&'static str, &'static str),
    /// A number without a flag, or the other way round.
    #[error("LongNameMax and its feature flag do not agree")]
    LongNameMax,
    /// Weaker than is allowed, or so strong that it would take all memory.
    #[error("scrypt's parameter {0} is out of range")]
    Scrypt(&'static str),
    /// The encrypted key has not the right size.
    #[error("EncryptedKey has {0} bytes, not 64")]
    KeySize(usize),
    /// The password does not fit.
    #[error("wrong password, or the configuration was changed")]
    Password,
}

impl ConfigError {
    /// What to do, to be appended to the error; empty where that says it.
    pub fn advice(&self) -> &'static str {
        match self {
            ConfigError::Syntax(_) | ConfigError::KeySize(_) | ConfigError::Scrypt(_) | ConfigError::LongNameMax => {
                "; restore it from a backup, or by the master key"
            }
            ConfigError::Version(0..=1) => "; copy the files with the program that made it",
            ConfigError::Version(_) => "; use a newer program",
            ConfigError::Password => {
                "; if it is the right one, restore the configuration from a backup, or by the master key"
            }
            ConfigError::Missing(_) | ConfigError::Conflict(..) => "; use gocryptfs itself for this volume",
            ConfigError::Unknown(_) | ConfigError::Unsupported(_) => "",
        }
    }
}

impl Config {
    /// Reads a configuration and checks all that can be checked without the password.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        check_version(json)?;
        let raw: Raw = serde_json::from_slice(json).map_err(|error| ConfigError::Syntax(error.to_string()))?;
        let features = Features::parse(&raw.feature_flags, raw.long_name_max)?;
        let params = raw.scrypt_object.check()?;
        if raw.encrypted_key.0.len() != SEALED_KEY {
            return Err(ConfigError::KeySize(raw.encrypted_key.0.len()));
        }
        Ok(Config { raw, features, params })
    }

    /// Reads a configuration whose encrypted key or parameters of scrypt may be damaged.
    /// [`change_password`](Self::change_password) makes a whole one of it; until then no password unlocks it.
    pub fn parse_without_key(json: &[u8]) -> Result<Self, ConfigError> {
        check_version(json)?;
        let rest: WithoutKey = serde_json::from_slice(json).map_err(|error| ConfigError::Syntax(error.to_string()))?;
        let features = Features::parse(&rest.feature_flags, rest.long_name_max)?;
        let raw = Raw {
            creator: rest.creator,
            encrypted_key: Base64(vec![0; SEALED_KEY]),
            scrypt_object: Scrypt::new(NewConfig::default().scrypt_n),
            version: VERSION.into(),
            feature_flags: rest.feature_flags,
            long_name_max: rest.long_name_max,
        };
        let params = raw.scrypt_object.check()?;
        Ok(Config { raw, features, params })
    }

    /// A configuration for a new volume with a new master key, which is also answered.
    pub fn create(new: &NewConfig, password: &Password) -> Result<(Self, Unlocked), ConfigError> {
        let mut key = MasterKey::new([0; 32]);
        random::fill(&mut *key);
        let key = Unlocked(key);
        Ok((Self::create_with(new, &key, password)?, key))
    }

    /// The same for a master key that there is.
    pub fn create_with(new: &NewConfig, key: &Unlocked, password: &Password) -> Result<Self, ConfigError> {
        let (feature_flags, long_name_max) = new.features.flags();
        let raw = Raw {
            creator: format!("gofer-volumes {}", env!("CARGO_PKG_VERSION")),
            encrypted_key: Base64(Vec::new()),
            scrypt_object: Scrypt::new(new.scrypt_n),
            version: VERSION.into(),
            feature_flags,
            long_name_max,
        };
        let params = raw.scrypt_object.check()?;
        let mut config = Config { raw, features: new.features, params };
        config.seal(&key.0, password);
        Ok(config)
    }

    /// What is special about the volume.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Which program has made it.
    pub fn creator(&self) -> &str {
        &self.raw.creator
    }

    /// The feature flags as they are written.
    pub fn flags(&self) -> &[String] {
        &self.raw.feature_flags
    }

    /// The logarithm of scrypt's N, r and p.
    pub fn scrypt(&self) -> (u8, u32, u32) {
        (self.params.log_n, self.params.r, self.params.p)
    }

    /// The master key, by the password.
    pub fn unlock(&self, password: &Password) -> Result<Unlocked, ConfigError> {
        without_traces::<MAKING_KEYS, _>(|| {
            let cipher = self.key_cipher(password);
            let mut sealed = Secret::new([0; SEALED_KEY - 16]);
            sealed.copy_from_slice(&self.raw.encrypted_key.0[16..]);
            let nonce = &self.raw.encrypted_key.0[..16];
            let plain = open_gcm(&cipher, nonce, &BOUND_TO, &mut *sealed).map_err(|_| ConfigError::Password)?;
            let mut key = Key::new([0; 32]);
            key.copy_from_slice(plain);
            Ok(Unlocked(key))
        })
    }

    /// The same volume with another password.
    pub fn change_password(&self, key: &Unlocked, password: &Password, scrypt_n: u8) -> Result<Self, ConfigError> {
        let mut config = self.clone();
        config.raw.scrypt_object = Scrypt::new(scrypt_n);
        config.params = config.raw.scrypt_object.check()?;
        config.seal(&key.0, password);
        Ok(config)
    }

    /// The content of the file.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut json, formatter);
        self.raw.serialize(&mut serializer).expect("strings and numbers are JSON");
        json.push(b'\n');
        json
    }

    /// Always AES-GCM, whatever content is encrypted with.
    fn key_cipher(&self, password: &Password) -> Secret<Gcm> {
        let Cost { log_n, r, p, key_len } = self.params;
        let params = Params::new(log_n, r, p).expect("checked when it was read");
        let mut derived = Secret::new([0; MAX_PASSWORD]);
        let derived = &mut derived[..key_len];
        scrypt::scrypt(password.as_bytes(), &self.raw.scrypt_object.salt.0, &params, derived)
            .expect("neither too short nor too long");
        Secret::new(Gcm::new((&*expand(derived, GCM)).into()))
    }

    fn seal(&mut self, key: &MasterKey, password: &Password) {
        without_traces::<MAKING_KEYS, _>(|| {
            let cipher = self.key_cipher(password);
            let mut sealed = vec![0; SEALED_KEY];
            random::fill(&mut sealed[..16]);
            let (nonce, rest) = sealed.split_at_mut(16);
            let (plain, tag) = rest.split_at_mut(32);
            plain.copy_from_slice(&**key);
            tag.copy_from_slice(&seal_gcm(&cipher, nonce, &BOUND_TO, plain));
            self.raw.encrypted_key = Base64(sealed);
        });
    }
}

impl Unlocked {
    /// The keys of a volume with `config`.
    pub fn keys(&self, config: &Config) -> Keys {
        Keys::derive(&self.0, &config.features)
    }
}

/// Of a later version nothing but the number may be known.
pub(super) fn check_version(json: &[u8]) -> Result<(), ConfigError> {
    match serde_json::from_slice(json) {
        Ok(Only { version }) if version != u64::from(VERSION) => Err(ConfigError::Version(version)),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Only {
    version: u64,
}

impl Scrypt {
    fn new(log_n: u8) -> Self {
        let n = 1_u64.checked_shl(log_n.into()).unwrap_or(u64::MAX);
        Scrypt { salt: Base64(random::array::<32>().to_vec()), n, r: 8, p: 1, key_len: 32 }
    }

    /// gocryptfs's lower limits, and upper ones.
    fn check(&self) -> Result<Cost, ConfigError> {
        let out_of_range = |name| move |_| ConfigError::Scrypt(name);
        if !self.n.is_power_of_two() || self.n < 1 << 10 {
            return Err(ConfigError::Scrypt("N"));
        }
        if self.r < 8 || self.n.checked_mul(self.r).and_then(|n| n.checked_mul(128)).is_none_or(|n| n > MAX_MEMORY) {
            return Err(ConfigError::Scrypt(if self.r < 8 { "R" } else { "N" }));
        }
        if !(1..=64).contains(&self.p) {
            return Err(ConfigError::Scrypt("P"));
        }
        if !(32..=1024).contains(&self.key_len) {
            return Err(ConfigError::Scrypt("KeyLen"));
        }
        if !(32..=1024).contains(&self.salt.0.len()) {
            return Err(ConfigError::Scrypt("Salt"));
        }
        let log_n = u8::try_from(self.n.trailing_zeros()).map_err(out_of_range("N"))?;
        let r = u32::try_from(self.r).map_err(out_of_range("R"))?;
        let p = u32::try_from(self.p).map_err(out_of_range("P"))?;
        Params::new(log_n, r, p).map_err(|_| ConfigError::Scrypt("N"))?;
        let key_len = usize::try_from(self.key_len).map_err(out_of_range("KeyLen"))?;
        Ok(Cost { log_n, r, p, key_len })
    }
}

/// Bytes as Go writes them in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base64(pub(super) Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(Base64).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: NewConfig = NewConfig {
        features: Features {
            content: super::super::ContentCipher::AesGcm,
            names: super::super::NameEncryption::Eme { per_dir: true, raw64: true, long_names: Some(255) },
        },
        scrypt_n: 10,
    };

    fn password(text: &str) -> Password {
        Password::new(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_right_password_opens_and_no_other() {
        let (config, key) = Config::create(&CHEAP, &password("secret")).unwrap();
        let config = Config::parse(&config.to_json()).unwrap();
        assert_eq!(*config.unlock(&password("secret")).unwrap().0, *key.0);
        assert_eq!(config.unlock(&password("Secret")).unwrap_err(), ConfigError::Password);
        let changed = config.change_password(&key, &password("other"), 11).unwrap();
        assert_eq!(*changed.unlock(&password("other")).unwrap().0, *key.0);
        assert_eq!(changed.unlock(&password("secret")).unwrap_err(), ConfigError::Password);
        assert_eq!(changed.scrypt(), (11, 8, 1));
    }

    #[test]
    fn changed_configurations_are_told() {
        let (config, _) = Config::create(&CHEAP, &password("secret")).unwrap();
        let text = String::from_utf8(config.to_json()).unwrap();
        let parse = |from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            Config::parse(text.replace(from, to).as_bytes()).unwrap_err()
        };
        assert_eq!(parse("\"Version\": 2", "\"Version\": 3"), ConfigError::Version(3));
        assert_eq!(parse("\"N\": 1024", "\"N\": 512"), ConfigError::Scrypt("N"));
        assert_eq!(parse("\"N\": 1024", "\"N\": 1025"), ConfigError::Scrypt("N"));
        assert_eq!(parse("\"N\": 1024", "\"N\": 1125899906842624"), ConfigError::Scrypt("N"));
        assert_eq!(parse("\"R\": 8", "\"R\": 7"), ConfigError::Scrypt("R"));
        assert_eq!(parse("\"P\": 1", "\"P\": 0"), ConfigError::Scrypt("P"));
        assert_eq!(parse("\"KeyLen\": 32", "\"KeyLen\": 16"), ConfigError::Scrypt("KeyLen"));
        assert_eq!(parse("\"HKDF\"", "\"Other\""), ConfigError::Unknown("Other".to_owned()));
        for broken in [&b""[..], b"{}", b"[]", &config.to_json()[1..]] {
            assert!(matches!(Config::parse(broken), Err(ConfigError::Syntax(_))));
        }
        let mut raw = config.raw.clone();
        raw.encrypted_key.0[20] ^= 1;
        let changed = Config { raw, ..config };
        assert_eq!(changed.unlock(&password("secret")).unwrap_err(), ConfigError::Password);
    }
}
