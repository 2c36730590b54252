//! Expectations of the suite's tests.

use std::fmt::{Debug, Display};
use std::io;

use nix::errno::Errno;

use crate::case::Failure;

/// Why a test goes no further.
#[derive(Debug)]
pub(super) enum Stop {
    /// Something is wrong.
    Failed(Failure),
    /// The file system does not have what the test is about.
    Skipped(String),
}

/// What a test comes to.
pub(super) type Verdict<T = ()> = Result<T, Stop>;

/// A test does not apply.
pub(super) fn skip<T>(reason: impl Into<String>) -> Verdict<T> {
    Err(Stop::Skipped(reason.into()))
}

/// A test has failed.
pub(super) fn failed<T>(operation: impl Display, expected: impl Display, actual: impl Display) -> Verdict<T> {
    Err(Stop::Failed(Failure::new(operation.to_string(), expected.to_string(), actual.to_string())))
}

/// An error as people know it: its constant and what it means.
pub(super) fn name(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => format!("{:?} ({})", Errno::from_raw(code), Errno::from_raw(code).desc()),
        None => error.to_string(),
    }
}

/// Calls that have to succeed.
pub(super) trait Expect<T> {
    /// The value, or a failure of `operation`.
    fn of(self, operation: impl Display) -> Verdict<T>;

    /// The value, a failure of `operation`, or the end of the test if the file system does not offer it.
    fn offered(self, operation: impl Display) -> Verdict<T>;
}

impl<T, E: Into<io::Error>> Expect<T> for Result<T, E> {
    fn of(self, operation: impl Display) -> Verdict<T> {
        self.or_else(|error| failed(operation, "success", name(&error.into())))
    }

    fn offered(self, operation: impl Display) -> Verdict<T> {
        self.or_else(|error| {
            let error = error.into();
            match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EOPNOTSUPP | Errno::ENOSYS) => skip(format!("{operation}: {}", name(&error))),
                _ => failed(operation, "success or EOPNOTSUPP", name(&error)),
            }
        })
    }
}

/// Fails unless the call has failed with one of these errors.
pub(super) fn fails<T, E: Into<io::Error>>(
    operation: impl Display,
    result: Result<T, E>,
    expected: &[Errno],
) -> Verdict {
    let words = || expected.iter().map(|errno| format!("{errno:?}")).collect::<Vec<_>>().join(" or ");
    match result.map_err(Into::into) {
        Ok(_) => failed(operation, words(), "success"),
        Err(error) if expected.iter().any(|errno| error.raw_os_error() == Some(*errno as i32)) => Ok(()),
        Err(error) => failed(operation, words(), name(&error)),
    }
}

/// Fails unless both values are the same.
#[expect(clippy::needless_pass_by_value, reason = "most values are made for the call")]
pub(super) fn equal<T: Debug + PartialEq<U>, U: Debug>(what: impl Display, actual: T, expected: U) -> Verdict {
    if actual == expected { Ok(()) } else { failed(what, format_args!("{expected:?}"), format_args!("{actual:?}")) }
}

/// Fails unless the condition holds; `actual` is what it was about.
pub(super) fn holds(what: impl Display, expected: &str, condition: bool, actual: impl Debug) -> Verdict {
    if condition { Ok(()) } else { failed(what, expected, format_args!("{actual:?}")) }
}

/// Fails unless both are the same bytes, and then says where they part.
pub(super) fn same_bytes(what: impl Display, actual: &[u8], expected: &[u8]) -> Verdict {
    if actual == expected {
        return Ok(());
    }
    let at = actual.iter().zip(expected).take_while(|(actual, expected)| actual == expected).count();
    let part = |bytes: &[u8]| {
        let shown = bytes[at.min(bytes.len())..].iter().take(16).copied().collect::<Vec<_>>();
        format!("{} bytes, at {at} \"{}\"", bytes.len(), shown.escape_ascii())
    };
    failed(what, part(expected), part(actual))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(verdict: Verdict) -> String {
        match verdict {
            Err(Stop::Failed(failure)) => failure.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn failures_say_what_was_done_expected_and_came() {
        let error = || Err::<(), _>(io::Error::from_raw_os_error(libc::EIO));
        assert_eq!(text(error().of("rmdir(d)")), "rmdir(d): expected success, actual EIO (I/O error)");
        assert_eq!(text(fails("mkdir(d)", Ok::<_, io::Error>(()), &[Errno::EEXIST])), {
            "mkdir(d): expected EEXIST, actual success"
        });
        assert!(fails("x", error(), &[Errno::EPERM, Errno::EIO]).is_ok());
        assert_eq!(text(equal("stat(a).st_size", 1, 2)), "stat(a).st_size: expected 2, actual 1");
        assert_eq!(text(same_bytes("read(a)", b"hello", b"help")), {
            "read(a): expected 4 bytes, at 3 \"p\", actual 5 bytes, at 3 \"lo\""
        });
    }

    #[test]
    fn what_is_not_offered_is_skipped() {
        let refused = || Err::<(), _>(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        assert!(matches!(refused().offered("fallocate()"), Err(Stop::Skipped(why)) if why.starts_with("fallocate()")));
        assert!(matches!(refused().of("fallocate()"), Err(Stop::Failed(_))));
    }
}
