//! What a spec must say and must not say.

use super::document::{Document, Linux, Process};
use super::{SpecError, has_option, is_bind};

/// The kind of a container for containerd, and for CRI-O.
const CONTAINER_TYPES: [&str; 2] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];
/// The sandbox that a container belongs to.
const SANDBOX_IDS: [&str; 2] = ["io.kubernetes.cri.sandbox-id", "io.kubernetes.cri-o.SandboxID"];
/// An archive with the upper layer of the root file system.
const ARCHIVE: &str = "dev.gvisor.tar.rootfs.upper";

pub(super) fn check(document: &Document, allow_archive: bool) -> Result<(), SpecError> {
    process(document.process.as_ref().ok_or(SpecError::Missing("process"))?)?;
    let root = document.root.as_ref().ok_or(SpecError::Missing("root"))?;
    if root.path.as_ref().is_none_or(|path| path.as_os_str().is_empty()) {
        return Err(SpecError::Missing("root.path"));
    }
    if document.solaris.is_some() {
        return Err(SpecError::Unsupported("solaris"));
    }
    if document.windows.is_some() {
        return Err(SpecError::Unsupported("windows"));
    }
    document.linux.as_ref().map_or(Ok(()), propagation)?;
    mounts(document)?;
    archive(document, allow_archive)?;
    container_type(document)
}

fn process(process: &Process) -> Result<(), SpecError> {
    if process.args.as_ref().is_none_or(Vec::is_empty) {
        return Err(SpecError::Missing("process.args"));
    }
    if process.selinux_label.as_ref().is_some_and(|label| !label.is_empty()) {
        return Err(SpecError::Unsupported("process.selinuxLabel"));
    }
    if let Some(profile) = process.apparmor_profile.as_ref().filter(|profile| !profile.is_empty()) {
        tracing::warn!("AppArmor profile {profile:?} is being ignored");
    }
    Ok(())
}

fn propagation(linux: &Linux) -> Result<(), SpecError> {
    match linux.rootfs_propagation.as_deref() {
        None | Some("" | "private" | "rprivate" | "slave" | "rslave") => Ok(()),
        Some(other) => Err(SpecError::Propagation(other.to_owned())),
    }
}

fn mounts(document: &Document) -> Result<(), SpecError> {
    for mount in document.mounts.iter().flatten() {
        if !mount.destination().is_absolute() {
            return Err(SpecError::Destination(mount.destination().clone()));
        }
        let shares = |option: &&str| is_bind(mount) && has_option(mount, option);
        if let Some(option) = ["shared", "rshared"].into_iter().find(shares) {
            return Err(SpecError::SharedMount(mount.destination().display().to_string(), option.to_owned()));
        }
    }
    Ok(())
}

fn archive(document: &Document, allowed: bool) -> Result<(), SpecError> {
    let Some(annotations) = &document.annotations else { return Ok(()) };
    let is_archive = |key: &str| key.strip_prefix(ARCHIVE).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if !annotations.iter().any(|(key, value)| is_archive(key) && !value.is_empty()) {
        return Ok(());
    }
    if !allowed {
        return Err(SpecError::Archive(ARCHIVE, "--allow-rootfs-tar-annotation is not set"));
    }
    if document.root.as_ref().is_some_and(|root| root.readonly == Some(true)) {
        return Err(SpecError::Archive(ARCHIVE, "it is read-only"));
    }
    Ok(())
}

fn container_type(document: &Document) -> Result<(), SpecError> {
    let Some(annotations) = &document.annotations else { return Ok(()) };
    let find = |keys: [&'static str; 2]| keys.into_iter().find_map(|key| Some((key, annotations.get(key)?)));
    match find(CONTAINER_TYPES) {
        None => Ok(()),
        Some((_, value)) if value == "sandbox" => Ok(()),
        Some((_, value)) if value == "container" => find(SANDBOX_IDS).map(drop).ok_or(SpecError::NoSandbox),
        Some((key, value)) => Err(SpecError::ContainerType { key, value: value.clone() }),
    }
}
