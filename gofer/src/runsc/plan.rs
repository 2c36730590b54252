//! Which mounts this process serves, and over which connection.

use super::args::{LegacyOverlay, MountConf};
use super::spec::{self, Container};

/// What is wanted for each mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The root file system.
    pub(super) root: MountConf,
    /// Each of the spec's mounts in order; none for those that are nobody's but the sandbox's.
    pub(super) mounts: Vec<Option<MountConf>>,
}

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlanError {
    #[error(
        "--gofer-mount-confs has {given} entries, but the spec has {wanted} mounts to configure, the root included"
    )]
    Confs { given: usize, wanted: usize },
    #[error("--io-fds has {given} descriptors, but {wanted} mounts are to be served")]
    Descriptors { given: usize, wanted: usize },
}

impl Plan {
    /// Puts together what the flags say with the mounts that they are about. `connections` is how many there are.
    ///
    /// Callers of before 2023 do not say it mount by mount: `overlay` counts then.
    pub(super) fn new(
        container: &Container,
        confs: Option<&[MountConf]>,
        overlay: LegacyOverlay,
        connections: usize,
    ) -> Result<Self, PlanError> {
        let plan = match confs {
            Some(confs) => Self::current(container, confs)?,
            None => Self::legacy(container, overlay),
        };
        let wanted = plan.all().filter(|conf| conf.is_served()).count();
        if connections != wanted {
            return Err(PlanError::Descriptors { given: connections, wanted });
        }
        Ok(plan)
    }

    fn current(container: &Container, confs: &[MountConf]) -> Result<Self, PlanError> {
        let is_configured: Vec<bool> =
            container.mounts.iter().map(|mount| spec::is_bind(mount) || spec::is_erofs(mount)).collect();
        let wanted = 1 + is_configured.iter().filter(|is| **is).count();
        match confs.split_first() {
            Some((root, others)) if confs.len() == wanted => {
                let mut others = others.iter().copied();
                let mounts = is_configured.into_iter().map(|is| if is { others.next() } else { None }).collect();
                Ok(Plan { root: *root, mounts })
            }
            _ => Err(PlanError::Confs { given: confs.len(), wanted }),
        }
    }

    fn legacy(container: &Container, overlay: LegacyOverlay) -> Self {
        let conf = |has_upper| MountConf { has_upper, ..MountConf::PLAIN };
        let mounts = container.mounts.iter().map(|mount| spec::is_bind(mount).then(|| conf(overlay.mounts)));
        Plan { root: conf(overlay.root), mounts: mounts.collect() }
    }

    fn all(&self) -> impl Iterator<Item = MountConf> {
        std::iter::once(self.root).chain(self.mounts.iter().copied().flatten())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::runsc::args::Lower;

    fn container() -> Container {
        let document = json!({
            "process": {"args": ["sh"]},
            "root": {"path": "/r"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/a", "type": "bind", "source": "/a"},
                {"destination": "/b", "type": "erofs", "source": "/b"},
                {"destination": "/c", "type": "bind", "source": ""},
                {"destination": "/d", "source": "/d", "options": ["rbind"]},
            ],
        });
        Container::parse(document.to_string().as_bytes(), Path::new("/"), false).unwrap()
    }

    const ERASED: MountConf = MountConf { lower: Lower::Erofs, has_upper: false };

    #[test]
    fn confs_follow_the_mounts() {
        let confs = [MountConf::PLAIN, MountConf::PLAIN, ERASED, MountConf::PLAIN];
        let plan = Plan::new(&container(), Some(&confs), LegacyOverlay::default(), 3).unwrap();
        let plain = Some(MountConf::PLAIN);
        assert_eq!(plan, Plan { root: MountConf::PLAIN, mounts: vec![None, plain, Some(ERASED), None, plain] });
    }

    #[test]
    fn counts_must_match() {
        let confs = [MountConf::PLAIN, MountConf::PLAIN, ERASED, MountConf::PLAIN, MountConf::PLAIN];
        for (confs, connections, message) in [
            (&confs[..3], 3, "has 3 entries, but the spec has 4"),
            (&confs[..], 3, "has 5 entries, but the spec has 4"),
            (&[], 0, "has 0 entries"),
            (&confs[..4], 2, "has 2 descriptors, but 3 mounts"),
            (&confs[..4], 4, "has 4 descriptors, but 3 mounts"),
        ] {
            let error = Plan::new(&container(), Some(confs), LegacyOverlay::default(), connections).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn old_callers_say_it_once_for_all() {
        let overlay = LegacyOverlay { root: true, mounts: false };
        let plan = Plan::new(&container(), None, overlay, 3).unwrap();
        assert!(plan.root.is_overlaid());
        let plain = Some(MountConf::PLAIN);
        assert_eq!(plan.mounts, [None, plain, None, None, plain]);
    }
}
