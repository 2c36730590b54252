//! User namespaces.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sched::CloneFlags;
use rustix::process::geteuid;

use super::{Finding, Level, raw, search};

const SUBJECT: &str = "user namespaces";

/// What can be in the way, the value that is, and what to do then.
const SETTINGS: [(&str, &str, &str); 3] = [
    ("user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ("kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile for runsc and gofer with `userns,`",
    ),
];

pub(super) fn check() -> Vec<Finding> {
    let is_root = geteuid().is_root();
    let mut findings = vec![judge(create(), is_root, &settings())];
    let missing: Vec<&str> =
        ["newuidmap", "newgidmap"].into_iter().filter(|name| search::program(name).is_none()).collect();
    findings.push(if missing.is_empty() {
        Finding::ok("newuidmap", "containers of ordinary users can have several users and groups")
    } else {
        let text = "containers that ordinary users start themselves have one user only";
        Finding::new(Level::Note, "newuidmap", format!("no {}: {text}; install uidmap", missing.join(", ")))
    });
    findings
}

/// Makes one, and does something in it that takes rights.
fn create() -> io::Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg0("gofer").arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    raw::in_new_namespaces(&mut command, &[CloneFlags::CLONE_NEWUSER, CloneFlags::CLONE_NEWNS]);
    command.status().map(drop)
}

/// What to do about settings that are in the way.
fn settings() -> Vec<&'static str> {
    let in_the_way = |&(name, bad, advice): &(&str, &str, &'static str)| {
        let value = fs::read_to_string(format!("/proc/sys/{name}")).ok()?;
        (value.trim() == bad).then_some(advice)
    };
    SETTINGS.iter().filter_map(in_the_way).collect()
}

fn judge(created: io::Result<()>, is_root: bool, advice: &[&str]) -> Finding {
    let advice = if advice.is_empty() {
        "in a container, that one needs a seccomp profile that allows them".to_owned()
    } else {
        advice.join("; ")
    };
    match created {
        // Root is not asked by most settings.
        Ok(()) if is_root && advice.contains("unprivileged") => {
            let text = format!("root can create them, ordinary users cannot: {advice}");
            Finding::new(Level::Note, SUBJECT, text)
        }
        Ok(()) => Finding::ok(SUBJECT, "can be created"),
        Err(error) if is_root => {
            let text = format!("cannot be created ({error}): run runsc with --directfs=false, or: {advice}");
            Finding::new(Level::Warning, SUBJECT, text)
        }
        Err(error) => {
            let text = format!("cannot be created ({error}), and only root can do without them; as root: {advice}");
            Finding::new(Level::Missing, SUBJECT, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_to_do() {
        let refused = || Err(io::Error::from_raw_os_error(libc::ENOSPC));
        let [(_, _, none), (_, _, unprivileged), _] = SETTINGS;
        let finding = judge(refused(), false, &[none]);
        assert_eq!(finding.level, Level::Missing);
        assert!(finding.text.ends_with(none), "{}", finding.text);
        let finding = judge(refused(), true, &[none]);
        assert_eq!(finding.level, Level::Warning);
        assert!(finding.text.contains("--directfs=false"), "{}", finding.text);
        assert_eq!(judge(Ok(()), true, &[unprivileged]).level, Level::Note);
        assert_eq!(judge(Ok(()), false, &[]).level, Level::Ok);
    }
}
