//! Mount hints: annotations by which the author of a pod says more about a mount than the OCI runtime spec can.
//!
//! All that matters to this process is for which mounts they turn directfs off. But a hint counts only if it is
//! complete and valid, and a bad one is reported here as it is by runsc.

mod shared;
#[cfg(test)]
mod tests;

pub(crate) use shared::is_shared_in_pod;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

/// What the keys about mounts begin with. The mount's name in the pod and the field's name follow.
const MOUNT_PREFIX: &str = "dev.gvisor.spec.mount.";

/// What the keys about the root file system begin with. The field's name follows.
const ROOTFS_PREFIX: &str = "dev.gvisor.spec.rootfs.";

/// Where Kubernetes has the directories of its pods.
const PODS: &str = "/var/lib/kubelet/pods";

/// Annotations that the container must not be started with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HintError(String);

/// The mounts for which directfs is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    rootfs_is_off: bool,
    /// The name of each complete hint, and whether it says off, by the source that it is about.
    mounts: BTreeMap<String, (String, bool)>,
    /// The names of hints that say off and lack nothing but a source.
    volumes: BTreeSet<String>,
}

/// The valid fields of a hint.
type Fields<'a> = BTreeMap<&'a str, &'a str>;

impl Hints {
    /// Finds the hints in `annotations`, and what in them is ignored, in words.
    ///
    /// About mounts, bad and unknown fields are ignored one by one, and incomplete hints as a whole; malformed keys and
    /// two complete hints with the same source are errors. The hint about the root file system has to be right in all.
    pub fn parse<'a>(
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, Vec<String>), HintError> {
        let mut warnings = Vec::new();
        let (mut rootfs, mut mounts) = (Fields::new(), BTreeMap::<&str, Fields<'_>>::new());
        // In the order of their keys, so that the same input always gives the same words.
        for (key, value) in annotations.into_iter().collect::<BTreeMap<_, _>>() {
            if let Some(field) = key.strip_prefix(ROOTFS_PREFIX) {
                check_rootfs(field, value).map_err(|wrong| HintError(format!("annotation {key}: {wrong}")))?;
                rootfs.insert(field, value);
            } else if key.starts_with(MOUNT_PREFIX) {
                let expected = "with a NAME that is not empty and has no dot";
                let error = || HintError(format!("annotation {key}: expected {MOUNT_PREFIX}NAME.FIELD, {expected}"));
                let (name, field) = split(key).ok_or_else(error)?;
                let fields = mounts.entry(name).or_default();
                match check_mount(field, value) {
                    Ok(()) => drop(fields.insert(field, value)),
                    Err(wrong) => warnings.push(format!("annotation {key} is ignored: {wrong}")),
                }
                if field == "options" {
                    let spread = value.split(',').filter(|option| matches!(*option, "shared" | "rshared"));
                    let ignored =
                        |option| format!("the option {option:?} is ignored because it would let mounts propagate");
                    warnings.extend(spread.map(|option| format!("annotation {key}: {}", ignored(option))));
                }
            }
        }
        let mut hints = Hints::default();
        for (name, fields) in mounts {
            hints.add(name, &fields, &mut warnings)?;
        }
        if let (false, Some(field)) = (rootfs.is_empty(), missing(&rootfs, &["source", "type"])) {
            let needs = "a hint about the root file system needs source and type";
            return Err(HintError(format!("annotation {ROOTFS_PREFIX}{field} is missing: {needs}")));
        }
        hints.rootfs_is_off = is_off(&rootfs);
        Ok((hints, warnings))
    }

    fn add(&mut self, name: &str, fields: &Fields<'_>, warnings: &mut Vec<String>) -> Result<(), HintError> {
        if let Some(field) = missing(fields, &["source", "type", "share"]) {
            if is_off(fields) && missing(fields, &["type", "share"]).is_none() {
                self.volumes.insert(name.to_owned());
            }
            warnings.push(format!("the mount hint {name} is ignored: {field} is missing or not valid"));
            return Ok(());
        }
        let source = fields["source"];
        match self.mounts.insert(source.to_owned(), (name.to_owned(), is_off(fields))) {
            Some((first, _)) => {
                Err(HintError(format!("the mount hints {first} and {name} have the same source {source}")))
            }
            None => Ok(()),
        }
    }

    /// Takes out what only a runsc of May 2026 or later goes by: which mounts have directfs off. Answers whether there
    /// were any.
    ///
    /// The others ignore that field, and use directfs whatever it says.
    pub fn forget_mounts(&mut self) -> bool {
        let mounts = std::mem::take(&mut self.mounts);
        let volumes = std::mem::take(&mut self.volumes);
        !volumes.is_empty() || mounts.values().any(|(_, is_off)| *is_off)
    }

    /// Whether the root file system is to be served without directfs.
    pub fn rootfs_is_off(&self) -> bool {
        self.rootfs_is_off
    }

    /// Whether mounts of `source` are to be served without directfs: it must be the very text that a hint has.
    ///
    /// containerd's shim of gVisor adds the source to the hints of a pod's first container only, which is where the
    /// sandbox has its own from. In other containers, the hint is known by the name of its volume in Kubernetes.
    pub fn is_off(&self, source: &str) -> bool {
        self.mounts.get(source).is_some_and(|(_, is_off)| *is_off)
            || volume(Path::new(source)).is_some_and(|name| self.volumes.contains(name))
    }
}

/// Whether some client works through LisaFS alone, and the seccomp filter must allow what that takes.
///
/// `extension_without_fd` says that an extension serves a mount for which it has no descriptor to donate.
///
/// This looks at the annotations, not at hints: the sandbox goes by those of the pod's first container, and the spec of
/// a later container may have the same hint without its source, which makes it incomplete there. Whoever says `off`
/// anywhere is going to be a client without directfs, so a filter without these calls would kill the process.
pub fn lisafs_needed<'a>(
    global: bool,
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    extension_without_fd: bool,
) -> bool {
    let field = |key: &'a str| key.strip_prefix(ROOTFS_PREFIX).or_else(|| Some(split(key)?.1));
    let mut annotations = annotations.into_iter();
    !global || extension_without_fd || annotations.any(|(key, value)| field(key) == Some("directfs") && value == "off")
}

/// The name of the mount and the name of the field in a key about mounts.
fn split(key: &str) -> Option<(&str, &str)> {
    let (name, field) = key.strip_prefix(MOUNT_PREFIX)?.split_once('.')?;
    (!name.is_empty() && !field.contains('.')).then_some((name, field))
}

fn missing<'a>(fields: &Fields<'_>, needed: &[&'a str]) -> Option<&'a str> {
    needed.iter().find(|field| !fields.contains_key(*field)).copied()
}

fn is_off(fields: &Fields<'_>) -> bool {
    fields.get("directfs") == Some(&"off")
}

/// Says what is wrong with a field about a mount.
fn check_mount(field: &str, value: &str) -> Result<(), String> {
    match field {
        "source" => expect("a path", value, !value.is_empty()),
        "type" => expect("tmpfs or bind", value, matches!(value, "tmpfs" | "bind")),
        "share" => expect("container, pod or shared", value, matches!(value, "container" | "pod" | "shared")),
        "options" => Ok(()),
        "directfs" => expect("default or off", value, matches!(value, "default" | "off")),
        _ => Err("no such field".to_owned()),
    }
}

/// Says what is wrong with a field about the root file system.
fn check_rootfs(field: &str, value: &str) -> Result<(), String> {
    let is_size = |option: &str| option.is_empty() || option.strip_prefix("size=").is_some_and(|size| !size.is_empty());
    let is_overlay = matches!(value, "" | "memory" | "self") || value.starts_with("dir=/");
    match field {
        "source" => expect("an absolute path", value, value.starts_with('/')),
        "type" => expect("erofs or bind", value, matches!(value, "erofs" | "bind")),
        "overlay" => expect("nothing, memory, self, or dir= and an absolute path", value, is_overlay),
        "options" => expect("size= and a size", value, value.split(',').all(is_size)),
        "directfs" => expect("default or off", value, matches!(value, "default" | "off")),
        _ => Err("no such field".to_owned()),
    }
}

fn expect(expected: &str, value: &str, is_valid: bool) -> Result<(), String> {
    if is_valid { Ok(()) } else { Err(format!("expected {expected}, found {value:?}")) }
}

/// The name of a pod's volume: that of its directory, where Kubernetes puts it.
fn volume(source: &Path) -> Option<&str> {
    let below = source.strip_prefix(PODS).ok()?;
    let name = |part| if let Component::Normal(name) = part { name.to_str() } else { None };
    match below.components().map(name).collect::<Option<Vec<_>>>()?[..] {
        [_pod, "volumes", _plugin, name] => Some(name),
        _ => None,
    }
}
