//! Flags as Go programs write them.
//!
//! One dash or two, `-x=v` or `-x v`, and for a boolean flag just `-x`, which takes a value only with `=`. Parsing
//! stops at the first argument that is no flag, or after `--`.

use super::ArgsError;

/// How a flag is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `-x` or `-x=true`.
    Bool,
    /// `-x=v` or `-x v`.
    Value,
    /// Nobody knows it. It is taken as `-x` or `-x=v`.
    Unknown,
}

/// One flag of a command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flag<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) kind: Kind,
}

/// The flags at the beginning of `arguments`, and the arguments after them.
pub(super) fn split<'a>(
    mut arguments: &'a [String],
    kind_of: impl Fn(&str) -> Kind,
) -> Result<(Vec<Flag<'a>>, &'a [String]), ArgsError> {
    let mut flags = Vec::new();
    while let [first, rest @ ..] = arguments {
        if first == "--" {
            return Ok((flags, rest));
        }
        let Some(text) = first.strip_prefix('-').filter(|text| !text.is_empty()) else { break };
        let text = text.strip_prefix('-').unwrap_or(text);
        if text.is_empty() || text.starts_with(['-', '=']) {
            return Err(ArgsError::Syntax(first.clone()));
        }
        arguments = rest;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let kind = kind_of(name);
        let value = match (value, kind) {
            (Some(value), _) => value,
            (None, Kind::Bool) => "true",
            (None, Kind::Unknown) => "",
            (None, Kind::Value) => {
                let [value, rest @ ..] = arguments else { return Err(ArgsError::NoValue(name.to_owned())) };
                arguments = rest;
                value
            }
        };
        flags.push(Flag { name, value, kind });
    }
    Ok((flags, arguments))
}

impl Flag<'_> {
    fn bad(&self, expected: &'static str) -> ArgsError {
        ArgsError::Value { name: self.name.to_owned(), value: self.value.to_owned(), expected }
    }

    /// The value of a boolean flag.
    pub(super) fn bool(&self) -> Result<bool, ArgsError> {
        match self.value {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(self.bad("true or false")),
        }
    }

    /// An integer, in the base that its prefix says, as in Go's literals.
    pub(super) fn int(&self) -> Result<i64, ArgsError> {
        int(self.value).ok_or_else(|| self.bad("an integer"))
    }

    /// The number of a descriptor; -1 is none.
    pub(super) fn fd(&self) -> Result<Option<i32>, ArgsError> {
        match i32::try_from(self.int()?) {
            Ok(-1) => Ok(None),
            Ok(fd) if fd >= 0 => Ok(Some(fd)),
            _ => Err(self.bad("the number of a descriptor, or -1")),
        }
    }

    /// A user or group.
    pub(super) fn id(&self) -> Result<u32, ArgsError> {
        u32::try_from(self.int()?).map_err(|_| self.bad("a user or group number"))
    }

    /// Numbers of descriptors, separated by commas.
    pub(super) fn fds(&self) -> Result<Vec<i32>, ArgsError> {
        let fd = |text: &str| text.parse().ok().filter(|fd| *fd >= -1);
        self.value.split(',').map(fd).collect::<Option<_>>().ok_or_else(|| self.bad("numbers of descriptors"))
    }

    /// One of the values in `choices`.
    pub(super) fn one_of<T: Copy>(&self, choices: &[(&str, T)], expected: &'static str) -> Result<T, ArgsError> {
        let chosen = choices.iter().find(|(name, _)| *name == self.value);
        chosen.map(|(_, value)| *value).ok_or_else(|| self.bad(expected))
    }
}

fn int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    // Underscores may stand between digits, and after a prefix.
    let separated = base != 10 || !digits.starts_with('_');
    if !separated || digits.ends_with('_') || digits.contains("__") || digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = i128::from_str_radix(&digits.replace('_', ""), base).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Kind {
        match name {
            "b" => Kind::Bool,
            "v" => Kind::Value,
            _ => Kind::Unknown,
        }
    }

    /// The flags as `NAME=VALUE`, and the rest.
    fn parse(line: &str) -> Result<(Vec<String>, Vec<String>), ArgsError> {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let (flags, rest) = split(&arguments, kind)?;
        Ok((flags.iter().map(|flag| format!("{}={}", flag.name, flag.value)).collect(), rest.to_vec()))
    }

    #[test]
    fn flags_are_written_in_many_ways() {
        for (line, flags, rest) in [
            ("-v=1 --v=2 x", vec!["v=1", "v=2"], vec!["x"]),
            ("--v 1 -v -x y", vec!["v=1", "v=-x"], vec!["y"]),
            ("--b false", vec!["b=true"], vec!["false"]),
            ("-b=false --b", vec!["b=false", "b=true"], vec![]),
            ("--v=a=b -- --v=1", vec!["v=a=b"], vec!["--v=1"]),
            ("- --v=1", vec![], vec!["-", "--v=1"]),
            ("--other=1 --more gofer --b", vec!["other=1", "more="], vec!["gofer", "--b"]),
            ("--v= x", vec!["v="], vec!["x"]),
        ] {
            let (found, left) = parse(line).unwrap();
            assert_eq!(
                (found, left),
                (flags.into_iter().map(str::to_owned).collect(), rest.into_iter().map(str::to_owned).collect()),
                "{line}"
            );
        }
        for line in ["---v=1", "-=1", "--=1", "--v"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn integers_have_bases() {
        for (text, value) in [
            ("0", 0),
            ("-1", -1),
            ("+7", 7),
            ("0x1F", 31),
            ("0b101", 5),
            ("0o17", 15),
            ("017", 15),
            ("1_000", 1000),
            ("0x_ff", 255),
        ] {
            assert_eq!(int(text), Some(value), "{text}");
        }
        for text in ["", "-", "x", "1.5", "_1", "1_", "1__0", "0x", "08", "--1", "+-1", "99999999999999999999"] {
            assert_eq!(int(text), None, "{text}");
        }
    }

    #[test]
    fn values_have_types() {
        let flag = |value| Flag { name: "x", value, kind: Kind::Value };
        assert!(flag("T").bool().unwrap());
        assert!(!flag("0").bool().unwrap());
        assert!(flag("yes").bool().is_err());
        assert_eq!(flag("-1").fd().unwrap(), None);
        assert_eq!(flag("7").fd().unwrap(), Some(7));
        assert!(flag("-2").fd().is_err());
        assert_eq!(flag("3,-1,5").fds().unwrap(), [3, -1, 5]);
        for bad in ["", "3,", "3,,4", "-2", "0x3", "a"] {
            assert!(flag(bad).fds().is_err(), "{bad}");
        }
        assert!(flag("-1").id().is_err());
    }
}
