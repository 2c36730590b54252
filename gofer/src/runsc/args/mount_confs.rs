//! `--gofer-mount-confs`: how the sandbox uses each mount.

use super::ArgsError;

/// What is at the bottom of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lower {
    /// Nothing: the sandbox makes a file system of its own.
    None,
    /// Files of this process.
    Lisafs,
    /// An image that the sandbox has opened.
    Erofs,
}

/// How one mount is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MountConf {
    /// What is at the bottom.
    pub(crate) lower: Lower,
    /// Whether the sandbox keeps changes to itself, in an overlay or in a file system of its own.
    pub(crate) has_upper: bool,
}

impl MountConf {
    /// A mount whose changes are made to the files.
    pub(crate) const PLAIN: MountConf = MountConf { lower: Lower::Lisafs, has_upper: false };

    /// Whether this process serves it.
    pub(crate) fn is_served(self) -> bool {
        self.lower == Lower::Lisafs
    }

    /// Whether changes stay in the sandbox, so that none may come here.
    pub(crate) fn is_overlaid(self) -> bool {
        self.lower != Lower::None && self.has_upper
    }
}

/// A list of configurations, separated by commas.
pub(super) fn parse(text: &str) -> Result<Vec<MountConf>, ArgsError> {
    text.split(',').map(|conf| one(conf).ok_or_else(|| ArgsError::MountConf(conf.to_owned()))).collect()
}

/// `LOWER:UPPER` or `LOWER:UPPER:size=TEXT`.
fn one(text: &str) -> Option<MountConf> {
    let mut fields = text.split(':');
    let lower = match fields.next()? {
        "none" => Lower::None,
        "lisafs" => Lower::Lisafs,
        "erofs" => Lower::Erofs,
        _ => return None,
    };
    let has_upper = match fields.next()? {
        "none" => false,
        "memory" | "self" | "anon" => true,
        _ => return None,
    };
    let size_is_good = fields.next().is_none_or(|size| size.starts_with("size="));
    let is_something = lower != Lower::None || has_upper;
    (size_is_good && is_something && fields.next().is_none()).then_some(MountConf { lower, has_upper })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confs_are_understood() {
        let confs = parse("lisafs:self,lisafs:none,none:memory:size=1g,erofs:anon:size=").unwrap();
        let served: Vec<bool> = confs.iter().map(|conf| conf.is_served()).collect();
        let overlaid: Vec<bool> = confs.iter().map(|conf| conf.is_overlaid()).collect();
        assert_eq!((served, overlaid), (vec![true, true, false, false], vec![true, false, false, true]));
        for bad in
            ["", "lisafs", "none:none", "Lisafs:none", "lisafs:none,", "lisafs:none:1g", "lisafs:none:size=1:", "x:y"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
