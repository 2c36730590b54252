//! What stands in front of a trace for people.

use crate::wire::{DoesNotFit, Malformed, StringArray, StringArrayBuf, Wire};

/// What is known about a trace as a whole: names and values, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(Vec<(String, String)>);

impl Facts {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// These and one more. What is longer than a string of the protocol is cut off.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let mut value = value.to_string();
        value.truncate(value.floor_char_boundary(usize::from(u16::MAX)));
        self.0.push((name.to_owned(), value));
        self
    }

    /// The value called `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// As they stand in the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, DoesNotFit> {
        let strings = self.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let mut bytes = Vec::new();
        StringArrayBuf::collect(strings)?.as_array().encode(&mut bytes)?;
        Ok(bytes)
    }

    /// The reverse of [`to_bytes`](Self::to_bytes).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let strings: Vec<String> =
            StringArray::from_bytes(bytes)?.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        let (pairs, _) = strings.as_chunks();
        Ok(Facts(pairs.iter().map(|[name, value]| (name.clone(), value.clone())).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_go_to_bytes_and_back() {
        let facts = Facts::new().with("backend", "host:/ä b").with("io", "").with("long", "ä".repeat(40_000));
        let back = Facts::from_bytes(&facts.to_bytes().unwrap()).unwrap();
        assert_eq!(back, facts);
        assert_eq!(back.get("backend"), Some("host:/ä b"));
        assert_eq!(back.get("long").map(str::len), Some(65_534));
        assert_eq!(back.get("none"), None);
        assert!(Facts::from_bytes(&[9]).is_err());
    }
}
