//! Choosing a mount's backend in the container's spec.

use std::collections::HashMap;

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
    find(request.spec.annotations().as_ref()?, destination)
}

fn find<'a>(annotations: &'a HashMap<String, String>, destination: &str) -> Option<&'a str> {
    let backend = |suffix: &str| annotations.get(&format!("{BACKEND_ANNOTATION}{suffix}")).map(String::as_str);
    let keys = annotations.iter().filter(|(_, value)| *value == destination).map(|(key, _)| key);
    let names = keys.filter_map(|key| key.strip_prefix(DESTINATION_ANNOTATION));
    let named = || names.filter_map(|name| Some((name, backend(name)?))).min().map(|(_, backend)| backend);
    backend(destination).or_else(named)
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
}
