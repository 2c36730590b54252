//! Refusing a container whose annotations are for nothing, where whoever starts it is told why.
//!
//! Its gofer refuses it too, but what runsc then says is that a mount has failed.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::Timestamp;

use crate::extension::{Stray, strays};
use crate::runsc::spec::Container;

/// Commands of runsc that start a container from a bundle.
const STARTING: [&str; 3] = ["create", "run", "restore"];
/// Commands after which such a word can be somebody else's.
const OTHERS: [&str; 2] = ["exec", "do"];

/// Looks at the bundle of the container that `arguments` start, if they start one. If it cannot be read, runsc says so.
pub(super) fn check(arguments: &[OsString]) -> Result<(), Stray> {
    let is = |words: &[&str], word: &OsString| words.iter().any(|known| word == known);
    let at = arguments.iter().position(|word| is(&STARTING, word) || is(&OTHERS, word));
    let Some((globals, command)) = at.map(|at| arguments.split_at(at)) else { return Ok(()) };
    if is(&OTHERS, &command[0]) {
        return Ok(());
    }
    let bundle = Path::new(value(command, "bundle").unwrap_or(OsStr::new(".")));
    let Ok(file) = File::open(bundle.join("config.json")) else { return Ok(()) };
    let Ok(container) = Container::read(file, bundle, true) else { return Ok(()) };
    let destinations = container.mounts.iter().filter_map(|mount| mount.destination().to_str());
    let stray =
        strays(&container.annotations, destinations).find(|stray| !stray.is_for_another(&container.annotations));
    let Some(stray) = stray else { return Ok(()) };
    if let Some(log) = value(globals, "log") {
        tell(Path::new(log), &stray);
    }
    Err(stray)
}

/// Writes into runsc's log, where containerd looks for the last error.
fn tell(log: &Path, stray: &Stray) {
    let line = serde_json::json!({"msg": stray.to_string(), "level": "error", "time": Timestamp::now().to_string()});
    // It is on stderr as well.
    let _ = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .and_then(|mut log| log.write_all(format!("{line}\n").as_bytes()));
}

/// The value of the flag `name`, as Go programs write flags.
fn value<'a>(arguments: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.as_bytes().strip_prefix(b"-") else { continue };
        let flag = flag.strip_prefix(b"-").unwrap_or(flag);
        match flag.strip_prefix(name.as_bytes()) {
            Some([]) => return words.next().map(OsString::as_os_str),
            Some([b'=', value @ ..]) => return Some(OsStr::from_bytes(value)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn containers_are_refused_and_the_log_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().to_str().unwrap();
        let check = |annotation: &str, line: &str| {
            let spec = json!({
                "process": {"args": ["sh"]},
                "root": {"path": "r"},
                "mounts": [{"destination": "/scratch", "type": "bind", "source": "/s"}],
                "annotations": {annotation: "mem:"},
            });
            std::fs::write(dir.path().join("config.json"), spec.to_string()).unwrap();
            let words: Vec<OsString> = line.replace("DIR", place).split(' ').map(OsString::from).collect();
            super::check(&words)
        };
        let docker = "--root /r --log DIR/log --log-format json create --bundle DIR --pid-file DIR/pid c";
        assert_eq!(check("dev.gofer.backend./scratch", docker), Ok(()));
        assert!(!dir.path().join("log").exists());
        let stray = check("dev.gofer.backend.scratch", docker).unwrap_err().to_string();
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        let entry: Value = serde_json::from_str(&log).unwrap();
        assert_eq!((&entry["level"], &entry["msg"]), (&json!("error"), &json!(stray)));
        for line in ["run -bundle=DIR c", "-debug run --bundle DIR c", "restore --image-path=/i --bundle=DIR c"] {
            assert!(check("dev.gofer.backend./scrach", line).is_err(), "{line}");
        }
        for line in ["exec --bundle DIR c run", "list", "run --bundle DIR/missing c", "create"] {
            assert_eq!(check("dev.gofer.backend./scrach", line), Ok(()), "{line}");
        }
    }
}
