//! Assertions that return errors, with the text of what was expected.

use std::fmt::Debug;
use std::io;

use anyhow::{Result, bail};
use rustix::io::Errno;

/// Fails unless both values are equal.
pub fn equal<T: PartialEq<U> + Debug, U: Debug>(what: &str, found: &T, wanted: &U) -> Result<()> {
    if *found != *wanted {
        bail!("{what}: found {found:?}, wanted {wanted:?}");
    }
    Ok(())
}

/// Fails unless the condition holds.
pub fn holds(what: &str, condition: bool) -> Result<()> {
    if !condition {
        bail!("{what}: does not hold");
    }
    Ok(())
}

/// Fails unless the call failed with one of the given errors.
pub fn fails<T>(what: &str, result: io::Result<T>, wanted: &[Errno]) -> Result<()> {
    match result {
        Ok(_) => bail!("{what}: succeeded, wanted {wanted:?}"),
        Err(error) if wanted.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) => Ok(()),
        Err(error) => bail!("{what}: {error}, wanted {wanted:?}"),
    }
}
