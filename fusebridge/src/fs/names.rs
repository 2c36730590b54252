//! The names of a file.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::identity::NodeId;

/// One name of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The directory.
    pub parent: NodeId,
    /// The name in it.
    pub name: Arc<[u8]>,
}

/// All known names of a file. Most have one, some have tens of thousands.
#[derive(Debug, Default)]
pub(super) enum Names {
    #[default]
    None,
    One(Name),
    Many(BTreeSet<Name>),
}

impl Names {
    /// Any of them.
    pub(super) fn first(&self) -> Option<&Name> {
        match self {
            Names::None => None,
            Names::One(name) => Some(name),
            Names::Many(names) => names.first(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Name> {
        let (one, many) = match self {
            Names::None => (None, None),
            Names::One(name) => (Some(name), None),
            Names::Many(names) => (None, Some(names)),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Adds `name`, unless it is one of them.
    pub(super) fn insert(&mut self, name: Name) {
        *self = match std::mem::take(self) {
            Names::None => Names::One(name),
            Names::One(known) if known == name => Names::One(known),
            Names::One(known) => Names::Many(BTreeSet::from([known, name])),
            Names::Many(mut names) => {
                names.insert(name);
                Names::Many(names)
            }
        };
    }

    /// Takes `name` out. Returns whether it was one of them.
    pub(super) fn remove(&mut self, name: &Name) -> bool {
        match self {
            Names::One(known) if known == name => {
                *self = Names::None;
                true
            }
            Names::Many(names) => names.remove(name),
            Names::None | Names::One(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_and_go() {
        let name = |text: &str| Name { parent: NodeId::ROOT, name: Arc::from(text.as_bytes()) };
        let mut names = Names::default();
        assert!(names.is_empty() && !names.remove(&name("a")));
        for text in ["a", "b", "a", "c", "b"] {
            names.insert(name(text));
        }
        assert_eq!(names.iter().cloned().collect::<Vec<_>>(), [name("a"), name("b"), name("c")]);
        assert!(names.remove(&name("b")) && !names.remove(&name("b")));
        assert!(names.remove(&name("a")) && names.first() == Some(&name("c")));
        assert!(names.remove(&name("c")) && names.is_empty());
    }
}
