//! Numbers of the protocol and of the kernel in the words that people use for them.

use std::fmt::Write as _;
use std::time::Duration;

use lisafs::wire::{FileType, Statx, StatxMask, Timespec};
use nix::errno::Errno;

/// `bytes` as they can be shown in a line: control characters and what is no UTF-8 are escaped.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\'' => text.push(character),
                _ => text.extend(character.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            // Strings take everything.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// `bytes` in quotation marks, no more than the first of them if there are many.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    const MOST: usize = 100;
    match bytes.get(..MOST) {
        Some(beginning) if bytes.len() > MOST => format!("\"{}\"... ({} bytes)", shown(beginning), bytes.len()),
        _ => format!("\"{}\"", shown(bytes)),
    }
}

/// The name of an error number, such as `ENOENT`.
pub(crate) fn errno_name(errno: u32) -> String {
    match i32::try_from(errno).map(Errno::from_raw) {
        Ok(known) if known != Errno::UnknownErrno => format!("{known:?}"),
        _ => format!("errno {errno}"),
    }
}

/// What an error number means, in a few words.
pub(crate) fn errno_text(errno: u32) -> String {
    match i32::try_from(errno).map(Errno::from_raw) {
        Ok(known) if known != Errno::UnknownErrno => format!("{} ({})", errno_name(errno), known.desc()),
        _ => format!("{}, unknown to the kernel", errno_name(errno)),
    }
}

/// The error number with the name `name`, or the number itself.
pub(crate) fn errno_from_name(name: &str) -> Option<u32> {
    const LARGEST: i32 = 133;
    let known = |number: &i32| {
        let errno = Errno::from_raw(*number);
        errno != Errno::UnknownErrno && format!("{errno:?}").eq_ignore_ascii_case(name)
    };
    let number = match name.to_ascii_uppercase().as_str() {
        "EWOULDBLOCK" => libc::EAGAIN,
        "ENOTSUP" => libc::EOPNOTSUPP,
        "EDEADLOCK" => libc::EDEADLK,
        _ => (1..=LARGEST).find(known).or_else(|| name.parse().ok())?,
    };
    u32::try_from(number).ok()
}

/// The kind of file that the `S_IFMT` bits of a mode stand for.
pub(crate) fn file_type(mode: u32) -> &'static str {
    match FileType::from_mode(mode) {
        Some(FileType::Regular) => "file",
        Some(FileType::Directory) => "directory",
        Some(FileType::Symlink) => "symlink",
        Some(FileType::CharDevice) => "character device",
        Some(FileType::BlockDevice) => "block device",
        Some(FileType::Fifo) => "FIFO",
        Some(FileType::Socket) => "socket",
        None => "something",
    }
}

/// The kind of file that a `DT_*` value stands for.
pub(crate) fn dirent_type(kind: u8) -> &'static str {
    file_type(u32::from(kind) << 12)
}

/// Attributes, as far as they are known.
pub(crate) fn stat(stat: &Statx) -> String {
    let mut text = file_type(stat.mode.into()).to_owned();
    let mut add = |bits: StatxMask, what: String| {
        if stat.mask.intersects(bits) {
            text.push(' ');
            text.push_str(&what);
        }
    };
    add(StatxMask::MODE, format!("{:04o}", stat.mode & 0o7777));
    add(StatxMask::UID | StatxMask::GID, format!("{}:{}", id(stat.uid), id(stat.gid)));
    add(StatxMask::SIZE, format!("size={}", stat.size));
    add(StatxMask::NLINK, format!("nlink={}", stat.nlink));
    if matches!(stat.file_type(), Some(FileType::CharDevice | FileType::BlockDevice)) {
        add(StatxMask::all(), format!("rdev={}:{}", stat.rdev_major, stat.rdev_minor));
    }
    add(StatxMask::INO, format!("ino={}", stat.ino));
    text
}

/// A user or group.
pub(super) fn id(id: u32) -> String {
    if id == lisafs::wire::NO_ID { "-".to_owned() } else { id.to_string() }
}

pub(super) fn time_to_set(time: &Timespec) -> String {
    match time.nsec {
        Timespec::UTIME_NOW => "now".to_owned(),
        Timespec::UTIME_OMIT => "as it is".to_owned(),
        nsec => format!("{}.{nsec:09}", time.sec),
    }
}

/// `STATX_*` bits.
pub(super) fn stat_mask(mask: StatxMask) -> String {
    const NAMES: [(StatxMask, &str); 10] = [
        (StatxMask::MODE, "mode"),
        (StatxMask::UID, "uid"),
        (StatxMask::GID, "gid"),
        (StatxMask::SIZE, "size"),
        (StatxMask::ATIME, "atime"),
        (StatxMask::MTIME, "mtime"),
        (StatxMask::CTIME, "ctime"),
        (StatxMask::NLINK, "nlink"),
        (StatxMask::TYPE, "type"),
        (StatxMask::INO, "ino"),
    ];
    bits(mask.bits().into(), &NAMES.map(|(bit, name)| (u64::from(bit.bits()), name)))
}

pub(super) fn open_flags(flags: u32) -> String {
    const NAMES: [(i32, &str); 12] = [
        (libc::O_CREAT, "O_CREAT"),
        (libc::O_EXCL, "O_EXCL"),
        (libc::O_TRUNC, "O_TRUNC"),
        (libc::O_NOATIME, "O_NOATIME"),
        (libc::O_APPEND, "O_APPEND"),
        (libc::O_NONBLOCK, "O_NONBLOCK"),
        (libc::O_SYNC, "O_SYNC"),
        (libc::O_DIRECT, "O_DIRECT"),
        (libc::O_DIRECTORY, "O_DIRECTORY"),
        (libc::O_NOFOLLOW, "O_NOFOLLOW"),
        (libc::O_CLOEXEC, "O_CLOEXEC"),
        (libc::O_LARGEFILE, "O_LARGEFILE"),
    ];
    let access = libc::O_ACCMODE.unsigned_abs();
    let mut text = match flags & access {
        0 => "O_RDONLY".to_owned(),
        1 => "O_WRONLY".to_owned(),
        2 => "O_RDWR".to_owned(),
        _ => "O_ACCMODE".to_owned(),
    };
    let rest = flags & !access;
    if rest != 0 {
        text.push('|');
        text.push_str(&bits(rest.into(), &NAMES.map(|(bit, name)| (bit.unsigned_abs().into(), name))));
    }
    text
}

/// Names of the bits in `value`; those without a name as a number.
pub(super) fn bits(value: u64, names: &[(u64, &str)]) -> String {
    let mut rest = value;
    let mut found = Vec::new();
    for (bit, name) in names {
        if *bit != 0 && rest & bit == *bit {
            rest &= !bit;
            found.push((*name).to_owned());
        }
    }
    if rest != 0 || found.is_empty() {
        found.push(format!("{rest:#x}"));
    }
    found.join("|")
}

/// A time with three digits or more: `950 ns`, `18.2 µs`, `1.25 ms`, `30.0 s`.
pub(crate) fn duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (unit, name) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    let (whole, rest) = (nanos / unit, nanos % unit * 100 / unit);
    match whole {
        0..10 => format!("{whole}.{rest:02} {name}"),
        10..100 => format!("{whole}.{} {name}", rest / 10),
        _ => format!("{whole} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_one_line() {
        assert_eq!(shown("dir/ä 'x' \"y\"".as_bytes()), "dir/ä 'x' \"y\"");
        assert_eq!(shown(b"a\nb\xff\\"), "a\\nb\\xff\\\\");
        assert_eq!(quoted(&[b'a'; 101]), format!("\"{}\"... (101 bytes)", "a".repeat(100)));
        assert_eq!(quoted(&[b'a'; 100]), format!("\"{}\"", "a".repeat(100)));
    }

    #[test]
    fn errors_have_names_and_numbers() {
        for (errno, name) in [(2, "ENOENT"), (95, "EOPNOTSUPP"), (61, "ENODATA"), (7, "E2BIG")] {
            assert_eq!(errno_name(errno), name);
            assert_eq!(errno_from_name(name), Some(errno));
        }
        assert_eq!(errno_from_name("enoent"), Some(2));
        assert_eq!(errno_from_name("ENOTSUP"), Some(95));
        assert_eq!(errno_from_name("13"), Some(13));
        assert_eq!(errno_from_name("ENOTHING"), None);
        assert_eq!(errno_name(5000), "errno 5000");
        assert_eq!(errno_text(13), "EACCES (Permission denied)");
    }

    #[test]
    fn flags_have_names() {
        assert_eq!(open_flags(0), "O_RDONLY");
        assert_eq!(open_flags((libc::O_RDWR | libc::O_TRUNC).unsigned_abs()), "O_RDWR|O_TRUNC");
        assert_eq!(stat_mask(StatxMask::SIZE | StatxMask::MODE), "mode|size");
        assert_eq!(bits(0x11, &[(1, "ONE")]), "ONE|0x10");
        assert_eq!(bits(0, &[(1, "ONE")]), "0x0");
    }

    #[test]
    fn times_have_three_digits() {
        let times = [950, 1_000, 18_250, 125_000, 1_259_999, 30_000_000_000].map(Duration::from_nanos);
        assert_eq!(times.map(duration), ["950 ns", "1.00 µs", "18.2 µs", "125 µs", "1.25 ms", "30.0 s"]);
    }

    #[test]
    fn only_known_attributes_are_shown() {
        let with = |mask, mode| Statx { mask, mode, size: 5, rdev_major: 1, rdev_minor: 3, ..Statx::default() };
        assert_eq!(stat(&with(StatxMask::TYPE | StatxMask::MODE | StatxMask::SIZE, 0o104_755)), "file 4755 size=5");
        assert_eq!(stat(&with(StatxMask::TYPE, 0o020_600)), "character device rdev=1:3");
    }
}
