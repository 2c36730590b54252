//! What the program prints: a line for each test that has ended, and below it what it says about it.

use crate::case::{Failure, Outcome};

/// A test that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) outcome: Outcome,
}

/// Takes lines and gives tests.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// The test whose line has come, how it ended, and what is said about it.
    pending: Option<(String, Word, Vec<String>)>,
}

/// How a test has ended, as the program says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Ok,
    Failed,
    Skipped,
}

impl Parser {
    /// Takes a line. A test is complete when the next one's line comes.
    pub(super) fn line(&mut self, line: &str) -> Option<Parsed> {
        if let Some((name, word)) = headline(line) {
            return self.pending.replace((name, word, Vec::new())).map(parsed);
        }
        if line.starts_with("Summary: ") {
            return self.finish();
        }
        if let Some((_, _, details)) = &mut self.pending
            && !line.trim().is_empty()
        {
            details.push(line.trim().to_owned());
        }
        None
    }

    /// The last test.
    pub(super) fn finish(&mut self) -> Option<Parsed> {
        self.pending.take().map(parsed)
    }
}

/// Name and outcome, if it is the line of a test.
fn headline(line: &str) -> Option<(String, Word)> {
    if line.starts_with(char::is_whitespace) {
        return None;
    }
    let words = [
        ("ok", Word::Ok),
        ("FAILED", Word::Failed),
        ("PASSED UNEXPECTEDLY", Word::Failed),
        ("failed as expected", Word::Ok),
        ("skipped", Word::Skipped),
    ];
    let (name, word) = words.iter().find_map(|(text, word)| Some((line.trim_end().strip_suffix(text)?, *word)))?;
    let name = name.strip_suffix(char::is_whitespace)?.trim_end();
    (name.contains("::") && !name.contains(char::is_whitespace)).then(|| (name.to_owned(), word))
}

fn parsed((name, word, mut details): (String, Word, Vec<String>)) -> Parsed {
    // What a test is about comes first, and again at the end unless it is skipped.
    let about = match details.as_slice() {
        [first, .., last] if first == last => {
            details.pop();
            details.remove(0)
        }
        [_, _, ..] if word == Word::Skipped => details.remove(0),
        _ => String::new(),
    };
    let outcome = match word {
        Word::Ok => Outcome::Passed,
        Word::Skipped => Outcome::Skipped { reason: details.join("; ") },
        Word::Failed => Outcome::Failed(failure(&about, &details)),
    };
    Parsed { name, about, outcome }
}

/// What was expected and what came, from the text of a panic.
fn failure(about: &str, details: &[String]) -> Failure {
    let text = details.join(" ");
    let operation = if about.is_empty() { "the test" } else { about };
    let side = |name: &str| details.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if let (Some(left), Some(right)) = (side("left:"), side("right:")) {
        let expected = if text.contains("`left != right`") { format!("other than {right}") } else { right.to_owned() };
        // What somebody has to say about an assertion stands behind its first colon.
        let remark = details[0].split_once("failed: ").map(|(_, remark)| format!(" ({remark})")).unwrap_or_default();
        return Failure::new(operation, expected, format!("{left}{remark}"));
    }
    if let Some(condition) = text.strip_prefix("assertion failed: ") {
        return Failure::new(operation, condition, "something else");
    }
    if let Some((_, error)) = text.split_once("called `Result::unwrap()` on an `Err` value: ") {
        return Failure::new(operation, "success", error);
    }
    Failure::new(operation, "what the test is about", if text.is_empty() { "a failure" } else { &text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<Parsed> {
        let mut parser = Parser::default();
        let mut parsed: Vec<Parsed> = text.lines().filter_map(|line| parser.line(line)).collect();
        parsed.extend(parser.finish());
        parsed
    }

    #[test]
    fn a_report_is_understood() {
        let parsed = parse(
            "unlink::a                                       ok\n\
             \tunlink removes\n\
             \tunlink removes\n\
             unlink::b::fifo                            FAILED\n\
             \t An open file\n\
             \tassertion `left == right` failed: because\n  left: Err(EIO)\n right: Err(EPERM)\n\
             \t An open file\n\
             unlink::c                                 skipped\n\
             \tunlink returns EROFS\n\
             \tRemounts (allow_remount) are not allowed\n\
             unlink::d           ok\n\
             \nSummary: 1 failed, 1 skipped, 2 passed, 0 expected failures, 4 total\n",
        );
        let names: Vec<&str> = parsed.iter().map(|parsed| parsed.name.as_str()).collect();
        assert_eq!(names, ["unlink::a", "unlink::b::fifo", "unlink::c", "unlink::d"]);
        assert_eq!((parsed[0].about.as_str(), &parsed[0].outcome), ("unlink removes", &Outcome::Passed));
        let failure = Failure::new("An open file", "Err(EPERM)", "Err(EIO) (because)");
        assert_eq!(parsed[1].outcome, Outcome::Failed(failure));
        let reason = "Remounts (allow_remount) are not allowed".to_owned();
        assert_eq!(
            (parsed[2].about.as_str(), &parsed[2].outcome),
            ("unlink returns EROFS", &Outcome::Skipped { reason })
        );
        assert_eq!(parsed[3].outcome, Outcome::Passed);
    }

    #[test]
    fn other_texts_of_panics_are_understood() {
        let failed =
            |text: &str| match parse(&format!("a::b    FAILED\n\tabout\n\t{text}\n\tabout\n")).remove(0).outcome {
                Outcome::Failed(failure) => failure,
                other => panic!("{other:?}"),
            };
        assert_eq!(
            failed("called `Result::unwrap()` on an `Err` value: ENOENT"),
            Failure::new("about", "success", "ENOENT")
        );
        assert_eq!(failed("assertion failed: x.is_ok()"), Failure::new("about", "x.is_ok()", "something else"));
        assert_eq!(failed("Timestamps did not change"), {
            Failure::new("about", "what the test is about", "Timestamps did not change")
        });
    }
}
