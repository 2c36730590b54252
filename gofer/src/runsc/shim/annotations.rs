//! Refusing a container whose annotations are for nothing or name no backend, where whoever starts it is told why.
//!
//! Its gofer refuses it too, but what runsc then says is that a mount has failed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jiff::Timestamp;

use crate::extension::{Extension, OpenError, Registry, RegistryError, Stray, strays, wanted};
use crate::runsc::hints::is_shared_in_pod;
use crate::runsc::spec::{Container, is_bind};

/// What is wrong with annotations. One line for a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotationError {
    /// One that is for nothing.
    #[error("{0}")]
    Stray(#[from] Stray),
    /// One that names no backend.
    #[error("the mount at {destination:?}: {source}")]
    Backend {
        /// Where the backend is wanted.
        destination: String,
        /// Why there is none.
        source: OpenError,
    },
    /// It is the program that is wrong.
    #[error("{0}")]
    Registry(#[from] RegistryError),
}

/// Commands of runsc that start a container from a bundle.
const STARTING: [&str; 3] = ["create", "run", "restore"];
/// Commands after which such a word can be somebody else's.
const OTHERS: [&str; 2] = ["exec", "do"];

/// Looks at the bundle of the container that `arguments` start, if they start one. If it cannot be read, runsc says so.
pub(super) fn check(arguments: &[OsString], extensions: Vec<Box<dyn Extension>>) -> Result<(), AnnotationError> {
    let is = |words: &[&str], word: &OsString| words.iter().any(|known| word == known);
    let at = arguments.iter().position(|word| is(&STARTING, word) || is(&OTHERS, word));
    let Some((globals, command)) = at.map(|at| arguments.split_at(at)) else { return Ok(()) };
    if is(&OTHERS, &command[0]) {
        return Ok(());
    }
    let bundle = Path::new(value(command, "bundle").unwrap_or(OsStr::new(".")));
    let Ok(text) = fs::read(bundle.join("config.json")) else { return Ok(()) };
    if !may_have_annotations(&text) {
        return Ok(());
    }
    let Ok(container) = Container::parse(&text, bundle, true) else { return Ok(()) };
    let checked = look(&container, extensions);
    if let (Err(error), Some(log)) = (&checked, value(globals, "log")) {
        tell(Path::new(log), error);
    }
    checked
}

/// Whether an annotation of ours can be in a spec: most containers have none, and start a little faster.
fn may_have_annotations(text: &[u8]) -> bool {
    // Escaped, it could be any letter.
    let is_there = |part: &[u8]| text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    is_there(b"dev.gofer.") || is_there(b"\\u")
}

fn look(container: &Container, extensions: Vec<Box<dyn Extension>>) -> Result<(), AnnotationError> {
    let annotations = &container.annotations;
    let destinations = || container.mounts.iter().filter_map(|mount| mount.destination().to_str());
    let mounts = container.mounts.iter().filter_map(|mount| Some((mount.destination().to_str()?, is_bind(mount))));
    let mounts = std::iter::once(("/", true)).chain(mounts);
    if let Some(stray) = strays(annotations, mounts).find(|stray| !stray.is_for_another(annotations)) {
        return Err(stray.into());
    }
    let pairs: Vec<(&str, &str)> = container.annotations().collect();
    let map = annotations.clone().into_iter().collect();
    let registry = Registry::new(extensions)?;
    for (destination, backend) in wanted(&map, destinations()) {
        let mount = container.mounts.iter().rfind(|mount| mount.destination().to_str() == Some(destination));
        let source = mount.and_then(|mount| mount.source().as_deref());
        let is_shared = source.is_some_and(|source| is_shared_in_pod(&pairs, source));
        let failed = |source| AnnotationError::Backend { destination: destination.to_owned(), source };
        registry.check(backend, is_shared).map_err(failed)?;
    }
    Ok(())
}

/// Writes into runsc's log, where containerd looks for the last error.
fn tell(log: &Path, error: &AnnotationError) {
    let line = serde_json::json!({"msg": error.to_string(), "level": "error", "time": Timestamp::now().to_string()});
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
            super::check(&words, crate::extensions::shipped()).map_err(|error| error.to_string())
        };
        let docker = "--root /r --log DIR/log --log-format json create --bundle DIR --pid-file DIR/pid c";
        assert_eq!(check("dev.gofer.backend./scratch", docker), Ok(()));
        assert!(!dir.path().join("log").exists());
        let stray = check("dev.gofer.backend.scratch", docker).unwrap_err();
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

    #[test]
    fn mounts_of_the_sandbox_have_no_backend() {
        let refused = |mount: Value| {
            let spec = json!({
                "process": {"args": ["sh"]},
                "root": {"path": "r"},
                "mounts": [mount],
                "annotations": {"dev.gofer.backend./data": "mem:"},
            });
            let container = Container::parse(spec.to_string().as_bytes(), Path::new("/"), false).unwrap();
            look(&container, crate::extensions::shipped()).map_err(|error| error.to_string())
        };
        for kind in ["tmpfs", "proc", "erofs"] {
            let error = refused(json!({"destination": "/data", "type": kind, "source": "/s"})).unwrap_err();
            assert!(error.contains("the sandbox has a file system of its own at \"/data\""), "{kind}: {error}");
        }
        // Docker writes volumes like that.
        assert_eq!(refused(json!({"destination": "/data", "source": "/s", "options": ["rbind"]})), Ok(()));
    }

    #[test]
    fn backends_that_cannot_be_are_refused() {
        let refused = |backend: &str, more: Value| {
            let mut spec = json!({
                "process": {"args": ["sh"]},
                "root": {"path": "r"},
                "mounts": [{"destination": "/data", "type": "bind", "source": "/s"}],
                "annotations": {"dev.gofer.backend./data": backend},
            });
            let annotations = spec["annotations"].as_object_mut().unwrap();
            annotations.extend(more.as_object().unwrap().clone());
            let container = Container::parse(spec.to_string().as_bytes(), Path::new("/"), false).unwrap();
            look(&container, crate::extensions::shipped()).map_err(|error| error.to_string())
        };
        for backend in ["mem:size=1g", "host:/etc", "/etc", "stats:readonly:host:/etc"] {
            assert_eq!(refused(backend, json!({})), Ok(()), "{backend}");
        }
        for (backend, message) in [
            ("mam:", "the mount at \"/data\": unknown backend \"mam\""),
            ("mem", "the mount at \"/data\": cannot serve \"mem\": in a container, write it from the root"),
            ("mem:size=1x", "the mount at \"/data\": mem: size=1x: not a size"),
            ("readonly:", "readonly: no BACKEND after the colon"),
            ("readonly:stats:mem:x", "unknown option \"x\""),
            ("volume:of-nobody", "no volume \"of-nobody\" in"),
        ] {
            let error = refused(backend, json!({})).unwrap_err();
            assert!(error.contains(message), "{backend}: {error}");
        }
        let pod = json!({
            "io.kubernetes.cri.container-type": "sandbox",
            "dev.gvisor.spec.mount.data.source": "/s",
            "dev.gvisor.spec.mount.data.type": "bind",
            "dev.gvisor.spec.mount.data.share": "shared",
        });
        assert!(refused("stats:mem:", pod.clone()).unwrap_err().contains("share this mount among the containers"));
        assert_eq!(refused("mem:private", pod), Ok(()));
    }
}
