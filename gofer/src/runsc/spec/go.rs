//! From JSON to types, by the rules of Go's `encoding/json`: names of members in any case, members that are there
//! twice, and `null` or nothing for every zero.

use std::fmt;
use std::vec;

use serde::Deserializer;
use serde::de::value::{StrDeserializer, StringDeserializer};
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::json::{Json, Step, is_same};

/// A value that is not what it should be.
#[derive(Debug)]
pub(in crate::runsc) struct Unreadable {
    /// From the inside to the outside.
    steps: Vec<Step>,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Missing(&'static str),
    Wrong(String),
}

impl Unreadable {
    /// Where it is.
    pub(super) fn path(&self) -> Vec<Step> {
        self.steps.iter().rev().cloned().collect()
    }

    fn within(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().rev().enumerate() {
            match step {
                Step::Member(name) if number == 0 => f.write_str(name)?,
                Step::Member(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        if !self.steps.is_empty() {
            f.write_str(": ")?;
        }
        match &self.why {
            Why::Missing(name) => write!(f, "{name} is missing"),
            Why::Wrong(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Unreadable {}

impl de::Error for Unreadable {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Unreadable { steps: Vec::new(), why: Why::Wrong(text.to_string()) }
    }

    fn missing_field(field: &'static str) -> Self {
        Unreadable { steps: Vec::new(), why: Why::Missing(field) }
    }
}

/// Reads `json`, in which members are added that must be there and are not.
pub(super) fn read<T: DeserializeOwned>(json: &mut Json) -> Result<T, Unreadable> {
    loop {
        let unreadable = match T::deserialize(json.clone()) {
            Ok(read) => return Ok(read),
            Err(unreadable) => unreadable,
        };
        match (&unreadable.why, json.get_mut(&unreadable.path())) {
            (Why::Missing(name), Some(Json::Object(members))) => members.push(((*name).to_owned(), Json::Zero)),
            (Why::Missing(_), Some(nothing @ (Json::Null | Json::Zero))) => *nothing = Json::Object(Vec::new()),
            _ => return Err(unreadable),
        }
    }
}

impl Json {
    /// What it is itself.
    fn accept<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self {
            Json::Null | Json::Zero => visitor.visit_unit(),
            Json::Bool(value) => visitor.visit_bool(value),
            Json::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(value), _) => visitor.visit_u64(value),
                (None, Some(value)) => visitor.visit_i64(value),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Json::Text(text) => visitor.visit_string(text),
            Json::List(elements) => visitor.visit_seq(Elements(elements.into_iter().enumerate())),
            Json::Object(members) => visitor.visit_map(Members { rest: members.into_iter(), value: None }),
        }
    }
}

impl<'de> Deserializer<'de> for Json {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.accept(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.is_nothing() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.is_nothing() { visitor.visit_bool(false) } else { self.accept(visitor) }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.is_nothing() { visitor.visit_u64(0) } else { self.accept(visitor) }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.is_nothing() { visitor.visit_str("") } else { self.accept(visitor) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.is_nothing() { Json::List(Vec::new()).accept(visitor) } else { self.accept(visitor) }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        if self.is_nothing() { Json::Object(Vec::new()).accept(visitor) } else { self.accept(visitor) }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        let members = match self {
            Json::Object(members) => members,
            Json::Null | Json::Zero => Vec::new(),
            other => return other.accept(visitor),
        };
        let mut known: Vec<(String, Json)> = Vec::new();
        for (name, value) in members {
            let field = fields.iter().find(|&&field| field == name);
            let Some(&field) = field.or_else(|| fields.iter().find(|field| is_same(field, &name))) else { continue };
            match known.iter_mut().find(|(other, _)| other == field) {
                Some((_, before)) => before.merge(value),
                None => known.push((field.to_owned(), value)),
            }
        }
        known.retain(|(_, value)| *value != Json::Null);
        Json::Object(known).accept(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        match self {
            Json::Text(name) => {
                let name: StringDeserializer<Unreadable> = name.into_deserializer();
                visitor.visit_enum(name)
            }
            other => other.accept(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.deserialize_string(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.deserialize_u64(visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i128 u8 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The elements of a list, which errors name.
struct Elements(std::iter::Enumerate<vec::IntoIter<Json>>);

impl<'de> SeqAccess<'de> for Elements {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Unreadable> {
        let Some((index, element)) = self.0.next() else { return Ok(None) };
        seed.deserialize(element).map(Some).map_err(|error| error.within(Step::Index(index)))
    }
}

/// The members of an object, which errors name.
struct Members {
    rest: vec::IntoIter<(String, Json)>,
    value: Option<(String, Json)>,
}

impl<'de> MapAccess<'de> for Members {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Unreadable> {
        self.value = self.rest.next();
        let Some((name, _)) = &self.value else { return Ok(None) };
        let name: StrDeserializer<'_, Unreadable> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Unreadable> {
        let (name, value) = self.value.take().unwrap_or((String::new(), Json::Null));
        seed.deserialize(value).map_err(|error| error.within(Step::Member(name)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Spec {
        root_path: String,
        ids: Option<Vec<u32>>,
        annotations: Option<BTreeMap<String, String>>,
        part: Option<Part>,
        parts: Option<Vec<Part>>,
        kind: Option<Kind>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Part {
        path: String,
        size: i64,
        is: bool,
        share: f64,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Big,
    }

    fn parse(text: &str) -> Result<Spec, Unreadable> {
        read(&mut serde_json::from_str(text).unwrap())
    }

    fn part(path: &str, size: i64) -> Part {
        Part { path: path.to_owned(), size, ..Part::default() }
    }

    #[test]
    fn it_is_read_as_go_does() {
        let of = |path: &str| Spec { root_path: path.to_owned(), ..Spec::default() };
        let map = |pairs: &[(&str, &str)]| Some(pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect());
        for (text, expected) in [
            // Names in any case.
            (r#"{"ROOTPATH": "/a"}"#, of("/a")),
            (r#"{"rootpath": "/a", "rootPath": "/b"}"#, of("/b")),
            (r#"{"rootPath": "/a", "RootPath": "/b"}"#, of("/b")),
            ("{\"id\u{17f}\": [1]}", Spec { ids: Some(vec![1]), ..Spec::default() }),
            // But not keys of maps.
            (
                r#"{"annotations": {"a": "1", "A": "2", "a": "3"}}"#,
                Spec { annotations: map(&[("a", "3"), ("A", "2")]), ..Spec::default() },
            ),
            // Members that are there twice.
            (r#"{"rootPath": "/a", "rootPath": null}"#, of("/a")),
            (r#"{"ids": [1, 2, 3], "ids": [4, null]}"#, Spec { ids: Some(vec![4, 2]), ..Spec::default() }),
            (r#"{"ids": [1], "ids": null}"#, Spec::default()),
            (
                r#"{"annotations": {"a": "1"}, "Annotations": {"b": null}}"#,
                Spec { annotations: map(&[("a", "1"), ("b", "")]), ..Spec::default() },
            ),
            (
                r#"{"part": {"path": "/a", "size": 1}, "part": {"SIZE": 2}}"#,
                Spec { part: Some(part("/a", 2)), ..Spec::default() },
            ),
            (
                r#"{"parts": [{"path": "/a"}, {"path": "/b"}], "parts": [{"size": 3}]}"#,
                Spec { parts: Some(vec![part("/a", 3)]), ..Spec::default() },
            ),
            (r#"{"part": {"size": 1}, "part": null}"#, Spec::default()),
            // Nothing, and null.
            ("{}", Spec::default()),
            ("null", Spec::default()),
            (
                r#"{"rootPath": null, "ids": null, "annotations": null, "part": null, "parts": null, "kind": null}"#,
                Spec::default(),
            ),
            (r#"{"part": {}}"#, Spec { part: Some(Part::default()), ..Spec::default() }),
            (r#"{"parts": [null]}"#, Spec { parts: Some(vec![Part::default()]), ..Spec::default() }),
            (
                r#"{"part": {"path": null, "size": null, "is": null, "share": null}}"#,
                Spec { part: Some(Part::default()), ..Spec::default() },
            ),
            (r#"{"kind": "big", "unknown": [{}]}"#, Spec { kind: Some(Kind::Big), ..Spec::default() }),
        ] {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn errors_say_where() {
        for (text, message) in [
            (r#"{"parts": [{}, {"Size": "x"}]}"#, "parts[1].size: invalid type: string \"x\""),
            (r#"{"ids": [-1]}"#, "ids[0]: invalid value: integer `-1`"),
            (r#"{"ids": [1.5]}"#, "ids[0]: invalid type: floating point"),
            (r#"{"rootPath": {}}"#, "rootPath: invalid type: map"),
            (r#"{"kind": "small"}"#, "kind: unknown variant `small`"),
            (r#"{"annotations": {"a": 1}}"#, "annotations.a: invalid type: integer"),
            ("[]", "invalid"),
            ("7", "invalid type: integer `7`"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }
}
