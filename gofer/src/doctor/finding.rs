//! What the examination finds.

use std::fmt;

/// What a finding means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Something that one may want to know.
    Note,
    /// Something does not work that most can do without.
    Warning,
    /// Nothing works without it.
    Missing,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Missing => "missing",
        }
    }
}

/// The result of one check, which is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub level: Level,
    /// What was looked at.
    pub subject: String,
    /// What is with it, and what to do if that is not good.
    pub text: String,
}

impl Finding {
    /// One of any level.
    pub fn new(level: Level, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Finding { level, subject: subject.into(), text: text.into() }
    }

    /// Something that works.
    pub fn ok(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Finding::new(Level::Ok, subject, text)
    }
}

impl Finding {
    /// The same for programs.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!({ "level": self.level.word(), "subject": self.subject, "text": self.text }).to_string()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever is quoted in it may have written several lines.
        let text = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        write!(f, "{:<7}  {:<15}  {text}", self.level.word(), self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let finding = Finding::new(Level::Warning, "trial", "it said \"no\nmore\"\n");
        assert_eq!(finding.to_string(), "warning  trial            it said \"no more\"");
    }
}
