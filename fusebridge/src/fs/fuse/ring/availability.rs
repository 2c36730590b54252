//! Whether requests can come over rings.

use std::io;

const SWITCH: &str = "/sys/module/fuse/parameters/enable_uring";

/// Why they cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Unavailable {
    #[error("this kernel has no FUSE over io_uring, which needs Linux 6.14 or later with CONFIG_FUSE_IO_URING")]
    Unknown,
    #[error("FUSE over io_uring is off: `echo Y > {SWITCH}`, as root, switches it on")]
    Off,
}

impl From<Unavailable> for io::Error {
    fn from(why: Unavailable) -> Self {
        io::Error::new(io::ErrorKind::Unsupported, why)
    }
}

/// Whether the kernel offers them.
pub(in super::super) fn available() -> Result<(), Unavailable> {
    judge(std::fs::read_to_string(SWITCH))
}

fn judge(switch: io::Result<String>) -> Result<(), Unavailable> {
    match switch {
        Ok(text) if text.starts_with(['Y', 'y', '1']) => Ok(()),
        Ok(_) => Err(Unavailable::Off),
        Err(_) => Err(Unavailable::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_says_whether_there_are_rings() {
        assert_eq!(judge(Ok("Y\n".into())), Ok(()));
        assert_eq!(judge(Ok("N\n".into())), Err(Unavailable::Off));
        assert_eq!(judge(Err(io::ErrorKind::NotFound.into())), Err(Unavailable::Unknown));
    }

    #[test]
    fn the_user_is_told_what_to_do() {
        let text = Unavailable::Off.to_string();
        assert!(text.contains("echo Y > /sys/module/fuse/parameters/enable_uring"), "{text}");
    }
}
