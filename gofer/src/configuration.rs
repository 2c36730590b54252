//! The machine's configuration of the runtime and of the gofers that it starts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::volume::{Pattern, VolumeConfiguration};

/// Where it is, in JSON.
pub(crate) const PATH: &str = "/etc/gofer/runtime.json";

/// The environment variable with the path of another one.
pub(crate) const VARIABLE: &str = "GOFER_CONFIG";

/// What can be said there.
#[derive(Debug, Default, PartialEq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    /// The real runsc.
    pub(crate) runsc: Option<PathBuf>,
    /// Flags of extensions, as on a command line: runsc passes only those that it knows.
    #[serde(default)]
    pub(crate) flags: Vec<String>,
    /// Volumes by their names and patterns.
    #[serde(default)]
    pub(crate) volumes: BTreeMap<Pattern, VolumeConfiguration>,
}

impl Configuration {
    /// Reads it. Where there is none, nothing is said.
    pub(crate) fn read() -> Result<Self, ConfigurationError> {
        let path = path();
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && path == Path::new(PATH) => "{}".to_owned(),
            read => read.map_err(|error| ConfigurationError::new(&path, &error))?,
        };
        Self::parse(&path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, ConfigurationError> {
        serde_json::from_str(text).map_err(|error| ConfigurationError::new(path, &error))
    }
}

/// Which file it is.
pub(crate) fn path() -> PathBuf {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map_or_else(|| PATH.into(), PathBuf::from)
}

/// Why it cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct ConfigurationError {
    path: PathBuf,
    problem: String,
}

impl ConfigurationError {
    fn new(path: &Path, problem: &impl std::string::ToString) -> Self {
        ConfigurationError { path: path.to_owned(), problem: problem.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_object_of_three_members() {
        let parse = |text| Configuration::parse(Path::new(PATH), text);
        let parsed = parse(r#"{"runsc": "/opt/runsc", "flags": ["--x-key=/etc/x"], "volumes": {}}"#);
        let expected = Configuration {
            runsc: Some("/opt/runsc".into()),
            flags: vec!["--x-key=/etc/x".to_owned()],
            ..Default::default()
        };
        assert_eq!(parsed, Ok(expected));
        assert_eq!(parse("{}"), Ok(Configuration::default()));
        for text in [
            "",
            "[]",
            r#"{"runsc": 1}"#,
            r#"{"runsc": "/x", "runcs": "/y"}"#,
            r#"{"flags": "--x"}"#,
            "/opt/runsc",
            r#"{"volumes": {"a/b": {"socket": "/s"}}}"#,
            r#"{"volumes": {"a": {"socket": "s"}}}"#,
            r#"{"volumes": {"a": {"sokcet": "/s"}}}"#,
            r#"{"volumes": {"a": {"socket": "/s", "time_limit": 0}}}"#,
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(PATH) && !error.contains('\n'), "{error}");
        }
    }
}
