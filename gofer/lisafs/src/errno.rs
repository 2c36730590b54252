//! Error numbers, and errors that know why.

use std::borrow::Cow;
use std::fmt;
use std::io;

/// An error number of Linux, as it goes over the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(i32);

/// What a backend's call fails with: an [`Errno`] for the client and, if there is more to say, a cause for the server's
/// log.
///
/// The constants of [`Errno`] are here, too: `Err(Error::NOENT)`. Two errors are equal if their numbers are.
///
/// ```
/// use lisafs::backend::{Errno, Error};
///
/// let error = Errno::IO.because("the block store answers 503 Slow Down");
/// assert_eq!(error, Error::IO);
/// assert_eq!(error.to_string(), "Input/output error (os error 5): the block store answers 503 Slow Down");
/// ```
pub struct Error {
    errno: Errno,
    cause: Option<Cause>,
}

/// Why something failed.
type Cause = Box<dyn std::error::Error + Send + Sync>;

macro_rules! errnos {
    ($($name:ident = $constant:ident,)*) => {
        #[expect(missing_docs, reason = "errno(3) has them")]
        impl Errno {
            $(pub const $name: Errno = Errno(libc::$constant);)*

            /// What C programs call it.
            fn name(self) -> Option<&'static str> {
                match self {
                    $(Errno::$name => Some(stringify!($constant)),)*
                    _ => None,
                }
            }
        }

        #[expect(missing_docs, reason = "errno(3) has them")]
        impl Error {
            $(pub const $name: Error = Error { errno: Errno::$name, cause: None };)*
        }
    };
}

errnos! {
    PERM = EPERM,
    NOENT = ENOENT,
    SRCH = ESRCH,
    INTR = EINTR,
    IO = EIO,
    NXIO = ENXIO,
    TOOBIG = E2BIG,
    NOEXEC = ENOEXEC,
    BADF = EBADF,
    CHILD = ECHILD,
    AGAIN = EAGAIN,
    NOMEM = ENOMEM,
    ACCESS = EACCES,
    FAULT = EFAULT,
    NOTBLK = ENOTBLK,
    BUSY = EBUSY,
    EXIST = EEXIST,
    XDEV = EXDEV,
    NODEV = ENODEV,
    NOTDIR = ENOTDIR,
    ISDIR = EISDIR,
    INVAL = EINVAL,
    NFILE = ENFILE,
    MFILE = EMFILE,
    NOTTY = ENOTTY,
    TXTBSY = ETXTBSY,
    FBIG = EFBIG,
    NOSPC = ENOSPC,
    SPIPE = ESPIPE,
    ROFS = EROFS,
    MLINK = EMLINK,
    PIPE = EPIPE,
    DOM = EDOM,
    RANGE = ERANGE,
    DEADLK = EDEADLK,
    NAMETOOLONG = ENAMETOOLONG,
    NOLCK = ENOLCK,
    NOSYS = ENOSYS,
    NOTEMPTY = ENOTEMPTY,
    LOOP = ELOOP,
    NODATA = ENODATA,
    TIME = ETIME,
    PROTO = EPROTO,
    BADMSG = EBADMSG,
    OVERFLOW = EOVERFLOW,
    ILSEQ = EILSEQ,
    USERS = EUSERS,
    NOTSOCK = ENOTSOCK,
    DESTADDRREQ = EDESTADDRREQ,
    MSGSIZE = EMSGSIZE,
    PROTOTYPE = EPROTOTYPE,
    NOPROTOOPT = ENOPROTOOPT,
    PROTONOSUPPORT = EPROTONOSUPPORT,
    SOCKTNOSUPPORT = ESOCKTNOSUPPORT,
    OPNOTSUPP = EOPNOTSUPP,
    AFNOSUPPORT = EAFNOSUPPORT,
    ADDRINUSE = EADDRINUSE,
    ADDRNOTAVAIL = EADDRNOTAVAIL,
    NETDOWN = ENETDOWN,
    NETUNREACH = ENETUNREACH,
    NETRESET = ENETRESET,
    CONNABORTED = ECONNABORTED,
    CONNRESET = ECONNRESET,
    NOBUFS = ENOBUFS,
    ISCONN = EISCONN,
    NOTCONN = ENOTCONN,
    TIMEDOUT = ETIMEDOUT,
    TOOMANYREFS = ETOOMANYREFS,
    SHUTDOWN = ESHUTDOWN,
    CONNREFUSED = ECONNREFUSED,
    HOSTDOWN = EHOSTDOWN,
    HOSTUNREACH = EHOSTUNREACH,
    ALREADY = EALREADY,
    INPROGRESS = EINPROGRESS,
    STALE = ESTALE,
    UCLEAN = EUCLEAN,
    DQUOT = EDQUOT,
    NOMEDIUM = ENOMEDIUM,
    MEDIUMTYPE = EMEDIUMTYPE,
    CANCELED = ECANCELED,
    NOKEY = ENOKEY,
    KEYEXPIRED = EKEYEXPIRED,
    KEYREVOKED = EKEYREVOKED,
    KEYREJECTED = EKEYREJECTED,
    REMOTEIO = EREMOTEIO,
    REMOTE = EREMOTE,
    NOLINK = ENOLINK,
    COMM = ECOMM,
}

impl Errno {
    /// Another name of [`OPNOTSUPP`](Self::OPNOTSUPP).
    pub const NOTSUP: Errno = Errno::OPNOTSUPP;
    /// Another name of [`AGAIN`](Self::AGAIN).
    pub const WOULDBLOCK: Errno = Errno::AGAIN;

    /// The error with this number.
    pub const fn from_raw_os_error(number: i32) -> Self {
        Errno(number)
    }

    /// Its number.
    pub const fn raw_os_error(self) -> i32 {
        self.0
    }

    /// The calling thread's `errno`, for use right after a system call has failed.
    pub fn last_os_error() -> Self {
        Errno(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }

    /// This error with the reason for it, which stands in the server's log.
    pub fn because(self, cause: impl Into<Cause>) -> Error {
        Error { errno: self, cause: Some(cause.into()) }
    }

    /// As it stands in an answer.
    pub(crate) fn to_wire(self) -> u32 {
        u32::try_from(self.0).unwrap_or_default()
    }
}

impl Error {
    /// The number.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// The reason, if it is known.
    pub fn cause(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.cause.as_deref()
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().map_or_else(|| Cow::Owned(format!("Errno({})", self.0)), Cow::Borrowed))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        io::Error::from_raw_os_error(self.0).fmt(f)
    }
}

impl std::error::Error for Errno {}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{:?} ({cause:?})", self.errno),
            None => self.errno.fmt(f),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{}: {cause}", self.errno),
            None => fmt::Display::fmt(&self.errno, f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_deref().and_then(|cause| cause.source())
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.errno == other.errno
    }
}

impl Eq for Error {}

impl PartialEq<Errno> for Error {
    fn eq(&self, other: &Errno) -> bool {
        self.errno == *other
    }
}

impl From<rustix::io::Errno> for Errno {
    fn from(errno: rustix::io::Errno) -> Self {
        Errno(errno.raw_os_error())
    }
}

impl From<Errno> for rustix::io::Errno {
    fn from(errno: Errno) -> Self {
        rustix::io::Errno::from_raw_os_error(errno.0)
    }
}

#[cfg(feature = "nix")]
impl From<nix::errno::Errno> for Errno {
    fn from(errno: nix::errno::Errno) -> Self {
        Errno(errno as i32)
    }
}

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Error::from(error).errno
    }
}

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        io::Error::from_raw_os_error(errno.0)
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Error { errno, cause: None }
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(errno: rustix::io::Errno) -> Self {
        Errno::from(errno).into()
    }
}

#[cfg(feature = "nix")]
impl From<nix::errno::Errno> for Error {
    fn from(errno: nix::errno::Errno) -> Self {
        Errno::from(errno).into()
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Errno(number).into(),
            None => kind(error.kind()).because(error),
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let plain = io::Error::from(error.errno);
        if error.cause.is_some() { io::Error::new(plain.kind(), error) } else { plain }
    }
}

/// The number for an error of the standard library that is not the system's.
fn kind(kind: io::ErrorKind) -> Errno {
    match kind {
        io::ErrorKind::NotFound => Errno::NOENT,
        io::ErrorKind::PermissionDenied => Errno::ACCESS,
        io::ErrorKind::AlreadyExists => Errno::EXIST,
        io::ErrorKind::WouldBlock => Errno::AGAIN,
        io::ErrorKind::InvalidInput => Errno::INVAL,
        io::ErrorKind::TimedOut => Errno::TIMEDOUT,
        io::ErrorKind::Interrupted => Errno::INTR,
        io::ErrorKind::Unsupported => Errno::OPNOTSUPP,
        io::ErrorKind::OutOfMemory => Errno::NOMEM,
        io::ErrorKind::StorageFull => Errno::NOSPC,
        io::ErrorKind::ConnectionRefused => Errno::CONNREFUSED,
        io::ErrorKind::ConnectionReset => Errno::CONNRESET,
        _ => Errno::IO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_all_conversions() {
        let io = io::Error::from(Errno::from(rustix::io::Errno::from(Errno::NOTEMPTY)));
        assert_eq!(io.raw_os_error(), Some(libc::ENOTEMPTY));
        assert_eq!(Error::from(io), Errno::NOTEMPTY);
    }

    #[test]
    fn a_cause_is_kept() {
        let error = Error::from(io::Error::new(io::ErrorKind::TimedOut, "no answer from the store"));
        assert_eq!(error, Error::TIMEDOUT);
        assert!(error.to_string().ends_with(": no answer from the store"), "{error}");
        let io = io::Error::from(error);
        assert_eq!(io.kind(), io::ErrorKind::TimedOut);
        assert!(io.to_string().contains("no answer from the store"), "{io}");
        assert!(Error::from(Errno::IO).cause().is_none());
    }

    #[test]
    fn errors_have_names() {
        assert_eq!(format!("{:?} {:?} {:?}", Errno::NOENT, Error::TOOBIG, Errno(4000)), "ENOENT E2BIG Errno(4000)");
    }
}
