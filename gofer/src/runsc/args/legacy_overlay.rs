//! Overlays as releases until 2023 are told about them: not mount by mount, but by one flag for all.

/// Which mounts have an overlay in the sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LegacyOverlay {
    /// The root file system has one.
    pub(crate) root: bool,
    /// All others have one.
    pub(crate) mounts: bool,
}

impl LegacyOverlay {
    /// `--overlay`.
    pub(super) fn set_all(&mut self, overlay: bool) {
        if overlay {
            *self = LegacyOverlay { root: true, mounts: true };
        }
    }

    /// `--overlay2=none`, `root:MEDIUM` or `all:MEDIUM`. What the medium is does not matter here.
    pub(super) fn set(&mut self, text: &str) {
        match text.split(':').next() {
            Some("root") => self.root = true,
            Some("all") => self.set_all(true),
            _ => {}
        }
    }
}
