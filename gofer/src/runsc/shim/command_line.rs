//! What others see as the command line of this process.
#![allow(unsafe_code, reason = "tells the kernel where the command line is in memory")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::ptr;

/// The kernel's `struct prctl_mm_map`.
#[repr(C)]
struct Map {
    start_code: u64,
    end_code: u64,
    start_data: u64,
    end_data: u64,
    start_brk: u64,
    brk: u64,
    start_stack: u64,
    arg_start: u64,
    arg_end: u64,
    env_start: u64,
    env_end: u64,
    auxv: *const u64,
    auxv_size: u32,
    exe_fd: i32,
}

/// Shows `line` in `/proc/PID/cmdline` from now on. Needs no privilege, but a kernel that can restore processes
/// (`CONFIG_CHECKPOINT_RESTORE`).
pub(super) fn show(line: &[OsString]) -> io::Result<()> {
    let mut text = Vec::new();
    for word in line {
        text.extend_from_slice(word.as_bytes());
        text.push(0);
    }
    let mut map = current()?;
    // Read whenever somebody asks, until this process ends.
    let range = text.leak().as_ptr_range();
    [map.arg_start, map.arg_end] = [range.start, range.end].map(|address| address.expose_provenance() as u64);
    // SAFETY: all addresses but those of the command line are what they have been. They are where procfs and `brk` look:
    // the kernel reads the command line on behalf of others, and that memory stays.
    match unsafe { libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, &raw const map, size_of::<Map>(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What the kernel knows of this process's memory.
fn current() -> io::Result<Map> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // SAFETY: only asks.
    let brk = unsafe { libc::sbrk(0) }.expose_provenance() as u64;
    parse(&stat, brk).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// The numbers in `stat`, a line as proc_pid_stat(5) describes it.
fn parse(stat: &str, brk: u64) -> Option<Map> {
    // The name before may have anything in it. The state that follows is the third field.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Map {
        start_code: field(26)?,
        end_code: field(27)?,
        start_stack: field(28)?,
        start_data: field(45)?,
        end_data: field(46)?,
        start_brk: field(47)?,
        brk,
        arg_start: field(48)?,
        arg_end: field(49)?,
        env_start: field(50)?,
        env_end: field(51)?,
        auxv: ptr::null(),
        auxv_size: 0,
        exe_fd: -1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_the_name() {
        let numbers: Vec<String> = (4..=52).map(|number: u64| number.to_string()).collect();
        let map = parse(&format!("1 (a) b c) S {}\n", numbers.join(" ")), 99).unwrap();
        assert_eq!([map.start_code, map.end_code, map.start_stack], [26, 27, 28]);
        assert_eq!([map.start_data, map.end_data, map.start_brk, map.brk], [45, 46, 47, 99]);
        assert_eq!([map.arg_start, map.arg_end, map.env_start, map.env_end], [48, 49, 50, 51]);
        assert!(parse("1 (a) S 4 5", 99).is_none());
    }
}
