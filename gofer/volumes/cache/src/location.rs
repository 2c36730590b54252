//! What stands behind `cache:`.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use gofer::extension::{chain, parse_size};

use crate::fs::{Access, Options, Write};
use crate::store::Limits;

/// Less than that has room for hardly any file.
const SMALLEST: u64 = 128 << 10;

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
         write=back, fsync=backend, fsync=local, dirty= and donate=no; put a ? after what belongs to the BACKEND"
    )]
    Unknown(String),
    /// Changes that are uploaded later could meet those of others.
    #[error("write=back needs access=exclusive: others must not change the files meanwhile")]
    Shared,
    /// An option is there twice.
    #[error("{0}= is given twice")]
    Repeated(String),
    /// An option says something about what another one excludes.
    #[error("{option} has no meaning without {needs}")]
    Needless {
        /// The option.
        option: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// More is to be uploaded later than there is room for.
    #[error("dirty= is more than size=, which is {0} bytes")]
    Dirty(u64),
    /// What is behind the `=` means nothing.
    #[error("{0}: {1}")]
    Meaning(String, &'static str),
}

impl Location {
    /// Takes what stands behind `cache:` apart.
    pub fn parse(argument: &str) -> Result<Self, LocationError> {
        Ok(Self::parse_for(argument, None)?.0)
    }

    /// The same for a client that says who else changes the files, which counts unless the cache has its own `access=`.
    /// Says whether it has.
    pub(crate) fn parse_for(argument: &str, client: Option<Access>) -> Result<(Self, bool), LocationError> {
        let (backend, text) = argument.rsplit_once('?').unwrap_or((argument, ""));
        if backend.is_empty() {
            return Err(LocationError::Backend);
        }
        if chain(OsStr::new(backend)).any(|(name, _)| name == "cache") {
            return Err(LocationError::Nested);
        }
        let (mut directory, mut limits, mut options) = (None, Limits::default(), Options::default());
        options.access = client.unwrap_or_default();
        let mut given = Vec::new();
        for option in text.split('&').filter(|option| !option.is_empty()) {
            let wrong = |wanted| LocationError::Meaning(option.escape_debug().to_string(), wanted);
            match option.split_once('=') {
                Some(("dir", "")) => return Err(wrong("needs a DIR")),
                Some(("dir", path)) => directory = Some(PathBuf::from(path)),
                Some(("size", text)) => {
                    limits.size = parse_size(text)
                        .filter(|size| *size >= SMALLEST)
                        .ok_or(wrong("not a size of 128k or more; for example 500m or 100g"))?;
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
            let name = option.split_once('=').map_or(option, |(name, _)| name);
            if given.contains(&name) {
                return Err(LocationError::Repeated(name.to_owned()));
            }
            given.push(name);
        }
        let has = |name| given.contains(&name);
        let directory = directory.ok_or(LocationError::Directory)?;
        if options.write == Write::Back && options.access == Access::Shared {
            return Err(LocationError::Shared);
        }
        let needless = |option, needs| Err(LocationError::Needless { option, needs });
        if has("ttl") && options.access == Access::Exclusive {
            return needless("ttl=", "access=shared");
        }
        if options.fsync_locally && options.write == Write::Through {
            return needless("fsync=local", "write=back");
        }
        if has("dirty") && options.write == Write::Through {
            return needless("dirty=", "write=back");
        }
        if options.dirty.is_some_and(|dirty| dirty > limits.size) {
            return Err(LocationError::Dirty(limits.size));
        }
        let has_access = has("access");
        Ok((Location { backend: backend.to_owned(), directory, limits, options }, has_access))
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
        let text = "blob:memory:?create?dir=/c&size=3m&free=0&access=shared&ttl=0.5&write=through&donate=no";
        let location = Location::parse(text).unwrap();
        assert_eq!((&*location.backend, location.limits), ("blob:memory:?create", Limits::new(3 << 20, Some(0))));
        let options = Options { donate: false, ..Options::default() };
        assert_eq!(location.options, options.ttl(Duration::from_millis(500)));
        let access = |text, client| {
            let (location, has_access) = Location::parse_for(text, client).unwrap();
            (location.options.access, has_access)
        };
        assert_eq!(access("/srv?dir=/c", Some(Access::Exclusive)), (Access::Exclusive, false));
        assert_eq!(access("/srv?dir=/c&write=back", Some(Access::Exclusive)), (Access::Exclusive, false));
        assert_eq!(access("/srv?dir=/c&access=shared&ttl=5", Some(Access::Exclusive)), (Access::Shared, true));
        assert_eq!(access("/srv?dir=/c&access=exclusive", Some(Access::Shared)), (Access::Exclusive, true));
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
             write=through, write=back, fsync=backend, fsync=local, dirty= and donate=no; put a ? after what belongs \
             to the BACKEND"
        );
        let back = Location::parse("/srv?dir=/c&access=exclusive&write=back&fsync=local&dirty=1m").unwrap().options;
        assert_eq!((back.write, back.fsync_locally, back.dirty), (Write::Back, true, Some(1 << 20)));
        for (contradiction, wanted) in [
            ("dir=/d", "dir= is given twice"),
            ("size=1g&size=2g", "size= is given twice"),
            ("donate=no&donate=yes", "donate= is given twice"),
            ("access=exclusive&ttl=3", "ttl= has no meaning without access=shared"),
            ("access=exclusive&fsync=local", "fsync=local has no meaning without write=back"),
            ("dirty=1m", "dirty= has no meaning without write=back"),
            ("size=2m&access=exclusive&write=back&dirty=3m", "dirty= is more than size=, which is 2097152 bytes"),
            ("size=1k", "size=1k: not a size of 128k or more; for example 500m or 100g"),
        ] {
            assert_eq!(error(&format!("/srv?dir=/c&{contradiction}")), wanted);
        }
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
