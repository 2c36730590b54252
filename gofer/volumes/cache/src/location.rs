//! What stands behind `cache:`.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use gofer::extension::{chain, parse_size};

use crate::fs::{Access, Options, Write};
use crate::store::Limits;

/// A backend, and the cache that is to be before it: `BACKEND?dir=DIR&size=100g`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Location {
    /// The backend.
    pub backend: String,
    /// Where the cache is.
    pub directory: PathBuf,
    /// How much it may take.
    pub limits: Limits,
    /// How it behaves.
    pub options: Options,
}

/// Why options were not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// There is no backend.
    #[error("no BACKEND after the colon; for example cache:/mnt/nfs?dir=/var/cache/nfs")]
    Backend,
    /// It has a cache itself.
    #[error("one cache cannot stand before another; leave one of them out")]
    Nested,
    /// There is no directory.
    #[error("no directory for the cache; give one with ?dir=DIR, behind which other options stand after a &")]
    Directory,
    /// There is no such option.
    #[error(
        "unknown option {0:?}; known are dir=DIR, size=, free=, access=exclusive, access=shared, ttl=, write=through, \
         write=back, fsync=local, dirty= and donate=no; put a ? after what belongs to the BACKEND"
    )]
    Unknown(String),
    /// Changes that are uploaded later could meet those of others.
    #[error("write=back needs access=exclusive: others must not change the files meanwhile")]
    Shared,
    /// What is behind the `=` means nothing.
    #[error("{0}: {1}")]
    Meaning(String, &'static str),
}

impl Location {
    /// Takes what stands behind `cache:` apart.
    pub fn parse(argument: &str) -> Result<Self, LocationError> {
        let (backend, text) = argument.rsplit_once('?').unwrap_or((argument, ""));
        if backend.is_empty() {
            return Err(LocationError::Backend);
        }
        if chain(OsStr::new(backend)).any(|(name, _)| name == "cache") {
            return Err(LocationError::Nested);
        }
        let (mut directory, mut limits, mut options) = (None, Limits::default(), Options::default());
        for option in text.split('&').filter(|option| !option.is_empty()) {
            let wrong = |wanted| LocationError::Meaning(option.escape_debug().to_string(), wanted);
            match option.split_once('=') {
                Some(("dir", "")) => return Err(wrong("needs a DIR")),
                Some(("dir", path)) => directory = Some(PathBuf::from(path)),
                Some(("size", text)) => {
                    limits.size = parse_size(text)
                        .filter(|size| *size > 0)
                        .ok_or(wrong("not a size; for example 500m or 100g"))?;
                }
                Some(("free", text)) => {
                    limits.free = Some(parse_size(text).ok_or(wrong("not a size; for example 500m or 10g"))?);
                }
                Some(("access", "exclusive")) => options.access = Access::Exclusive,
                Some(("access", "shared")) => options.access = Access::Shared,
                Some(("access", _)) => return Err(wrong("not an access; use exclusive or shared")),
                Some(("ttl", text)) => {
                    options.ttl = seconds(text).ok_or(wrong("not a number of seconds; for example 5 or 0.5"))?;
                }
                Some(("write", "through")) => options.write = Write::Through,
                Some(("write", "back")) => options.write = Write::Back,
                Some(("write", _)) => return Err(wrong("not a way to write; use through or back")),
                Some(("fsync", "backend")) => options.fsync_locally = false,
                Some(("fsync", "local")) => options.fsync_locally = true,
                Some(("fsync", _)) => return Err(wrong("use backend or local")),
                Some(("dirty", text)) => {
                    let size = parse_size(text).filter(|size| *size > 0);
                    options.dirty = Some(size.ok_or(wrong("not a size; for example 500m or 10g"))?);
                }
                // Not for people, who have gofer-volumes cache flush --by-path.
                Some(("recover", "path")) => options.recovers_by_path = true,
                Some(("donate", "yes")) => options.donate = true,
                Some(("donate", "no")) => options.donate = false,
                Some(("donate", _)) => return Err(wrong("use yes or no")),
                _ => return Err(LocationError::Unknown(option.to_owned())),
            }
        }
        let directory = directory.ok_or(LocationError::Directory)?;
        if options.write == Write::Back && options.access == Access::Shared {
            return Err(LocationError::Shared);
        }
        Ok(Location { backend: backend.to_owned(), directory, limits, options })
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    Duration::try_from_secs_f64(text.parse().ok().filter(|_| is_number)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_understood() {
        let location = Location::parse("/srv?dir=/c").unwrap();
        assert_eq!((&*location.backend, location.directory), ("/srv", "/c".into()));
        assert_eq!((location.limits, location.options), (Limits::default(), Options::default()));
        let text = "blob:memory:?create?dir=/c&size=3m&free=0&access=exclusive&ttl=0.5&write=through&donate=no";
        let location = Location::parse(text).unwrap();
        assert_eq!((&*location.backend, location.limits), ("blob:memory:?create", Limits::new(3 << 20, Some(0))));
        let options = Options { donate: false, ..Options::default() };
        assert_eq!(location.options, options.access(Access::Exclusive).ttl(Duration::from_millis(500)));
    }

    #[test]
    fn mistakes_are_told_in_one_line() {
        let error = |text: &str| Location::parse(text).unwrap_err().to_string();
        assert_eq!(error("?dir=/c"), "no BACKEND after the colon; for example cache:/mnt/nfs?dir=/var/cache/nfs");
        for inner in ["cache:/srv?dir=/a", "readonly:cache:/srv?dir=/a", "fault:cache:/srv?dir=/a?latency=1ms"] {
            let wanted = "one cache cannot stand before another; leave one of them out";
            assert_eq!(error(&format!("{inner}?dir=/c")), wanted);
        }
        assert_eq!(
            error("/srv"),
            "no directory for the cache; give one with ?dir=DIR, behind which other options stand after a &"
        );
        assert_eq!(
            error("/srv?dir=/c&write=back"),
            "write=back needs access=exclusive: others must not change the files meanwhile"
        );
        assert_eq!(
            error("blob:memory:?create"),
            "unknown option \"create\"; known are dir=DIR, size=, free=, access=exclusive, access=shared, ttl=, \
             write=through, write=back, fsync=local, dirty= and donate=no; put a ? after what belongs to the BACKEND"
        );
        let back = Location::parse("/srv?dir=/c&access=exclusive&write=back&fsync=local&dirty=1m").unwrap().options;
        assert_eq!((back.write, back.fsync_locally, back.dirty), (Write::Back, true, Some(1 << 20)));
        for bad in [
            "fsync=no",
            "dirty=0",
            "dir=",
            "size=",
            "size=0",
            "size=1x",
            "free=a",
            "access=mine",
            "ttl=-1",
            "ttl=inf",
            "write=x",
        ] {
            assert!(Location::parse(&format!("/srv?{bad}")).is_err(), "{bad}");
        }
    }
}
