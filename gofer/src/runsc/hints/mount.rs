//! Hints about mounts.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use super::{Directfs, HintError, MOUNT_PREFIX, Warning};

/// Where Kubernetes has the directories of its pods.
const PODS: &str = "/var/lib/kubelet/pods";

/// The mount hints of a container, complete ones only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountHints {
    by_source: BTreeMap<String, MountHint>,
    /// The names of hints that have all but a source, and want no directfs.
    off_without_source: BTreeSet<String>,
}

/// What annotations say about one mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountHint {
    /// What the pod calls the mount.
    pub name: String,
    /// The source of the mounts that this is about.
    pub source: String,
    /// How the sandbox mounts it.
    pub mount_type: MountType,
    /// Who uses it.
    pub share: Share,
    /// Mount options.
    pub options: Vec<String>,
    /// Whether the sandbox may work on the host's files by itself.
    pub directfs: Directfs,
}

/// How the sandbox mounts what a hint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountType {
    /// `tmpfs`: in the sandbox's memory.
    Tmpfs,
    /// `bind`: from the host.
    Bind,
}

/// Who uses what a hint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// `container`: one container of the pod.
    Container,
    /// `pod`: containers of the pod, and nobody else.
    Pod,
    /// `shared`: others too.
    Shared,
}

impl MountHints {
    /// Finds the hints in `annotations`; keys that are about something else are passed over.
    ///
    /// Fails if a key is malformed or if two complete hints have the same source. Everything else that is wrong is
    /// ignored with a warning: bad values alone, hints that lack a source, a type or a share as a whole.
    pub fn parse<'a>(
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(Self, Vec<Warning>), HintError> {
        let by_key: BTreeMap<&str, &str> =
            annotations.into_iter().filter(|(key, _)| key.starts_with(MOUNT_PREFIX)).collect();
        let mut warnings = Vec::new();
        let mut drafts: BTreeMap<&str, Draft> = BTreeMap::new();
        for (key, value) in by_key {
            let (name, field) = split(key).ok_or_else(|| HintError::Key { key: key.to_owned() })?;
            drafts.entry(name).or_default().set(key, field, value, &mut warnings);
        }
        let mut hints = MountHints::default();
        for (name, draft) in drafts {
            if draft.lacks_only_source() && draft.directfs == Directfs::Off {
                hints.off_without_source.insert(name.to_owned());
            }
            match draft.finish(name) {
                Ok(hint) => hints.add(hint)?,
                Err(field) => warnings.push(Warning::Incomplete { name: name.to_owned(), field }),
            }
        }
        Ok((hints, warnings))
    }

    /// The hint about mounts of `source`, which must be the very same text, absolute as in the resolved spec.
    pub fn for_mount(&self, source: &str) -> Option<&MountHint> {
        self.by_source.get(source)
    }

    /// Whether `source` is the volume of a Kubernetes pod for which a hint without a source wants no directfs.
    ///
    /// containerd's shim of gVisor adds the source to the hints of the pod's first container only, which is where the sandbox
    /// has its own from. Whoever serves another container sees nothing but the volume's name.
    pub fn is_volume_without_directfs(&self, source: &str) -> bool {
        volume(Path::new(source)).is_some_and(|name| self.off_without_source.contains(name))
    }

    /// All hints, in the order of their sources.
    pub fn iter(&self) -> impl Iterator<Item = &MountHint> {
        self.by_source.values()
    }

    fn add(&mut self, hint: MountHint) -> Result<(), HintError> {
        match self.by_source.entry(hint.source.clone()) {
            Entry::Vacant(place) => {
                place.insert(hint);
                Ok(())
            }
            Entry::Occupied(other) => Err(HintError::SameSource {
                mount_source: hint.source,
                first: other.get().name.clone(),
                second: hint.name,
            }),
        }
    }
}

/// The name of a pod's volume: that of its directory, where Kubernetes puts it.
fn volume(source: &Path) -> Option<&str> {
    let below = source.strip_prefix(PODS).ok()?;
    let names: Option<Vec<&str>> = below
        .components()
        .map(|part| match part {
            Component::Normal(name) => name.to_str(),
            _ => None,
        })
        .collect();
    match names?[..] {
        [_pod, "volumes", _plugin, name] => Some(name),
        _ => None,
    }
}

/// The name of the mount and the name of the field in a key that begins with the prefix.
pub(super) fn split(key: &str) -> Option<(&str, &str)> {
    let (name, field) = key.strip_prefix(MOUNT_PREFIX)?.split_once('.')?;
    (!name.is_empty() && !field.contains('.')).then_some((name, field))
}

/// What is known of a hint so far.
#[derive(Default)]
struct Draft {
    source: Option<String>,
    mount_type: Option<MountType>,
    share: Option<Share>,
    options: Vec<String>,
    directfs: Directfs,
}

impl Draft {
    fn set(&mut self, key: &str, field: &str, value: &str, warnings: &mut Vec<Warning>) {
        let expected = match field {
            "source" if !value.is_empty() => {
                self.source = Some(value.to_owned());
                return;
            }
            "source" => "a path",
            "type" => match value {
                "tmpfs" => return self.mount_type = Some(MountType::Tmpfs),
                "bind" => return self.mount_type = Some(MountType::Bind),
                _ => "tmpfs or bind",
            },
            "share" => match value {
                "container" => return self.share = Some(Share::Container),
                "pod" => return self.share = Some(Share::Pod),
                "shared" => return self.share = Some(Share::Shared),
                _ => "container, pod or shared",
            },
            "options" => return self.set_options(key, value, warnings),
            "directfs" => match Directfs::parse(value) {
                Some(directfs) => return self.directfs = directfs,
                None => Directfs::EXPECTED,
            },
            _ => return warnings.push(Warning::UnknownField { key: key.to_owned() }),
        };
        warnings.push(Warning::BadValue { key: key.to_owned(), value: value.to_owned(), expected });
    }

    fn set_options(&mut self, key: &str, value: &str, warnings: &mut Vec<Warning>) {
        for option in value.split(',').filter(|option| !option.is_empty()) {
            if matches!(option, "shared" | "rshared") {
                warnings.push(Warning::BadOption { key: key.to_owned(), option: option.to_owned() });
            } else {
                self.options.push(option.to_owned());
            }
        }
    }

    fn lacks_only_source(&self) -> bool {
        self.source.is_none() && self.mount_type.is_some() && self.share.is_some()
    }

    /// The hint, or the first field that it lacks.
    fn finish(self, name: &str) -> Result<MountHint, &'static str> {
        Ok(MountHint {
            name: name.to_owned(),
            source: self.source.ok_or("source")?,
            mount_type: self.mount_type.ok_or("type")?,
            share: self.share.ok_or("share")?,
            options: self.options,
            directfs: self.directfs,
        })
    }
}
