//! Where a volume is, and how it is to be used: `s3://BUCKET/PREFIX?OPTIONS`.

use std::collections::HashSet;
use std::time::Duration;

use url::Url;

/// Readers are behind, and clocks differ.
const LEAST_HORIZON: Duration = Duration::from_secs(60);

/// With less, a single write might never find room.
const LEAST_DIRTY: u64 = 4 << 20;

/// A volume's place and options, from `URL[?NAME=VALUE&..]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The bucket and prefix, without options.
    pub url: Url,
    /// How it is used.
    pub options: Options,
}

/// How a volume is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether changes are refused; then other machines may write.
    pub read_only: bool,
    /// A named moment to look at, instead of now. Implies `read_only`.
    pub checkpoint: Option<String>,
    /// Whether a new volume is made if there is none.
    pub create: bool,
    /// How long changes may wait before they are sent to the store; zero sends each before it is acknowledged.
    pub interval: Duration,
    /// How long nothing must have referred to data before it is deleted, so that those who read elsewhere have seen
    /// that.
    pub horizon: Duration,
    /// Bytes of changes that may wait.
    pub dirty: u64,
    /// Bytes of file data that are kept in memory.
    pub cache: u64,
    /// How long an operation waits for the store before it fails.
    pub timeout: Duration,
    /// Whether new data is compressed.
    pub compression: Compression,
}

/// How file data is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// LZ4, where it saves something.
    Lz4,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            read_only: false,
            checkpoint: None,
            create: false,
            interval: Duration::from_secs(5),
            horizon: Duration::from_secs(300),
            dirty: 32 << 20,
            cache: 32 << 20,
            timeout: Duration::from_secs(30),
            compression: Compression::None,
        }
    }
}

/// Why a text names no volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// It is no URL.
    #[error("not a URL such as s3://BUCKET/PREFIX, file:///DIR or memory: ({0})")]
    Url(#[from] url::ParseError),
    /// No store has this scheme.
    #[error("unknown store \"{0}:\"; known are s3:, gs:, az:, file: and memory:")]
    Scheme(String),
    /// The scheme wants a bucket.
    #[error("no bucket; write {0}://BUCKET/PREFIX")]
    NoBucket(String),
    /// Secrets belong into the environment or a file.
    #[error(
        "do not put credentials in a URL, which others can see; use the environment, for example AWS_ACCESS_KEY_ID"
    )]
    Credentials,
    /// A path that is not absolute would be one in the root directory.
    #[error("a directory has three slashes and its absolute path: file:///DIR")]
    Relative,
    /// What comes behind it would be left out.
    #[error("\"#\" has another meaning in URLs; write %23")]
    Fragment,
    /// Stores have an address elsewhere.
    #[error("a bucket has no port; put the address of the store into the environment, for example AWS_ENDPOINT")]
    Port,
    /// One of them would be ignored.
    #[error("{0} is there twice")]
    Twice(String),
    /// What is only read is not made.
    #[error("a volume that is to be created cannot be read-only")]
    CreateToRead,
    /// An option that is none.
    #[error(
        "unknown option \"{0}\"; known are ro, checkpoint=, create, interval=, horizon=, dirty=, cache=, timeout= and compression="
    )]
    Option(String),
    /// An option's value that cannot be read.
    #[error("{option}={value}: {wanted}")]
    Value {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
        /// What could have been.
        wanted: &'static str,
    },
}

impl Location {
    /// Reads `text`.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let mut url = Url::parse(text)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(LocationError::Credentials);
        }
        match url.scheme() {
            "s3" | "gs" | "az" if url.host_str().is_none_or(str::is_empty) => {
                return Err(LocationError::NoBucket(url.scheme().to_owned()));
            }
            "s3" | "gs" | "az" | "file" | "memory" => {}
            other => return Err(LocationError::Scheme(other.to_owned())),
        }
        let has_no_host = |rest: &str| rest.starts_with("///") || rest.starts_with("//localhost/");
        if url.scheme() == "file" && !text.split_once(':').is_some_and(|(_, rest)| has_no_host(rest)) {
            return Err(LocationError::Relative);
        }
        if url.fragment().is_some() {
            return Err(LocationError::Fragment);
        }
        if url.port().is_some() {
            return Err(LocationError::Port);
        }
        let mut options = Options::default();
        let mut seen = HashSet::new();
        for (name, value) in url.query_pairs() {
            options.set(&name, &value)?;
            if !seen.insert(name.clone()) {
                return Err(LocationError::Twice(name.into_owned()));
            }
        }
        drop(seen);
        if options.create && options.read_only {
            return Err(LocationError::CreateToRead);
        }
        url.set_query(None);
        Ok(Location { url, options })
    }
}

impl Options {
    fn set(&mut self, name: &str, value: &str) -> Result<(), LocationError> {
        let wrong = |option, wanted| LocationError::Value { option, value: value.to_owned(), wanted };
        let bytes = |option| size(value).ok_or_else(|| wrong(option, "not a size; for example 512m or 2g"));
        let seconds = |option| duration(value).ok_or_else(|| wrong(option, "not a time; for example 5s, 200ms or 2m"));
        match name {
            "ro" if value.is_empty() => self.read_only = true,
            "ro" => return Err(wrong("ro", "takes no value")),
            "create" if value.is_empty() => self.create = true,
            "create" => return Err(wrong("create", "takes no value")),
            "checkpoint" if value.is_empty() => return Err(wrong("checkpoint", "needs a name")),
            "checkpoint" => (self.checkpoint, self.read_only) = (Some(value.to_owned()), true),
            "interval" => self.interval = seconds("interval")?,
            "timeout" => {
                self.timeout = seconds("timeout")?;
                if self.timeout.is_zero() {
                    return Err(wrong("timeout", "must be longer"));
                }
            }
            "horizon" => {
                self.horizon = seconds("horizon")?;
                if self.horizon < LEAST_HORIZON {
                    return Err(wrong("horizon", "must be 1m or longer"));
                }
            }
            "dirty" => {
                self.dirty = bytes("dirty")?;
                if self.dirty < LEAST_DIRTY {
                    return Err(wrong("dirty", "must be 4m or more"));
                }
            }
            "cache" => self.cache = bytes("cache")?,
            "compression" => {
                self.compression = match value {
                    "none" => Compression::None,
                    "lz4" => Compression::Lz4,
                    _ => return Err(wrong("compression", "none or lz4")),
                }
            }
            other => return Err(LocationError::Option(other.to_owned())),
        }
        Ok(())
    }
}

/// A number of bytes, with a letter for a power of 1024.
fn size(text: &str) -> Option<u64> {
    let (digits, unit) = split_unit(text)?;
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    digits.checked_mul(1 << shift)
}

/// A number of seconds, or with a unit.
fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = split_unit(text)?;
    match unit {
        "ms" => Some(Duration::from_millis(digits)),
        "" | "s" => Some(Duration::from_secs(digits)),
        "m" => Some(Duration::from_secs(digits.checked_mul(60)?)),
        _ => None,
    }
    .filter(|time| *time <= Duration::from_secs(24 * 60 * 60))
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_understood() {
        let plain = Location::parse("s3://bucket/a/b").unwrap();
        assert_eq!((plain.url.as_str(), &plain.options), ("s3://bucket/a/b", &Options::default()));
        let all = Location::parse("file:///srv/x?create&interval=200ms&dirty=8m&cache=1g&timeout=2m&compression=lz4");
        let all = all.unwrap();
        assert_eq!(all.url.as_str(), "file:///srv/x");
        let expected = Options {
            horizon: Duration::from_secs(300),
            read_only: false,
            checkpoint: None,
            create: true,
            interval: Duration::from_millis(200),
            dirty: 8 << 20,
            cache: 1 << 30,
            timeout: Duration::from_secs(120),
            compression: Compression::Lz4,
        };
        assert_eq!(all.options, expected);
        let checkpoint = Location::parse("memory:?checkpoint=monday").unwrap().options;
        assert_eq!((checkpoint.checkpoint.as_deref(), checkpoint.read_only), (Some("monday"), true));
    }

    #[test]
    fn mistakes_are_told_in_one_line() {
        let error = |text: &str| Location::parse(text).unwrap_err().to_string();
        assert_eq!(error("ftp://x/y"), "unknown store \"ftp:\"; known are s3:, gs:, az:, file: and memory:");
        assert_eq!(error("s3:///x"), "no bucket; write s3://BUCKET/PREFIX");
        assert!(error("s3://KEY:SECRET@bucket/x").starts_with("do not put credentials in a URL"));
        assert_eq!(error("memory:?interval=soon"), "interval=soon: not a time; for example 5s, 200ms or 2m");
        assert_eq!(error("memory:?checkpoint="), "checkpoint=: needs a name");
        assert!(error("memory:?cash=1").starts_with("unknown option \"cash\""));
        assert!(error("file:srv/x").contains("three slashes") && error("file://srv/x").contains("three slashes"));
        assert!(error("file:///srv/a#b?create").contains("%23"));
        assert!(error("s3://bucket:9000/x").contains("has no port"));
        assert_eq!(error("memory:?cache=1m&cache=2m"), "cache is there twice");
        assert_eq!(error("memory:?ro=no"), "ro=no: takes no value");
        assert_eq!(error("memory:?create=false"), "create=false: takes no value");
        assert_eq!(error("memory:?ro&create"), "a volume that is to be created cannot be read-only");
        assert_eq!(error("memory:?dirty=1k"), "dirty=1k: must be 4m or more");
        assert_eq!(error("memory:?horizon=1s"), "horizon=1s: must be 1m or longer");
        assert_eq!(error("memory:?timeout=0"), "timeout=0: must be longer");
        for bad in ["memory:?cache=", "memory:?cache=k", "memory:?cache=1x", "memory:?timeout=99999999999h", "x"] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }
}
