//! Tables of flags: what each takes, and what it changes.

use super::ArgsError;
use super::syntax::{Flag, Kind};

/// What a flag does to a `T`, by the type of its value.
pub(super) enum Effect<T> {
    /// It is on or off.
    Bool(fn(&mut T, bool)),
    /// It names a descriptor, or none.
    Fd(fn(&mut T, Option<i32>)),
    /// It has a text.
    Text(fn(&mut T, &str)),
    /// It has any other value.
    Value(fn(&mut T, &Flag<'_>) -> Result<(), ArgsError>),
}

/// The flags that are known.
pub(super) type Table<T> = [(&'static str, Effect<T>)];

/// What the flag `name` does. Nothing if nobody knows it.
pub(super) fn of<'t, T>(table: &'t Table<T>, name: &str) -> Option<&'t Effect<T>> {
    table.iter().find(|(known, _)| *known == name).map(|(_, effect)| effect)
}

/// How the flag `name` is written.
pub(super) fn kind<T>(table: &Table<T>, name: &str) -> Kind {
    match of(table, name) {
        None => Kind::Unknown,
        Some(Effect::Bool(_)) => Kind::Bool,
        Some(_) => Kind::Value,
    }
}

impl<T> Effect<T> {
    /// Does it.
    pub(super) fn apply(&self, target: &mut T, flag: &Flag<'_>) -> Result<(), ArgsError> {
        match self {
            Effect::Bool(set) => set(target, flag.bool()?),
            Effect::Fd(set) => set(target, flag.fd()?),
            Effect::Text(set) => set(target, flag.value),
            Effect::Value(set) => return set(target, flag),
        }
        Ok(())
    }
}
