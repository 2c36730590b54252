//! A container on trial, on each platform.

mod bundle;
mod container;
mod machine_code;
mod platforms;

use std::fs::File;
use std::path::Path;

use rustix::process::geteuid;

use self::container::{Options, Trial};
use self::platforms::Platforms;
use super::child::{self, Timeout};
use super::{Finding, Level};

/// The device of one platform.
const KVM: (&str, &str) = ("kvm", "/dev/kvm");

/// Runs a container on each platform that `runsc` has, and says which ones can be used.
pub(super) fn check(runsc: &Path, timeout: &Timeout, tell: &mut dyn FnMut(Vec<Finding>)) {
    let trials = child::adopt_orphans().and_then(|()| Ok((Platforms::of(runsc, timeout)?, Trial::new(runsc)?)));
    let (known, trial) = match trials {
        Ok(ready) => ready,
        Err(error) => return tell(vec![Finding::new(Level::Missing, "trial", format!("cannot be prepared: {error}"))]),
    };
    let mut usable: Vec<&str> = Vec::new();
    for platform in &known.names {
        if let Some(reason) = unavailable(platform) {
            tell(vec![Finding::new(Level::Note, subject(platform), format!("not tried: {reason}"))]);
            continue;
        }
        (timeout.progress)(&format!(
            "a container on the platform {platform}, at most {} s",
            timeout.time_limit.as_secs()
        ));
        match trial.run(Options { platform, directfs: None, network: "none" }, timeout) {
            Ok(success) => {
                usable.push(platform);
                tell(vec![Finding::ok(subject(platform), success)]);
            }
            Err(_) if timeout.is_over() => return,
            Err(problem) => {
                let text = format!("{problem}; do not use --platform={platform} here");
                tell(vec![Finding::new(Level::Warning, subject(platform), text)]);
            }
        }
    }
    if let (true, Some(platform)) = (known.has_directfs, usable.first()) {
        (timeout.progress)(&format!("a container without directfs, at most {} s", timeout.time_limit.as_secs()));
        tell(vec![match trial.run(Options { platform, directfs: Some(false), network: "none" }, timeout) {
            Ok(success) => Finding::ok("no directfs", success),
            Err(problem) => Finding::new(Level::Warning, "no directfs", problem),
        }]);
    }
    if let Some(platform) = usable.first() {
        (timeout.progress)(&format!("a container with a network, at most {} s", timeout.time_limit.as_secs()));
        tell(vec![network(&trial, platform, timeout)]);
    }
    tell(vec![conclusion(&usable, known.default.as_deref())]);
    if let Err(error) = trial.clean_up() {
        tell(vec![Finding::new(Level::Warning, "trial", format!("it could not be cleaned up: {error}"))]);
    }
}

/// Whether a container can have the network that Docker and others give it, unless they are told otherwise.
fn network(trial: &Trial, platform: &str, timeout: &Timeout) -> Finding {
    const SUBJECT: &str = "trial network";
    if !geteuid().is_root() {
        return Finding::new(Level::Note, SUBJECT, "not tried: it needs root; others use --network=host".to_owned());
    }
    let run = |network| trial.run(Options { platform, directfs: None, network }, timeout);
    match run("sandbox") {
        Ok(success) => Finding::ok(SUBJECT, success),
        Err(problem) if run("host").is_ok() => {
            let text = format!("{problem}; add --network=host to the runtimeArgs of Docker, with which it works");
            Finding::new(Level::Warning, SUBJECT, text)
        }
        Err(problem) => Finding::new(Level::Warning, SUBJECT, format!("{problem}; containers need --network=none")),
    }
}

fn subject(platform: &str) -> String {
    format!("trial {platform}")
}

/// Why there is no sense in trying.
fn unavailable(platform: &str) -> Option<String> {
    let (name, device) = KVM;
    if platform != name {
        return None;
    }
    let opened = File::options().read(true).write(true).open(device);
    opened.err().map(|error| format!("{device}: {error}"))
}

fn conclusion(usable: &[&str], default: Option<&str>) -> Finding {
    let Some(first) = usable.first() else {
        let text = "none can run; what runsc says above is the reason";
        return Finding::new(Level::Missing, "containers", text);
    };
    let all = usable.join(", ");
    match default {
        Some(default) if !usable.contains(&default) => {
            let text = format!(
                "can run, but not on {default}, which is runsc's default: give it --platform={first} (of {all})"
            );
            Finding::new(Level::Warning, "containers", text)
        }
        _ => Finding::ok("containers", format!("can run, served by this gofer; platforms: {all}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_that_does_not_work_has_to_be_changed() {
        assert_eq!(conclusion(&[], Some("systrap")).level, Level::Missing);
        assert_eq!(conclusion(&["systrap"], Some("systrap")).level, Level::Ok);
        assert_eq!(conclusion(&["ptrace"], None).level, Level::Ok);
        let finding = conclusion(&["ptrace", "kvm"], Some("systrap"));
        assert_eq!(finding.level, Level::Warning);
        assert!(finding.text.contains("--platform=ptrace (of ptrace, kvm)"), "{}", finding.text);
    }
}
