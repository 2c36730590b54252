//! What is special about a volume.

use super::config::ConfigError;

/// How content is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCipher {
    /// AES-256-GCM with nonces of 16 bytes.
    AesGcm,
    /// XChaCha20-Poly1305.
    XChaCha20Poly1305,
}

/// How names are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameEncryption {
    /// They are not, nor are targets of symbolic links.
    Plain,
    /// They are.
    Eme {
        /// Equal names in different directories differ.
        per_dir: bool,
        /// No padding in base64.
        raw64: bool,
        /// Encrypted names of more bytes than this are kept in files of their own; `None` if there are no such files.
        long_names: Option<u8>,
    },
}

/// The feature flags of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// How content is encrypted.
    pub content: ContentCipher,
    /// How names are encrypted.
    pub names: NameEncryption,
}

impl Default for Features {
    fn default() -> Self {
        Features {
            content: ContentCipher::AesGcm,
            names: NameEncryption::Eme { per_dir: true, raw64: true, long_names: Some(255) },
        }
    }
}

const KNOWN: [&str; 9] = [
    "PlaintextNames",
    "DirIV",
    "EMENames",
    "GCMIV128",
    "LongNames",
    "LongNameMax",
    "Raw64",
    "HKDF",
    "XChaCha20Poly1305",
];

impl Features {
    /// What `flags` and `LongNameMax` of a configuration say.
    pub(super) fn parse(flags: &[String], long_name_max: Option<u8>) -> Result<Self, ConfigError> {
        if let Some(unknown) = flags.iter().find(|flag| !KNOWN.contains(&flag.as_str())) {
            return Err(match unknown.as_str() {
                "AESSIV" | "FIDO2" => ConfigError::Unsupported(unknown.clone()),
                _ => ConfigError::Unknown(unknown.clone()),
            });
        }
        let has = |name: &str| flags.iter().any(|flag| flag == name);
        if !has("HKDF") {
            return Err(ConfigError::Missing("HKDF"));
        }
        let content = match (has("XChaCha20Poly1305"), has("GCMIV128")) {
            (true, true) => return Err(ConfigError::Conflict("XChaCha20Poly1305", "GCMIV128")),
            (true, false) => ContentCipher::XChaCha20Poly1305,
            (false, true) => ContentCipher::AesGcm,
            (false, false) => return Err(ConfigError::Missing("GCMIV128")),
        };
        if has("LongNameMax") != long_name_max.is_some_and(|max| max != 0) {
            return Err(ConfigError::LongNameMax);
        }
        let names = if has("PlaintextNames") {
            let others = ["DirIV", "EMENames", "LongNames", "LongNameMax", "Raw64"];
            if let Some(other) = others.into_iter().find(|flag| has(flag)) {
                return Err(ConfigError::Conflict("PlaintextNames", other));
            }
            NameEncryption::Plain
        } else if has("EMENames") {
            NameEncryption::Eme {
                per_dir: has("DirIV"),
                raw64: has("Raw64"),
                long_names: has("LongNames").then(|| long_name_max.unwrap_or(255)),
            }
        } else {
            return Err(ConfigError::Missing("EMENames"));
        };
        Ok(Features { content, names })
    }

    /// The flags for a configuration, and `LongNameMax`.
    pub(super) fn flags(&self) -> (Vec<String>, Option<u8>) {
        let mut flags = vec!["HKDF"];
        flags.push(match self.content {
            ContentCipher::AesGcm => "GCMIV128",
            ContentCipher::XChaCha20Poly1305 => "XChaCha20Poly1305",
        });
        let mut max = None;
        match self.names {
            NameEncryption::Plain => flags.push("PlaintextNames"),
            NameEncryption::Eme { per_dir, raw64, long_names } => {
                max = long_names.filter(|max| *max < 255);
                let all = [
                    (per_dir, "DirIV"),
                    (max.is_some(), "LongNameMax"),
                    (true, "EMENames"),
                    (long_names.is_some(), "LongNames"),
                    (raw64, "Raw64"),
                ];
                flags.extend(all.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag));
            }
        }
        (flags.into_iter().map(str::to_owned).collect(), max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_go_both_ways() {
        let eme = |per_dir, long_names| NameEncryption::Eme { per_dir, raw64: true, long_names };
        for content in [ContentCipher::AesGcm, ContentCipher::XChaCha20Poly1305] {
            for names in [NameEncryption::Plain, eme(true, Some(255)), eme(false, Some(62)), eme(true, None)] {
                let features = Features { content, names };
                let (flags, max) = features.flags();
                assert_eq!(Features::parse(&flags, max), Ok(features));
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        let parse = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            Features::parse(&flags, None).unwrap_err().to_string()
        };
        assert!(parse(&["HKDF", "GCMIV128", "EMENames", "Compression"]).contains("\"Compression\""));
        assert!(parse(&["HKDF", "GCMIV128", "EMENames", "AESSIV"]).contains("AESSIV"));
        assert!(parse(&["GCMIV128", "EMENames"]).contains("HKDF"));
        assert!(parse(&["HKDF", "GCMIV128", "PlaintextNames", "DirIV"]).contains("DirIV"));
        assert!(parse(&["HKDF", "GCMIV128", "XChaCha20Poly1305"]).contains("GCMIV128"));
        assert!(parse(&["HKDF", "GCMIV128"]).contains("EMENames"));
        assert!(parse(&["HKDF", "GCMIV128", "EMENames", "LongNameMax"]).contains("LongNameMax"));
    }
}
