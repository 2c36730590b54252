//! Choosing a mount's backend in the container's spec.

use std::collections::{BTreeMap, HashMap};

use oci_spec::runtime::Spec;

use super::MountRequest;

/// Annotations `dev.gofer.backend.DESTINATION` say which backend serves the mount at `DESTINATION`, which is written as
/// in the spec's list of mounts (`/` for the root file system): `"dev.gofer.backend./cache": "mem:size=1g"`.
///
/// Kubernetes does not allow such keys. There a name stands for the destination, and another annotation says which it
/// is: see [`DESTINATION_ANNOTATION`].
pub const BACKEND_ANNOTATION: &str = "dev.gofer.backend.";

/// Annotations `dev.gofer.destination.NAME` say for which destination `dev.gofer.backend.NAME` is. If there are several
/// for one destination, the first name in the alphabet counts that has a backend.
pub const DESTINATION_ANNOTATION: &str = "dev.gofer.destination.";

/// What the annotation about the requested mount says.
pub fn backend_annotation<'a>(request: &MountRequest<'a>) -> Option<&'a str> {
    let destination = match request.mount {
        Some(mount) => mount.destination().to_str()?,
        None => "/",
    };
    find(request.container.spec.annotations().as_ref()?, destination)
}

/// The backends that annotations want for the root file system and for mounts, one for each of those.
pub(crate) fn backends_of(spec: &Spec) -> impl Iterator<Item = &str> {
    let mounts = spec.mounts().iter().flatten().filter_map(|mount| mount.destination().to_str());
    let all = spec.annotations().as_ref().map(|annotations| wanted(annotations, mounts));
    all.into_iter().flatten().map(|(_, backend)| backend)
}

/// The same with the destinations: those among `/` and `mounts` for which `annotations` want a backend.
pub(crate) fn wanted<'a>(
    annotations: &'a HashMap<String, String>,
    mounts: impl Iterator<Item = &'a str>,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let all = std::iter::once("/").chain(mounts);
    all.filter_map(move |destination| Some((destination, find(annotations, destination)?)))
}

/// Kinds of a container for containerd and CRI-O. A pod's annotations are those of all its containers.
const POD_ANNOTATIONS: [&str; 2] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];

/// An annotation that would be for nothing. People see its text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Stray {
    /// The mount that it is for is not there.
    #[error("annotation {BACKEND_ANNOTATION}{name}: the container has no mount at {destination:?}")]
    NoMount {
        /// What stands behind the prefix.
        name: String,
        /// Where a mount should be.
        destination: String,
    },
    /// The mount that it is for never comes to a gofer.
    #[error(
        "annotation {BACKEND_ANNOTATION}{name}: the sandbox has a file system of its own at {destination:?}, as it has \
         for a tmpfs, and for an emptyDir with mount hints; only bind mounts have a backend"
    )]
    NotServed {
        /// What stands behind the prefix.
        name: String,
        /// Where the mount is.
        destination: String,
    },
    /// It does not say for which mount it is.
    #[error(
        "annotation {BACKEND_ANNOTATION}{0}: it does not say for which mount it is; write {BACKEND_ANNOTATION}/DESTINATION, or add \
         {DESTINATION_ANNOTATION}{0} with /DESTINATION for its value"
    )]
    NoDestination(String),
}

impl Stray {
    /// Whether it may be meant for another container of the pod.
    pub(crate) fn is_for_another(&self, annotations: &BTreeMap<String, String>) -> bool {
        matches!(self, Stray::NoMount { .. }) && POD_ANNOTATIONS.iter().any(|key| annotations.contains_key(*key))
    }
}

/// The `dev.gofer.backend.` annotations that are about none of `mounts`: destinations, that of the root file system
/// too, and whether a gofer serves what is there.
pub(crate) fn strays<'a>(
    annotations: &'a BTreeMap<String, String>,
    mounts: impl Iterator<Item = (&'a str, bool)>,
) -> impl Iterator<Item = Stray> + 'a {
    // Of several at one place, the last one is seen.
    let served: BTreeMap<&str, bool> = mounts.map(|(destination, is)| (without_slash(destination), is)).collect();
    let names = annotations.keys().filter_map(|key| key.strip_prefix(BACKEND_ANNOTATION));
    names.filter_map(move |name| {
        let destination = match annotations.get(&format!("{DESTINATION_ANNOTATION}{name}")) {
            Some(destination) => destination.as_str(),
            None if name.starts_with('/') => name,
            None => return Some(Stray::NoDestination(name.to_owned())),
        };
        let (name, is_absolute) = (name.to_owned(), destination.starts_with('/'));
        match served.get(without_slash(destination)).filter(|_| is_absolute) {
            Some(true) => None,
            Some(false) => Some(Stray::NotServed { name, destination: destination.to_owned() }),
            None => Some(Stray::NoMount { name, destination: destination.to_owned() }),
        }
    })
}

/// A destination may be written with a slash behind it.
fn without_slash(destination: &str) -> &str {
    destination.trim_end_matches('/')
}

fn find<'a>(annotations: &'a HashMap<String, String>, destination: &str) -> Option<&'a str> {
    let destination = without_slash(destination);
    let backend = |suffix: &str| annotations.get(&format!("{BACKEND_ANNOTATION}{suffix}")).map(String::as_str);
    let keys = annotations.iter().filter(|(_, value)| without_slash(value) == destination).map(|(key, _)| key);
    let names = keys.filter_map(|key| key.strip_prefix(DESTINATION_ANNOTATION));
    let named = || names.filter_map(|name| Some((name, backend(name)?))).min().map(|(_, backend)| backend);
    let itself = if destination.is_empty() { None } else { backend(destination) };
    itself.or_else(|| backend(&format!("{destination}/"))).or_else(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(pairs: &[(&str, &str)]) -> HashMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn a_name_can_stand_for_the_destination() {
        let named = annotations(&[
            ("dev.gofer.destination.scratch", "/var/scratch"),
            ("dev.gofer.backend.scratch", "mem:size=1g"),
            ("dev.gofer.destination.unfinished", "/var/scratch"),
            ("dev.gofer.destination.another", "/var/scratch"),
            ("dev.gofer.backend.without-a-place", "mem:"),
        ]);
        assert_eq!(find(&named, "/var/scratch"), Some("mem:size=1g"));
        assert_eq!(find(&named, "/var"), None);
    }

    #[test]
    fn the_destination_itself_comes_first() {
        let both = annotations(&[
            ("dev.gofer.backend./cache", "mem:"),
            ("dev.gofer.destination.x", "/cache"),
            ("dev.gofer.backend.x", "readonly:mem:"),
        ]);
        assert_eq!(find(&both, "/cache"), Some("mem:"));
    }

    #[test]
    fn a_slash_at_the_end_does_not_matter() {
        let some = annotations(&[
            ("dev.gofer.backend./cache", "mem:"),
            ("dev.gofer.backend./slash/", "mem:size=1m"),
            ("dev.gofer.destination.x", "/named/"),
            ("dev.gofer.backend.x", "readonly:mem:"),
            ("dev.gofer.backend./", "mem:size=2m"),
        ]);
        for (destination, backend) in [
            ("/cache/", Some("mem:")),
            ("/slash", Some("mem:size=1m")),
            ("/slash/", Some("mem:size=1m")),
            ("/named", Some("readonly:mem:")),
            ("/", Some("mem:size=2m")),
            ("/other", None),
        ] {
            assert_eq!(find(&some, destination), backend, "{destination}");
        }
    }

    #[test]
    fn strays_are_found() {
        let pairs = [
            ("/", None, None),
            ("/cache", None, None),
            ("/cahce", None, Some("no mount at \"/cahce\"")),
            ("//cache", None, Some("no mount at \"//cache\"")),
            ("/Cache", None, Some("no mount at")),
            ("named", Some("/cache"), None),
            ("elsewhere", Some("/other"), Some("no mount at \"/other\"")),
            ("relative", Some("cache"), Some("no mount at \"cache\"")),
            ("empty", Some(""), Some("no mount at \"\"")),
            ("cache", None, Some("it does not say for which mount it is")),
            ("", None, Some("it does not say for which mount it is")),
            ("/tmp", None, Some("the sandbox has a file system of its own at \"/tmp\"")),
            ("temporary", Some("/tmp/"), Some("the sandbox has a file system of its own at \"/tmp/\"")),
            ("/twice", None, None),
        ];
        for (name, destination, message) in pairs {
            let mut annotations = BTreeMap::from([(format!("{BACKEND_ANNOTATION}{name}"), "mem:".to_owned())]);
            if let Some(destination) = destination {
                annotations.insert(format!("{DESTINATION_ANNOTATION}{name}"), destination.to_owned());
            }
            let mounts = [("/", true), ("/cache/", true), ("/tmp", false), ("/twice", false), ("/twice", true)];
            let found: Vec<String> = strays(&annotations, mounts.into_iter()).map(|stray| stray.to_string()).collect();
            assert_eq!(found.len(), usize::from(message.is_some()), "{name:?}: {found:?}");
            assert!(found.iter().all(|text| text.contains(message.unwrap())), "{name:?}: {found:?}");
        }
    }

    #[test]
    fn a_pod_has_mounts_in_some_of_its_containers() {
        let stray = Stray::NoMount { name: "x".into(), destination: "/cache".into() };
        let mut annotations = BTreeMap::new();
        assert!(!stray.is_for_another(&annotations));
        annotations.insert("io.kubernetes.cri.container-type".to_owned(), "sandbox".to_owned());
        assert!(stray.is_for_another(&annotations));
        assert!(!Stray::NoDestination("x".into()).is_for_another(&annotations));
        let own = Stray::NotServed { name: "x".into(), destination: "/cache".into() };
        assert!(!own.is_for_another(&annotations));
    }
}
