//! The machine's configuration of the runtime and of the gofers that it starts.

use std::fs;
use std::io;
use std::path::PathBuf;

/// Where it is, in JSON.
pub(crate) const PATH: &str = "/etc/gofer/runtime.json";

/// What can be said there.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    /// The real runsc.
    pub(crate) runsc: Option<PathBuf>,
    /// Flags of extensions, as on a command line: runsc passes only those that it knows.
    #[serde(default)]
    pub(crate) flags: Vec<String>,
}

impl Configuration {
    /// Reads it. Where there is none, nothing is said.
    pub(crate) fn read() -> Result<Self, ConfigurationError> {
        match fs::read_to_string(PATH) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(ConfigurationError(error.to_string())),
        }
    }

    fn parse(text: &str) -> Result<Self, ConfigurationError> {
        serde_json::from_str(text).map_err(|error| ConfigurationError(error.to_string()))
    }
}

/// Why it cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{PATH}: {0}")]
pub struct ConfigurationError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_object_of_two_members() {
        let parsed = Configuration::parse(r#"{"runsc": "/opt/runsc", "flags": ["--x-key=/etc/x"]}"#);
        let expected = Configuration { runsc: Some("/opt/runsc".into()), flags: vec!["--x-key=/etc/x".to_owned()] };
        assert_eq!(parsed, Ok(expected));
        assert_eq!(Configuration::parse("{}"), Ok(Configuration::default()));
        for text in
            ["", "[]", r#"{"runsc": 1}"#, r#"{"runsc": "/x", "runcs": "/y"}"#, r#"{"flags": "--x"}"#, "/opt/runsc"]
        {
            let error = Configuration::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(PATH) && !error.contains('\n'), "{error}");
        }
    }
}
