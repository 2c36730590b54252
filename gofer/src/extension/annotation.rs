//! Choosing a mount's backend in the container's spec.

use std::collections::HashMap;

use oci_spec::runtime::Spec;

use super::MountRequest;

/// Annotations `dev.gofer.backend.DESTINATION` say which backend serves the mount at `DESTINATION`, which is written as in the
/// spec's list of mounts (`/` for the root file system): `"dev.gofer.backend./cache": "mem:size=1g"`.
///
/// Kubernetes does not allow such keys. There a name stands for the destination, and another annotation says which it is:
/// see [`DESTINATION_ANNOTATION`].
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
    let annotations = spec.annotations().as_ref();
    std::iter::once("/").chain(mounts).filter_map(move |destination| find(annotations?, destination))
}

/// Destinations of mounts that `dev.gofer.backend.` annotations name although there is no such mount.
pub(crate) fn without_a_mount(spec: &Spec) -> impl Iterator<Item = &str> {
    let mounts = spec.mounts().iter().flatten();
    let known: Vec<&str> = mounts.filter_map(|mount| mount.destination().to_str()).map(without_slash).collect();
    let names = spec.annotations().iter().flat_map(HashMap::keys);
    let places = names.filter_map(|key| key.strip_prefix(BACKEND_ANNOTATION)).filter(|place| place.starts_with('/'));
    places.filter(move |place| *place != "/" && !known.contains(&without_slash(place)))
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
    fn places_without_a_mount_are_told() {
        let spec = serde_json::json!({
            "ociVersion": "1.0.0",
            "mounts": [{ "destination": "/cache/" }],
            "annotations": {
                "dev.gofer.backend./": "mem:", "dev.gofer.backend./cache": "mem:", "dev.gofer.backend./cahce": "mem:",
                "dev.gofer.backend.name": "mem:",
            },
        });
        let spec: Spec = serde_json::from_value(spec).unwrap();
        assert_eq!(without_a_mount(&spec).collect::<Vec<_>>(), ["/cahce"]);
    }
}
