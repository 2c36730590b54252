//! Giving back memory that only the start has used.
#![allow(unsafe_code, reason = "tells the kernel about memory")]

use std::fs;

/// A part of the process's memory that is a part of a file.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    start: usize,
    len: usize,
    permissions: &'a str,
    offset: u64,
    path: &'a str,
}

impl<'a> Mapping<'a> {
    /// A line of `/proc/self/maps`; none if it is not about a file.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let len = usize::from_str_radix(end, 16).ok()?.checked_sub(start)?;
        let permissions = words.next()?;
        let offset = u64::from_str_radix(words.next()?, 16).ok()?;
        let path = words.nth(2)?;
        path.starts_with('/').then_some(Mapping { start, len, permissions, offset, path })
    }
}

/// The mappings in `maps` that nobody has ever written to: code, and the constants that stand before it in its file. What
/// the dynamic linker has filled in comes behind.
fn untouched<'a>(maps: &'a str) -> Vec<Mapping<'a>> {
    let all: Vec<Mapping<'a>> = maps.lines().filter_map(Mapping::parse).collect();
    let code_of = |path: &str| all.iter().find(|mapping| mapping.path == path && mapping.permissions == "r-xp");
    let is_untouched = |mapping: &Mapping<'_>| match (mapping.permissions, code_of(mapping.path)) {
        ("r-xp", _) => true,
        ("r--p", Some(code)) => mapping.offset < code.offset,
        _ => false,
    };
    let chosen: Vec<bool> = all.iter().map(is_untouched).collect();
    all.into_iter().zip(chosen).filter_map(|(mapping, chosen)| chosen.then_some(mapping)).collect()
}

/// The memory that holds nothing but code and constants from files.
#[derive(Debug, Default)]
pub(super) struct Code(Vec<(usize, usize)>);

impl Code {
    /// Finds it in procfs.
    pub(super) fn find() -> Self {
        let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
        Code(untouched(&maps).iter().map(|mapping| (mapping.start, mapping.len)).collect())
    }

    /// Lets go of code that has run once and is not going to run again, and of free heap. Code that is needed after all
    /// comes back from its file.
    pub(super) fn forget(self) {
        for (start, len) in self.0 {
            // SAFETY: the range is a private mapping of a file that has never been written to and, being that of the program
            // or a library, is not unmapped. Dropping its pages changes nothing but where they are.
            unsafe { libc::madvise(start as *mut libc::c_void, len, libc::MADV_DONTNEED) };
        }
        #[cfg(target_env = "gnu")]
        // SAFETY: gives free memory back and touches nothing else.
        unsafe {
            libc::malloc_trim(0)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_clean_is_forgotten() {
        let maps = "\
55d0c0000000-55d0c0100000 r--p 00000000 08:01 7 /usr/bin/gofer
55d0c0100000-55d0c0400000 r-xp 00100000 08:01 7 /usr/bin/gofer
55d0c0400000-55d0c0440000 r--p 00400000 08:01 7 /usr/bin/gofer
55d0c0440000-55d0c0441000 rw-p 00440000 08:01 7 /usr/bin/gofer
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0 [heap]
7f0000000000-7f0000001000 r--p 00000000 08:01 9 /usr/share/data
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0 [vdso]
";
        let found: Vec<(usize, usize)> = untouched(maps).iter().map(|found| (found.start, found.len)).collect();
        assert_eq!(found, [(0x55d0_c000_0000, 0x10_0000), (0x55d0_c010_0000, 0x30_0000)]);
    }

    #[test]
    fn everything_goes_on() {
        let before: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        Code::find().forget();
        assert_eq!(before.iter().map(|text| text.parse::<u64>().unwrap()).sum::<u64>(), 499_500);
    }
}
