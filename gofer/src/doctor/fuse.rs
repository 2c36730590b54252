//! What mounting by `fusebridge` needs. Containers do without.

use std::fs::{self, File};
use std::io::ErrorKind;

use rustix::process::geteuid;

use super::{Finding, Level, kernel, search};

const DEVICE: &str = "/dev/fuse";
/// The first Linux with FUSE passthrough.
const PASSTHROUGH_SINCE: (u32, u32) = (6, 9);
const ENABLE_URING: &str = "/sys/module/fuse/parameters/enable_uring";

pub(super) fn check() -> Vec<Finding> {
    let mut findings = vec![device()];
    if search::program("fusermount3").is_some() {
        findings.push(Finding::ok("fusermount3", "ordinary users can mount with fusebridge"));
    } else {
        let text = "ordinary users cannot mount with fusebridge; install fuse3";
        findings.push(Finding::new(Level::Note, "fusermount3", text));
    }
    findings.push(passthrough(kernel::version(), geteuid().is_root()));
    findings.push(io_uring(fs::read_to_string(ENABLE_URING)));
    findings
}

/// `switch` is what the kernel says.
fn io_uring(switch: std::io::Result<String>) -> Finding {
    let note = |why: String| {
        let text = format!("requests of a fusebridge mount come over {DEVICE}: {why}");
        Finding::new(Level::Note, "io_uring", text)
    };
    match switch {
        Ok(text) if text.starts_with('Y') => Finding::ok(
            "io_uring",
            "requests of a fusebridge mount come over io_uring where the kernel itself may read and write files, or with --transport ring",
        ),
        Ok(_) => note(format!("FUSE over io_uring is off; as root: echo Y > {ENABLE_URING}")),
        Err(_) => note("FUSE over io_uring needs Linux 6.14 or later with CONFIG_FUSE_IO_URING".to_owned()),
    }
}

/// The same for somebody who wants to mount, and will see for himself about passthrough.
pub(super) fn for_mounts() -> Vec<Finding> {
    let device = device();
    let mut findings = vec![Finding { level: required(device.level), ..device }];
    if search::program("fusermount3").is_none() && !geteuid().is_root() {
        let text = "only root can mount without it; install fuse3";
        findings.push(Finding::new(Level::Missing, "fusermount3", text));
    }
    findings.push(io_uring(fs::read_to_string(ENABLE_URING)));
    findings
}

/// What `level` is for those who cannot do without.
fn required(level: Level) -> Level {
    if level == Level::Ok { Level::Ok } else { Level::Missing }
}

/// The kernel says whether it can only to a file system that is mounted, so this goes by its version.
fn passthrough(version: (u32, u32), is_root: bool) -> Finding {
    let why_not = if version < PASSTHROUGH_SINCE {
        "it needs Linux 6.9 or later"
    } else if is_root {
        return Finding::ok("passthrough", "the kernel itself can read and write files of a fusebridge mount");
    } else {
        "only root may let it"
    };
    let text = format!("the kernel cannot read and write files of a fusebridge mount itself: {why_not}");
    Finding::new(Level::Note, "passthrough", text)
}

fn device() -> Finding {
    let warning = |text: String| Finding::new(Level::Warning, DEVICE, text);
    match File::options().read(true).write(true).open(DEVICE) {
        Ok(_) => Finding::ok(DEVICE, "fusebridge can mount"),
        Err(error) if error.kind() == ErrorKind::NotFound => warning(
            "fusebridge cannot mount: load the module with `modprobe fuse`, or pass the device into this container"
                .to_owned(),
        ),
        Err(error) => warning(format!("fusebridge cannot mount: {error}; as root: chmod 666 {DEVICE}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passthrough_needs_a_kernel_and_root() {
        assert_eq!(passthrough((6, 9), true).level, Level::Ok);
        assert!(passthrough((6, 9), false).text.ends_with("only root may let it"));
        assert!(passthrough((5, 15), true).text.ends_with("6.9 or later"));
    }

    #[test]
    fn the_switch_says_how_requests_come() {
        assert_eq!(io_uring(Ok("Y\n".into())).level, Level::Ok);
        let off = io_uring(Ok("N\n".into()));
        assert_eq!(off.level, Level::Note);
        assert!(off.text.contains("echo Y > /sys/module/fuse/parameters/enable_uring"), "{}", off.text);
        assert!(io_uring(Err(ErrorKind::NotFound.into())).text.contains("needs Linux 6.14"));
    }
}
