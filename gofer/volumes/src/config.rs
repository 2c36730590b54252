//! The configuration file.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use gofer::extension::{Registry, split};
use gofer::hostfs::HostOptions;
use gofer::volume::{NameError, Pattern, check_name};
use gofer_cache::Location;
use serde::Deserialize;

/// Where the server listens if the file does not say it.
pub const SOCKET: &str = "/run/gofer/volumes.sock";

/// What stands for the text of the star in a volume's BACKEND.
pub const STAR: &str = "{star}";

/// A year. No longer, since it is added to a point in time.
const LONGEST_DRAIN: u64 = 365 * 24 * 60 * 60;

/// For the root, a directory, and a file in it that is open.
const LEAST_FDS: u64 = 4;

/// For a path as long as paths can be, or some names with their attributes.
const LEAST_MESSAGE: u64 = 8 << 10;

/// A configuration that was read and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where to listen, unless the socket is inherited.
    pub socket: PathBuf,
    /// Where metrics can be read.
    pub metrics: Option<MetricsAddress>,
    /// How long connections may go on after SIGTERM, in seconds.
    pub drain: u64,
    /// Who may connect at all.
    pub access: Access,
    /// What one connection may use.
    pub limits: Limits,
    /// The volumes, each by its name or pattern.
    pub volumes: BTreeMap<Pattern, Volume>,
}

/// One volume, or all volumes of a pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// What serves it, as on the command line of `gofer serve`.
    pub backend: String,
    /// Whether changes are refused, whatever the client asks for.
    pub read_only: bool,
    /// Who may have it; all who may connect if this is `None`.
    pub access: Option<Access>,
}

/// Users and groups, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// User ids whose gofers may take the volume.
    pub users: Vec<u32>,
    /// Group ids, likewise.
    pub groups: Vec<u32>,
}

impl Access {
    /// Whether a process with these credentials is among them.
    pub fn allows(&self, user: u32, group: u32) -> bool {
        self.users.contains(&user) || self.groups.contains(&group)
    }
}

/// What one connection may use, and how many connections there may be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Limits {
    /// Connections of all volumes together.
    pub connections: usize,
    /// LisaFS descriptors of one connection.
    pub fds: usize,
    /// Channels of one connection, each of which is a thread.
    pub channels: usize,
    /// The largest message in bytes. Each channel has two of them in memory when it was used for such.
    pub message: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { connections: 1000, fds: 1 << 16, channels: 4, message: gofer::lisafs::wire::STOCK_MAX_MESSAGE_SIZE }
    }
}

impl Limits {
    /// Whether anybody could be served under these.
    fn check(&self) -> Result<(), String> {
        let at_least = |name, is: u64, least| match is {
            is if is < least => Err(format!("limits.{name}: nobody can be served with less than {least}")),
            _ => Ok(()),
        };
        at_least("connections", self.connections as u64, 1)?;
        at_least("fds", self.fds as u64, LEAST_FDS)?;
        at_least("channels", self.channels as u64, 1)?;
        at_least("message", self.message.into(), LEAST_MESSAGE)
    }
}

/// Where metrics can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAddress {
    /// A UNIX socket.
    Unix(PathBuf),
    /// A port of a loopback address.
    Loopback(std::net::SocketAddr),
}

/// Why a configuration cannot be used. Each says it in one line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: std::io::Error,
    },
    /// It is no TOML, or has other members than it may.
    #[error("{}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        problem: String,
    },
    /// A volume has a name that cannot be.
    #[error("{}: {source}", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NameError,
    },
    /// Something else is wrong.
    #[error("{}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    socket: Option<PathBuf>,
    metrics: Option<String>,
    #[serde(default = "default_drain")]
    drain: u64,
    access: Option<Access>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    volumes: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a volume is BACKEND or { backend = BACKEND, read-only = BOOL, access = { users, groups } }"
)]
enum Entry {
    Backend(String),
    Table(Table),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    backend: String,
    #[serde(default)]
    read_only: bool,
    access: Option<Access>,
}

fn default_drain() -> u64 {
    60
}

impl Config {
    /// Reads and checks `path`. Nothing is opened but the file itself.
    pub fn read(path: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text, path, registry)
    }

    fn parse(text: &str, path: &Path, registry: &Registry) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), problem: one_line(&error, text) })?;
        let wrong = |problem: String| ConfigError::Value { path: path.to_owned(), problem };
        let volumes = file.volumes.into_iter().map(|(name, entry)| {
            let pattern = Pattern::new(&name).map_err(|source| ConfigError::Name { path: path.to_owned(), source })?;
            let volume = entry.into_volume();
            check_backend(&pattern, &volume.backend, registry)
                .map_err(|problem| wrong(format!("volume {name:?}: {problem}")))?;
            Ok((pattern, volume))
        });
        let volumes = volumes.collect::<Result<_, ConfigError>>()?;
        check_caches(&volumes).map_err(wrong)?;
        let metrics = file.metrics.map(|text| metrics_address(&text)).transpose().map_err(wrong)?;
        file.limits.check().map_err(wrong)?;
        if file.drain > LONGEST_DRAIN {
            return Err(wrong(format!("drain: {} is more than {LONGEST_DRAIN} seconds, a year", file.drain)));
        }
        let access = file.access.unwrap_or_else(|| Access { users: vec![0], groups: Vec::new() });
        let socket = file.socket.unwrap_or_else(|| SOCKET.into());
        if !socket.is_absolute() {
            return Err(wrong(format!("socket: {} is not an absolute path", socket.display())));
        }
        Ok(Config { socket, metrics, drain: file.drain, access, limits: file.limits, volumes })
    }

    /// The volume `name`, and the text of its pattern's star.
    pub fn find<'n>(&self, name: &'n str) -> Option<(&Pattern, &Volume, Option<&'n str>)> {
        check_name(name).ok()?;
        let (pattern, star) = Pattern::find(self.volumes.keys(), name)?;
        Some((pattern, &self.volumes[pattern], star))
    }
}

impl Entry {
    fn into_volume(self) -> Volume {
        match self {
            Entry::Backend(backend) => Volume { backend, read_only: false, access: None },
            Entry::Table(Table { backend, read_only, access }) => Volume { backend, read_only, access },
        }
    }
}

/// What can be said of a BACKEND without opening it.
fn check_backend(pattern: &Pattern, backend: &str, registry: &Registry) -> Result<(), String> {
    if !pattern.has_star() && backend.contains(STAR) {
        return Err(format!("{STAR} has no meaning in a volume without '*'"));
    }
    match split(backend.as_ref()) {
        Some(("host", path)) if path.as_encoded_bytes().starts_with(b"/") => Ok(()),
        None if backend.starts_with('/') => Ok(()),
        Some(("host", _)) | None => Err(format!("{backend:?} is not an absolute path")),
        Some((name, _)) if registry.iter().any(|extension| extension.name() == name) => {
            // Goes for a name, a number and a size.
            let example = backend.replace(STAR, "1");
            registry.backends(&HostOptions::default()).check(example.as_ref()).map_err(|error| error.to_string())
        }
        Some((name, _)) => {
            let known: String = registry.iter().map(|extension| format!(", {}:..", extension.name())).collect();
            Err(format!("unknown backend {name:?}; use an absolute path, host:/..{known}"))
        }
    }
}

/// Whether caches in one directory go together, of which the second that is opened would be refused.
fn check_caches(volumes: &BTreeMap<Pattern, Volume>) -> Result<(), String> {
    let mut limits = HashMap::new();
    let mut options = HashMap::new();
    for (pattern, volume) in volumes {
        let Some(("cache", argument)) = split(volume.backend.as_ref()) else { continue };
        let Some(Ok(cache)) = argument.to_str().map(Location::parse) else { continue };
        let (name, directory) = (pattern.as_str(), cache.directory.display().to_string());
        let (first, of_first) = *limits.entry(cache.directory.clone()).or_insert((name, cache.limits));
        if of_first != cache.limits {
            return Err(format!(
                "volumes {first:?} and {name:?} have the same dir={directory}, but not size= and free="
            ));
        }
        let (first, of_first) =
            options.entry((cache.directory, cache.backend)).or_insert((name, cache.options.clone()));
        if *of_first != cache.options {
            return Err(format!("volumes {first:?} and {name:?} have one backend with different options of its cache"));
        }
    }
    Ok(())
}

fn metrics_address(text: &str) -> Result<MetricsAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = PathBuf::from(path);
        return if path.is_absolute() {
            Ok(MetricsAddress::Unix(path))
        } else {
            Err(format!("metrics: {} is not an absolute path", path.display()))
        };
    }
    match text.parse::<std::net::SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(MetricsAddress::Loopback(address)),
        Ok(_) => Err(format!("metrics: {text} is not a loopback address; use 127.0.0.1:PORT or unix:PATH")),
        Err(_) => Err(format!("metrics: {text:?} is not an address; use 127.0.0.1:PORT or unix:PATH")),
    }
}

fn one_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', " ");
    match error.span() {
        Some(span) => format!("line {}: {message}", text[..span.start.min(text.len())].matches('\n').count() + 1),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let registry = Registry::new(crate::extensions()).unwrap();
        Config::parse(text, Path::new("/c"), &registry).map_err(|error| error.to_string())
    }

    #[test]
    fn a_complete_file() {
        let config = parse(
            "
            socket = '/run/v.sock'
            metrics = '127.0.0.1:9464'
            drain = 5
            access = { users = [0, 1000] }
            limits = { fds = 100, channels = 2 }
            [volumes]
            datasets = 'host:/srv/datasets'
            'home-*' = { backend = '/srv/home/{star}', read-only = true, access = { groups = [7] } }
            scratch = 'mem:size=1g'
            'sized-*' = 'mem:size={star}'
            other = 'cache:/srv/other?dir=/var/cache/x'
            'cached-*' = 'cache:/srv/{star}?dir=/var/cache/x&access=exclusive&write=back'
            ",
        )
        .unwrap();
        assert_eq!(config.socket, Path::new("/run/v.sock"));
        assert!(config.access.allows(1000, 5) && !config.access.allows(1, 1));
        assert_eq!((config.limits.fds, config.limits.connections), (100, 1000));
        let (pattern, volume, star) = config.find("home-bob").unwrap();
        assert_eq!((pattern.as_str(), star, volume.read_only), ("home-*", Some("bob"), true));
        assert!(config.find("home-../x").is_none() && config.find("else").is_none());
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for (text, wanted) in [
            ("x = 1", "unknown field `x`"),
            ("\n[volumes]\na = 1", "line 3: a volume is BACKEND"),
            ("[volumes]\na = 'mem:'\n'a/b' = 'mem:'", "\"a/b\" is not a volume name"),
            ("[volumes]\na = 'srv'", "\"srv\" is not an absolute path"),
            ("[volumes]\na = 'none:x'", "unknown backend \"none\""),
            ("[volumes]\na = 'readonly:volume:x'", "readonly: unknown backend \"volume\""),
            ("[volumes]\na = 'mem:siz=1g'", "volume \"a\": mem: "),
            ("[volumes]\na = 'readonly:srv'", "readonly: cannot serve \"srv\": write it from the root"),
            ("[volumes]\na = 'blob:x'", "volume \"a\": blob: "),
            ("[volumes]\na = 'crypt:srv'", "crypt: cannot serve \"srv\": write it from the root"),
            ("[volumes]\na = 'cache:/srv'", "cache: no directory for the cache"),
            ("[volumes]\na = 'cache:/srv?dir=/c&siz=3'", "cache: unknown option \"siz=3\""),
            ("[volumes]\na = 'cache:/srv?dir=/c&write=back'", "cache: write=back needs access=exclusive"),
            ("[volumes]\n'a-*' = 'cache:srv/{star}?dir=/c'", "cache: cannot serve \"srv/1\": write it from the root"),
            (
                "[volumes]\na = 'cache:/x?dir=/c&size=1g'\nb = 'cache:/y?dir=/c'",
                "volumes \"a\" and \"b\" have the same dir=/c, but not size= and free=",
            ),
            (
                "[volumes]\na = 'cache:/x?dir=/c&ttl=5'\nb = 'cache:/x?dir=/c'",
                "volumes \"a\" and \"b\" have one backend with different options of its cache",
            ),
            ("[volumes]\na = '/x/{star}'", "{star} has no meaning"),
            ("metrics = '0.0.0.0:80'", "not a loopback address"),
            ("metrics = 'unix:x'", "not an absolute path"),
            ("limits = { channels = 0 }", "limits.channels: nobody can be served with less than 1"),
            ("limits = { connections = 0 }", "limits.connections: "),
            ("limits = { fds = 0 }", "limits.fds: "),
            ("limits = { message = 100 }", "limits.message: "),
            ("drain = 9223372036854775807", "drain: "),
            ("[", "line 1: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("/c: ") && error.contains(wanted) && !error.contains('\n'), "{error}");
        }
    }
}
