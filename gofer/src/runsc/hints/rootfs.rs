//! The hint about the root file system.

use std::collections::BTreeMap;

use super::{Directfs, HintError, ROOTFS_PREFIX};

/// What annotations say about the root file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootfsHint {
    /// Where it is on the host, an absolute path.
    pub source: String,
    /// How the sandbox mounts it.
    pub rootfs_type: RootfsType,
    /// Where changes go; nothing if the annotations leave that to runsc.
    pub overlay: Option<Overlay>,
    /// Options of the overlay, each `size=` and a size.
    pub options: Vec<String>,
    /// Whether the sandbox may work on the host's files by itself.
    pub directfs: Directfs,
}

/// How the sandbox mounts the root file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootfsType {
    /// `erofs`: an image that the sandbox reads by itself.
    Erofs,
    /// `bind`: a directory of the host.
    Bind,
}

/// Where changes to the root file system go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overlay {
    /// The empty text: to the root file system itself.
    None,
    /// `memory`.
    Memory,
    /// `self`: into a file in the root file system.
    InItself,
    /// `dir=PATH`: into a file in this directory.
    Directory(String),
}

impl RootfsHint {
    /// Finds the hint in `annotations`; keys that are about something else are passed over.
    ///
    /// Unlike hints about mounts this one has to be right: any bad or unknown field is an error.
    pub fn parse<'a>(annotations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Option<Self>, HintError> {
        let by_field: BTreeMap<&str, &str> = annotations
            .into_iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(ROOTFS_PREFIX)?, value)))
            .collect();
        if by_field.is_empty() {
            return Ok(None);
        }
        let (mut source, mut rootfs_type) = (None, None);
        let (mut overlay, mut options, mut directfs) = (None, Vec::new(), Directfs::Default);
        for (field, value) in by_field {
            let key = || format!("{ROOTFS_PREFIX}{field}");
            let expected = match field {
                "source" if value.starts_with('/') => {
                    source = Some(value.to_owned());
                    continue;
                }
                "source" => "an absolute path",
                "type" => match value {
                    "erofs" => {
                        rootfs_type = Some(RootfsType::Erofs);
                        continue;
                    }
                    "bind" => {
                        rootfs_type = Some(RootfsType::Bind);
                        continue;
                    }
                    _ => "erofs or bind",
                },
                "overlay" => match Overlay::parse(value) {
                    Some(parsed) => {
                        overlay = Some(parsed);
                        continue;
                    }
                    None => "nothing, memory, self, or dir= and an absolute path",
                },
                "options" => match parse_options(value) {
                    Some(parsed) => {
                        options = parsed;
                        continue;
                    }
                    None => "size= and a size",
                },
                "directfs" => match Directfs::parse(value) {
                    Some(parsed) => {
                        directfs = parsed;
                        continue;
                    }
                    None => Directfs::EXPECTED,
                },
                _ => return Err(HintError::RootfsField { key: key() }),
            };
            return Err(HintError::RootfsValue { key: key(), value: value.to_owned(), expected });
        }
        let missing = |field| HintError::RootfsIncomplete { field };
        Ok(Some(RootfsHint {
            source: source.ok_or_else(|| missing("source"))?,
            rootfs_type: rootfs_type.ok_or_else(|| missing("type"))?,
            overlay,
            options,
            directfs,
        }))
    }
}

impl Overlay {
    fn parse(value: &str) -> Option<Self> {
        match value {
            "" => Some(Overlay::None),
            "memory" => Some(Overlay::Memory),
            "self" => Some(Overlay::InItself),
            _ => {
                let path = value.strip_prefix("dir=").filter(|path| path.starts_with('/'))?;
                Some(Overlay::Directory(path.to_owned()))
            }
        }
    }
}

fn parse_options(value: &str) -> Option<Vec<String>> {
    let options = value.split(',').filter(|option| !option.is_empty());
    let is_size = |option: &str| option.strip_prefix("size=").is_some_and(|size| !size.is_empty());
    options.map(|option| is_size(option).then(|| option.to_owned())).collect()
}
