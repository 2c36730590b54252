//! Errors by name.

use lisafs::backend::Errno;

/// The error that is called `name`, such as `ENOSPC`.
pub(super) fn named(name: &str) -> Option<Errno> {
    let short = name.strip_prefix('E')?;
    NAMES.iter().find(|(name, _)| *name == short).map(|(_, errno)| *errno)
}

/// Declares errors whose names are those of the constants.
macro_rules! names {
    ($($name:ident)*) => {
        const NAMES: &[(&str, Errno)] = &[
            // Their names are others in Rust.
            ("ACCES", Errno::ACCESS),
            ("2BIG", Errno::TOOBIG),
            $((stringify!($name), Errno::$name),)*
        ];
    };
}

names! {
    AGAIN ALREADY BADF BADMSG BUSY CANCELED CONNABORTED CONNREFUSED CONNRESET DEADLK DESTADDRREQ DOM DQUOT EXIST FAULT FBIG
    HOSTDOWN HOSTUNREACH ILSEQ INPROGRESS INTR INVAL IO ISCONN ISDIR LOOP MFILE MLINK MSGSIZE NAMETOOLONG NETDOWN NFILE
    NOBUFS NODATA NODEV NOENT NOLCK NOLINK NOMEM NOSPC NOSYS NOTCONN NOTDIR NOTEMPTY NOTSUP NOTTY NXIO OPNOTSUPP OVERFLOW
    PERM PIPE PROTO RANGE REMOTEIO ROFS SPIPE STALE TIMEDOUT TXTBSY UCLEAN WOULDBLOCK XDEV
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_names() {
        assert_eq!(named("EIO"), Some(Errno::IO));
        assert_eq!(named("EACCES"), Some(Errno::ACCESS));
        assert_eq!(named("E2BIG"), Some(Errno::TOOBIG));
        for bad in ["IO", "EIOX", "", "E", "eio", "5"] {
            assert_eq!(named(bad), None, "{bad}");
        }
    }
}
