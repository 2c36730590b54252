//! The chapter on production as a script: what is marked in it is done as it is written there.
//!
//! A comment `<!-- play: SUBJECT.. -->` before a fenced block marks it for each SUBJECT: commands (`sh`, or `console`
//! with what they print), or the content of the file that the comment ends with.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Something to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A file is made.
    File {
        /// Where.
        path: String,
        /// Its content.
        text: String,
    },
    /// A command is run.
    Command {
        /// What is typed.
        line: String,
        /// Parts of what it prints, line by line. Without any it must succeed.
        prints: Vec<String>,
    },
}

impl Step {
    /// Writes what belongs to it into `directory`.
    pub(super) fn write(&self, directory: &Path, number: usize) -> Result<()> {
        let at = |end: &str| directory.join(format!("step-{number}{end}"));
        match self {
            Step::File { text, .. } => fs::write(at(""), text)?,
            Step::Command { line, prints } => {
                fs::write(at(""), format!("{line}\n"))?;
                fs::write(at(".prints"), prints.join("\n"))?;
            }
        }
        Ok(())
    }

    /// The shell's line that does it.
    pub(super) fn call(&self, number: usize) -> String {
        match self {
            Step::File { path, .. } => {
                format!("echo '# {path}'; mkdir -p \"$(dirname {path})\"; cp /play/step-{number} {path}\n")
            }
            Step::Command { .. } => format!("step /play/step-{number}\n"),
        }
    }
}

/// What `text` has for `subject`.
pub(super) fn steps(text: &str, subject: &str) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("<!-- play: ").and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        let (file, subjects): (Vec<&str>, Vec<&str>) = words.split(' ').partition(|word| word.starts_with('/'));
        let fence = lines.find(|line| !line.is_empty()).and_then(|line| line.strip_prefix("```"));
        let language = fence.with_context(|| format!("nothing follows {line}"))?;
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if !subjects.contains(&subject) {
            continue;
        }
        match (file.first(), language) {
            (Some(path), _) => steps.push(Step::File { path: (*path).to_owned(), text: block.join("\n") + "\n" }),
            (None, "sh") => commands(block.into_iter().map(|line| (true, line)), &mut steps),
            (None, "console") => {
                let split = |line: &'_ str| line.strip_prefix("$ ").map(|line| (true, line.to_owned()));
                let lines: Vec<(bool, String)> =
                    block.into_iter().map(|line| split(line).unwrap_or((false, line.to_owned()))).collect();
                commands(lines.iter().map(|(is_command, line)| (*is_command, line.as_str())), &mut steps);
            }
            (None, other) => bail!("{line}: nobody can play {other:?}"),
        }
    }
    Ok(steps)
}

/// Lines that are commands, and those that follow them. A command goes on after a backslash.
fn commands<'a>(lines: impl Iterator<Item = (bool, &'a str)>, steps: &mut Vec<Step>) {
    let mut goes_on = false;
    for (is_command, text) in lines {
        match steps.last_mut() {
            Some(Step::Command { line, .. }) if goes_on => {
                line.push('\n');
                line.push_str(text);
            }
            Some(Step::Command { prints, .. }) if !is_command => {
                prints.push(text.trim().to_owned());
                continue;
            }
            _ => steps.push(Step::Command { line: text.to_owned(), prints: Vec::new() }),
        }
        goes_on = text.ends_with('\\');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_blocks_are_steps() {
        let text = "text\n\n<!-- play: a /etc/x.json -->\n```json\n{}\n```\n```sh\nnot this\n```\n<!-- play: b a -->\n```console\n\
                    $ one \\\n    more\nsays this\n  and that\n$ two\n```\n<!-- play: b -->\n```sh\nthree\n```\n";
        let command = |line: &str, prints: &[&str]| Step::Command {
            line: line.to_owned(),
            prints: prints.iter().map(|&line| line.to_owned()).collect(),
        };
        let file = Step::File { path: "/etc/x.json".to_owned(), text: "{}\n".to_owned() };
        let one = || command("one \\\n    more", &["says this", "and that"]);
        assert_eq!(steps(text, "a").unwrap(), [file, one(), command("two", &[])]);
        assert_eq!(steps(text, "b").unwrap(), [one(), command("two", &[]), command("three", &[])]);
        assert_eq!(steps(text, "c").unwrap(), []);
        assert!(steps("<!-- play: a -->\n```yaml\n```\n", "a").is_err());
    }
}
