//! From a file to a container.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Mount;

use super::document::Document;
use super::json::Json;
use super::{Container, LARGEST, SpecError, go, text, validate};

impl Container {
    /// Reads and checks the spec in `file`. Relative paths in it begin at `bundle`.
    pub(in crate::runsc) fn read(mut file: File, bundle: &Path, allow_archive: bool) -> Result<Self, SpecError> {
        file.rewind()?;
        let mut text = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut text)?;
        if text.len() as u64 > LARGEST {
            return Err(SpecError::TooLarge);
        }
        Self::parse(&text, bundle, allow_archive)
    }

    pub(in crate::runsc) fn parse(text: &[u8], bundle: &Path, allow_archive: bool) -> Result<Self, SpecError> {
        let mut document: Json = serde_json::from_slice(&text::repaired(text))?;
        let parsed: Document = go::read(&mut document)?;
        validate::check(&parsed, allow_archive)?;
        let process = parsed.process.ok_or(SpecError::Missing("process"))?;
        let root = parsed.root.ok_or(SpecError::Missing("root"))?;
        let hooks = parsed.hooks.unwrap_or_default();
        let (devices, root_propagation) =
            parsed.linux.map(|linux| (linux.devices, linux.rootfs_propagation)).unwrap_or_default();
        let mounts = parsed.mounts.unwrap_or_default();
        Ok(Container {
            root: absolute(bundle, &root.path.ok_or(SpecError::Missing("root.path"))?),
            root_read_only: root.readonly.unwrap_or(false),
            root_propagation: root_propagation.filter(|propagation| !propagation.is_empty()),
            mounts: mounts.into_iter().map(|mount| with_absolute_source(mount, bundle)).collect(),
            cwd: process.cwd.unwrap_or_default(),
            environment: process.env.unwrap_or_default(),
            devices: devices.unwrap_or_default(),
            create_container: hooks.create_container.unwrap_or_default(),
            prestart: hooks.prestart.unwrap_or_default(),
            annotations: parsed.annotations.unwrap_or_default(),
            document,
        })
    }
}

fn with_absolute_source(mut mount: Mount, bundle: &Path) -> Mount {
    let source = mount.source().as_ref().filter(|source| !source.as_os_str().is_empty());
    if let Some(source) = source {
        let source = absolute(bundle, source);
        mount.set_source(Some(source));
    }
    mount
}

/// `path` as it is if it is absolute; else below `bundle`, and cleaned. The sandbox compares these paths as texts, so
/// they must be made in the same way everywhere.
fn absolute(bundle: &Path, path: &Path) -> PathBuf {
    if path.is_absolute() {
        return path.to_path_buf();
    }
    let mut clean = PathBuf::new();
    for component in bundle.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(clean.components().next_back(), Some(Component::Normal(_))) => {
                clean.pop();
            }
            Component::ParentDir if clean.has_root() => {}
            other => clean.push(other),
        }
    }
    clean
}
