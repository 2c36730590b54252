//! Names of volumes, and patterns for many of them.

/// The longest name of a volume, in bytes.
pub const MAX_NAME: usize = 200;

/// Why a text is no name of a volume.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// It has characters that names do not have, or is too long, or would be a path.
    #[error(
        "{0:?} is not a volume name; use 1 to {MAX_NAME} of A-Z a-z 0-9 . _ -, not starting with a dot and without \"..\""
    )]
    Name(String),
    /// It is no pattern.
    #[error(
        "{0:?} is not a volume name or pattern; a pattern is a name with one '*', which stands for one or more characters"
    )]
    Pattern(String),
}

/// Checks a volume's name: 1 to 200 ASCII letters, digits, `.`, `_` and `-`, without a dot at the beginning and two
/// dots in a row. So it is one harmless component of a path, wherever it is put.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let is_good = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(is_allowed)
        && !name.starts_with('.')
        && !name.contains("..");
    if is_good { Ok(()) } else { Err(NameError::Name(name.to_owned())) }
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

/// A volume's name, or a name with one `*` in it for all that begin and end alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(String);

impl Pattern {
    /// Checks a pattern.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let error = || NameError::Pattern(text.to_owned());
        match text.split_once('*') {
            // With the shortest text for the star it must be a name.
            Some((before, after)) => check_name(&format!("{before}x{after}")),
            None => check_name(text),
        }
        .map_err(|_| error())?;
        Ok(Pattern(text.to_owned()))
    }

    /// The pattern as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for more than one name.
    pub fn has_star(&self) -> bool {
        self.0.contains('*')
    }

    /// What the star stands for in `name`, or nothing for a pattern without one; `None` if `name` does not match.
    ///
    /// `name` must be a volume's name; what the star stands for is one, too.
    pub fn matches<'a>(&self, name: &'a str) -> Option<Option<&'a str>> {
        let Some((before, after)) = self.0.split_once('*') else { return (self.0 == name).then_some(None) };
        let star = name.strip_prefix(before)?.strip_suffix(after)?;
        check_name(star).is_ok().then_some(Some(star))
    }

    /// The best of `patterns` for `name`: the name itself, else the pattern with the longest text around its star.
    pub fn find<'p, 'n>(
        patterns: impl IntoIterator<Item = &'p Pattern>,
        name: &'n str,
    ) -> Option<(&'p Pattern, Option<&'n str>)> {
        let matching = patterns.into_iter().filter_map(|pattern| Some((pattern, pattern.matches(name)?)));
        matching.max_by_key(|(pattern, star)| (star.is_none(), pattern.0.len()))
    }
}

impl TryFrom<String> for Pattern {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Pattern::new(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_harmless_components() {
        for name in ["a", "home-alice", "A.b_c-9", "x.y"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "x".repeat(MAX_NAME + 1);
        for name in ["", ".", "..", ".hidden", "a..b", "a/b", "/", "a\nb", "a\0", "ä", "a b", "a*", "a#b", &long] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_star_is_one_component() {
        let pattern = Pattern::new("home-*").unwrap();
        assert_eq!(pattern.matches("home-alice"), Some(Some("alice")));
        for name in ["home-", "home", "away-x", "home-.x", "home-a..b"] {
            assert_eq!(pattern.matches(name), None, "{name}");
        }
        assert_eq!(Pattern::new("data").unwrap().matches("data"), Some(None));
        assert_eq!(Pattern::new("a*a").unwrap().matches("a"), None);
        for text in ["", "*/x", "a*b*", "..*", "*..", "\n*"] {
            assert!(Pattern::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_most_specific_pattern_counts() {
        let patterns = ["*", "home-*", "home-alice", "*-alice-and-others"].map(|text| Pattern::new(text).unwrap());
        let find = |name| Pattern::find(&patterns, name).map(|(pattern, star)| (pattern.as_str(), star));
        assert_eq!(find("home-alice"), Some(("home-alice", None)));
        assert_eq!(find("home-bob"), Some(("home-*", Some("bob"))));
        assert_eq!(find("data"), Some(("*", Some("data"))));
        assert_eq!(find("home-alice-and-others"), Some(("*-alice-and-others", Some("home"))));
        assert_eq!(find(".."), None);
    }
}
