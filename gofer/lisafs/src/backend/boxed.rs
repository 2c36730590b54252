//! Boxes that keep small files in place.

use std::ops::Deref;

use smallbox::space::S8;
use smallbox::{SmallBox, smallbox};

use super::{ControlFile, OpenFile};

/// A control file in a box that keeps those of up to eight words in place, so that a walk does not allocate.
pub struct ControlBox(SmallBox<dyn ControlFile, S8>);

/// An open file in a box that keeps those of up to eight words in place, so that opening does not allocate.
pub struct OpenBox(SmallBox<dyn OpenFile, S8>);

impl ControlBox {
    /// Boxes a file of the backend's own type.
    pub fn new(file: impl ControlFile) -> Self {
        ControlBox(smallbox!(file))
    }

    /// Whether the file was too large and had to be allocated.
    pub fn is_heap(&self) -> bool {
        self.0.is_heap()
    }
}

impl Deref for ControlBox {
    type Target = dyn ControlFile;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl OpenBox {
    /// Boxes a file of the backend's own type.
    pub fn new(file: impl OpenFile) -> Self {
        OpenBox(smallbox!(file))
    }

    /// Whether the file was too large and had to be allocated.
    pub fn is_heap(&self) -> bool {
        self.0.is_heap()
    }
}

impl Deref for OpenBox {
    type Target = dyn OpenFile;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}
