//! Giving back memory that only the start has used.
#![allow(unsafe_code, reason = "tells the kernel about memory")]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A part of the process's memory that is a part of a file.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    /// Addresses, as the kernel writes them.
    range: &'a str,
    permissions: &'a str,
    offset: u64,
    /// Device and inode number.
    file: (&'a str, &'a str),
    path: &'a str,
}

impl<'a> Mapping<'a> {
    /// A line of `/proc/self/smaps` that begins a mapping; none if it is not about a file.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let range = words.next()?;
        let permissions = words.next()?;
        let offset = u64::from_str_radix(words.next()?, 16).ok()?;
        let file = (words.next()?, words.next()?);
        let path = words.next()?;
        path.starts_with('/').then_some(Mapping { range, permissions, offset, file, path })
    }

    /// Address and length.
    fn place(&self) -> Option<(usize, usize)> {
        let (start, end) = self.range.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        Some((start, usize::from_str_radix(end, 16).ok()?.checked_sub(start)?))
    }
}

/// The mappings in `smaps` that hold nothing but what is in their files, and cannot be written to: code, and the
/// constants that stand before it. What the dynamic linker has filled in comes behind.
fn untouched(smaps: &str) -> Vec<Mapping<'_>> {
    let mut all: Vec<(Mapping<'_>, bool)> = Vec::new();
    let mut is_of_file = false;
    for line in smaps.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let Some(field) = word.strip_suffix(':') else {
            let mapping = Mapping::parse(line);
            is_of_file = mapping.is_some();
            all.extend(mapping.map(|mapping| (mapping, true)));
            continue;
        };
        // Pages of its own, which are in no file: somebody has written here.
        if is_of_file
            && matches!(field, "Anonymous" | "Swap")
            && rest.trim() != "0 kB"
            && let Some((_, is_clean)) = all.last_mut()
        {
            *is_clean = false;
        }
    }
    let code_of = |mapping: &Mapping<'_>| {
        all.iter().map(|(other, _)| other).find(|other| other.file == mapping.file && other.permissions == "r-xp")
    };
    let is_untouched = |mapping: &Mapping<'_>| match (mapping.permissions, code_of(mapping)) {
        ("r-xp", _) => true,
        ("r--p", Some(code)) => mapping.offset < code.offset,
        _ => false,
    };
    let chosen: Vec<bool> = all.iter().map(|(mapping, is_clean)| *is_clean && is_untouched(mapping)).collect();
    all.into_iter().zip(chosen).filter_map(|((mapping, _), chosen)| chosen.then_some(mapping)).collect()
}

/// The memory that holds nothing but code and constants from files.
#[derive(Debug, Default)]
pub(super) struct Code {
    /// What is asked about it again when it is to be forgotten. procfs may be out of reach by then.
    smaps: Option<File>,
    /// What there is at the start, before anybody else maps and unmaps anything.
    at_start: String,
}

impl Code {
    /// Finds it in procfs.
    pub(super) fn find() -> Self {
        let found = File::open("/proc/self/smaps").and_then(|smaps| Ok((text(&smaps)?, smaps)));
        match found {
            Ok((at_start, smaps)) => Code { smaps: Some(smaps), at_start },
            Err(_) => Code::default(),
        }
    }

    /// Lets go of code that has run once and is not going to run again, and of free heap. Code that is needed after all
    /// comes back from its file.
    ///
    /// Extensions have run meanwhile, and may have put something else where code was. Only what is now as it was at the
    /// start counts: the program and its libraries, which nobody unmaps.
    pub(super) fn forget(self) {
        let Code { smaps, at_start } = self;
        let now = smaps.and_then(|smaps| text(&smaps).ok()).unwrap_or_default();
        let at_start = untouched(&at_start);
        for (start, len) in untouched(&now).iter().filter(|now| at_start.contains(now)).filter_map(Mapping::place) {
            // SAFETY: the range is a private mapping of a file that cannot be written to and has no page that differs
            // from the file. Dropping its pages changes nothing but where they are. If somebody is about to replace the
            // program's code, that is at least as unsafe as this.
            unsafe { libc::madvise(start as *mut libc::c_void, len, libc::MADV_DONTNEED) };
        }
        crate::memory::trim();
    }
}

/// All of a file in procfs. By a system call that the filter allows, too.
fn text(file: &File) -> io::Result<String> {
    let mut bytes = vec![0; 1 << 16];
    let mut len = 0;
    loop {
        match file.read_at(&mut bytes[len..], len as u64)? {
            0 => break,
            n => len += n,
        }
        if len == bytes.len() {
            bytes.resize(2 * len, 0);
        }
    }
    bytes.truncate(len);
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect, munmap};

    use super::*;

    #[test]
    fn only_what_is_clean_is_forgotten() {
        let smaps = "\
55d0c0000000-55d0c0100000 r--p 00000000 08:01 7 /usr/bin/gofer
Anonymous:             0 kB
55d0c0100000-55d0c0400000 r-xp 00100000 08:01 7 /usr/bin/gofer
Size:               3072 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd ex mr mw me sd
55d0c0400000-55d0c0440000 r--p 00400000 08:01 7 /usr/bin/gofer
Anonymous:             8 kB
55d0c0440000-55d0c0441000 rw-p 00440000 08:01 7 /usr/bin/gofer
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0 [heap]
Anonymous:            16 kB
7f0000000000-7f0000001000 r--p 00000000 08:01 9 /usr/share/data
7f0000002000-7f0000003000 r-xp 00000000 08:01 10 /usr/lib/patched.so
Anonymous:             4 kB
7f0000004000-7f0000005000 r-xp 00000000 08:01 11 /usr/lib/patched-and-swapped.so
Anonymous:             0 kB
Swap:                  4 kB
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0 [vdso]
";
        let found: Vec<_> = untouched(smaps).iter().filter_map(Mapping::place).collect();
        assert_eq!(found, [(0x55d0_c000_0000, 0x10_0000), (0x55d0_c010_0000, 0x30_0000)]);
    }

    #[test]
    fn everything_goes_on() {
        let before: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        Code::find().forget();
        assert_eq!(before.iter().map(|text| text.parse::<u64>().unwrap()).sum::<u64>(), 499_500);
    }

    /// Maps the program's file as code of a library is.
    fn code(len: usize) -> *mut u8 {
        let file = File::open("/proc/self/exe").unwrap();
        // SAFETY: at an address of the kernel's choice.
        unsafe { mmap(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::EXEC, MapFlags::PRIVATE, file, 0) }
            .unwrap()
            .cast()
    }

    #[test]
    fn what_came_where_code_was_stays() {
        let len = rustix::param::page_size();
        let (replaced, patched) = (code(len), code(len));
        let found = Code::find();
        // SAFETY: the mappings are this test's own.
        unsafe {
            munmap(replaced.cast(), len).unwrap();
            let how = MapFlags::PRIVATE | MapFlags::FIXED_NOREPLACE;
            mmap_anonymous(replaced.cast(), len, ProtFlags::READ | ProtFlags::WRITE, how).unwrap();
            replaced.write_bytes(7, len);
            // As what it was replaces, and yet another.
            mprotect(replaced.cast(), len, MprotectFlags::READ | MprotectFlags::EXEC).unwrap();
            mprotect(patched.cast(), len, MprotectFlags::READ | MprotectFlags::WRITE).unwrap();
            patched.write_bytes(7, len);
            mprotect(patched.cast(), len, MprotectFlags::READ | MprotectFlags::EXEC).unwrap();
        }
        found.forget();
        for kept in [replaced, patched] {
            // SAFETY: mapped, readable, and nobody else's.
            let bytes = unsafe { std::slice::from_raw_parts(kept, len) };
            assert!(bytes.iter().all(|byte| *byte == 7));
            // SAFETY: the slice has ended.
            unsafe { munmap(kept.cast(), len) }.unwrap();
        }
    }
}
