//! JSON with all that it says: members in their order, also those that are there twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

/// Any value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    /// Instead of what must be there and is not: whatever nothing is for its type.
    Zero,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// A step from a value to one in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Member(String),
    Index(usize),
}

impl Json {
    /// Whether it is nothing.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Json::Null | Json::Zero)
    }

    /// Reads `newer` into what is there, as Go does with a member that is there twice: of objects all members count, of
    /// lists the elements that the newer one has, and `null` says nothing about what is neither.
    pub(super) fn merge(&mut self, newer: Json) {
        match (self, newer) {
            (Json::Object(members), Json::Object(newer)) => members.extend(newer),
            (Json::List(elements), Json::List(newer)) => {
                let length = newer.len();
                for (index, element) in newer.into_iter().enumerate() {
                    match elements.get_mut(index) {
                        Some(old) => old.merge(element),
                        None => elements.push(element),
                    }
                }
                elements.truncate(length);
            }
            (Json::Bool(_) | Json::Number(_) | Json::Text(_), Json::Null) => {}
            (old, newer) => *old = newer,
        }
    }

    /// The value at the end of `path`, the last of several.
    pub(super) fn get_mut(&mut self, path: &[Step]) -> Option<&mut Json> {
        path.iter().try_fold(self, |value, step| match (value, step) {
            (Json::Object(members), Step::Member(name)) => {
                members.iter_mut().rev().find(|(other, _)| is_same(other, name)).map(|(_, value)| value)
            }
            (Json::List(elements), Step::Index(index)) => elements.get_mut(*index),
            _ => None,
        })
    }

    /// Takes away what is at the end of `path`. Returns whether something was there.
    pub(super) fn remove(&mut self, path: &[Step]) -> bool {
        let Some((last, parent)) = path.split_last() else { return false };
        match (self.get_mut(parent), last) {
            (Some(Json::Object(members)), Step::Member(name)) => {
                let before = members.len();
                members.retain(|(other, _)| !is_same(other, name));
                members.len() < before
            }
            (Some(Json::List(elements)), Step::Index(index)) if *index < elements.len() => {
                elements.remove(*index);
                true
            }
            _ => false,
        }
    }
}

/// Whether Go takes one name for the other: it folds letters of any case.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    // Outside of ASCII, only these two are another case of something within.
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => letter.to_ascii_lowercase(),
    };
    one.chars().map(fold).eq(other.chars().map(fold))
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Everything)
    }
}

struct Everything;

impl<'de> Visitor<'de> for Everything {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Number::from_f64(value).map_or(Json::Null, Json::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Json::Object(object))
    }
}
