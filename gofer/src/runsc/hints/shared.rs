//! Mounts that several containers of a pod are to share.

use std::path::Path;

use super::{MOUNT_PREFIX, split, volume};

/// Kinds of a container for containerd and CRI-O. Only containers of pods have one.
const POD: [&str; 2] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];
/// What an emptyDir's annotation begins and ends with that keeps it outside of the sandbox.
const FORCE_SHARED: (&str, &str) = ("dev.gvisor.empty-dir.", ".force-shared");

/// Whether `annotations`, those of a container in a pod, say that others have the mount of `source` too.
///
/// A hint is about the mount if it has its source, or the name of the volume that is there: gVisor's shim adds the
/// source in the pod's first container only.
pub(crate) fn is_shared_in_pod(annotations: &[(&str, &str)], source: &Path) -> bool {
    let find = |key: &str| annotations.iter().find(|(other, _)| *other == key).map(|(_, value)| *value);
    if !POD.iter().any(|key| find(key).is_some()) {
        return false;
    }
    let volume = volume(source);
    let is_about = |name: &str| {
        let given = find(&format!("{MOUNT_PREFIX}{name}.source"));
        given.map_or(volume == Some(name), |given| Path::new(given) == source)
    };
    annotations.iter().any(|(key, value)| match split(key) {
        Some((name, "share")) => matches!(*value, "pod" | "shared") && is_about(name),
        Some(_) => false,
        None => {
            let (prefix, suffix) = FORCE_SHARED;
            let name = key.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix));
            *value == "true" && name.is_some() && name == volume
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: (&str, &str) = ("io.kubernetes.cri.container-type", "container");

    #[test]
    fn hints_say_who_has_a_mount() {
        let empty_dir = "/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/scratch";
        let source = ("dev.gvisor.spec.mount.m.source", "/data");
        for (annotations, path, expected) in [
            (&[KIND, source, ("dev.gvisor.spec.mount.m.share", "shared")][..], "/data", true),
            (&[KIND, source, ("dev.gvisor.spec.mount.m.share", "pod")], "/data", true),
            (&[KIND, source, ("dev.gvisor.spec.mount.m.share", "container")], "/data", false),
            (&[KIND, source, ("dev.gvisor.spec.mount.m.share", "shared")], "/other", false),
            (&[source, ("dev.gvisor.spec.mount.m.share", "shared")], "/data", false),
            (&[KIND, ("dev.gvisor.spec.mount.scratch.share", "shared")], empty_dir, true),
            (&[KIND, ("dev.gvisor.spec.mount.other.share", "shared")], empty_dir, false),
            (&[KIND, ("dev.gvisor.empty-dir.scratch.force-shared", "true")], empty_dir, true),
            (&[KIND, ("dev.gvisor.empty-dir.scratch.force-shared", "false")], empty_dir, false),
            (&[KIND, ("dev.gvisor.empty-dir.other.force-shared", "true")], empty_dir, false),
            (&[KIND, ("dev.gvisor.empty-dir.scratch.force-shared", "true")], "/data", false),
        ] {
            assert_eq!(is_shared_in_pod(annotations, Path::new(path)), expected, "{annotations:?} {path}");
        }
    }
}
