//! Choosing a mount's backend in the container's spec.

use super::MountRequest;

/// Annotations `dev.gofer.backend.DESTINATION` say which backend serves the mount at `DESTINATION`, which is written as in the
/// spec's list of mounts (`/` for the root file system): `"dev.gofer.backend./cache": "mem:size=1g"`.
pub const BACKEND_ANNOTATION: &str = "dev.gofer.backend.";

/// What the annotation about the requested mount says.
pub fn backend_annotation<'a>(request: &MountRequest<'a>) -> Option<&'a str> {
    let destination = match request.mount {
        Some(mount) => mount.destination().to_str()?,
        None => "/",
    };
    let annotations = request.spec.annotations().as_ref()?;
    annotations.get(&format!("{BACKEND_ANNOTATION}{destination}")).map(String::as_str)
}
