//! The older pjdfstest of shell scripts around a small C program, whose tests print TAP.

mod tap;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tap::{Line, parse};

use subprocess::{End, lines};

use super::case::{CaseResult, Failure, Outcome};
use super::context::Context;
use super::error::SuiteError;

/// Runs the suite whose scripts are in `tests` of `suite_directory`, one after the other. A test is one line of a
/// script.
pub(super) fn run(context: Context<'_>, suite: &str, suite_directory: &Path) -> Result<Vec<CaseResult>, SuiteError> {
    let mut scripts = Vec::new();
    find(&suite_directory.join("tests"), &mut scripts)?;
    scripts.sort();
    context.observer.begins(suite, None);
    let mut results = Vec::new();
    for script in scripts {
        if context.stop.cause().is_some() {
            break;
        }
        let name = script.strip_prefix(suite_directory.join("tests")).unwrap_or(&script).with_extension("");
        let name = name.to_string_lossy().replace('/', "::");
        // The numbers of its tests are only known when it has run.
        if context.settings.wants(&name) {
            one(context, suite, &script, &name, &mut results)?;
        }
    }
    Ok(results)
}

fn one(
    context: Context<'_>,
    suite: &str,
    script: &Path,
    name: &str,
    results: &mut Vec<CaseResult>,
) -> Result<(), SuiteError> {
    let about = about(script)?;
    let directory = context.directory.join(name.replace("::", "-"));
    let made = fs::create_dir(&directory);
    let mut command = Command::new("sh");
    command.arg(script).current_dir(&directory).env("LC_ALL", "C");
    let (mut planned, mut seen) = (None, 0_u32);
    let mut start = context.clock.now();
    let mut add = |number: u32, outcome| {
        let case = CaseResult::new(format!("{name}::{number}"), outcome, context.clock.since(start)).about(&about);
        start = context.clock.now();
        context.observer.ended(suite, &case);
        results.push(case);
    };
    if let Err(error) = made {
        add(1, Outcome::Failed(Failure::new("mkdir() for the script", "success", error.to_string())));
        return Ok(());
    }
    let (ended, said) = lines(
        &mut command,
        context.settings.timeout,
        || context.stop.cause().is_some(),
        |line| match parse(line) {
            Some(Line::Plan { tests, skipped }) => {
                planned = Some(tests);
                if let Some(reason) = skipped {
                    add(0, Outcome::Skipped { reason });
                }
            }
            Some(Line::Test { outcome }) => {
                seen += 1;
                add(seen, outcome);
            }
            None => {}
        },
    )?;
    let failure = match ended {
        End::Exited(_) if planned == Some(seen) => None,
        End::Exited(status) => {
            let expected = planned.map_or_else(|| "a plan".to_owned(), |planned| format!("{planned} tests"));
            Some(Failure::new(script.display().to_string(), expected, format!("{seen} tests, {status}: {said}")))
        }
        End::TimedOut => Some(Failure::timed_out(script.display().to_string(), context.settings.timeout)),
        End::Stopped => {
            let gone = context.stop.failure();
            gone.map(|gone| Failure::new(script.display().to_string(), "a reply", gone))
        }
    };
    if let Some(failure) = failure {
        add(seen + 1, Outcome::Failed(failure));
    }
    // What its tests leave behind must not disturb others.
    let _ = fs::remove_dir_all(&directory);
    Ok(())
}

/// What a script says that it is about.
fn about(script: &Path) -> io::Result<String> {
    let text = fs::read_to_string(script)?;
    let line = text.lines().find_map(|line| line.strip_prefix("desc=\""));
    Ok(line.map(|line| line.trim_end_matches('"').to_owned()).unwrap_or_default())
}

fn find(directory: &Path, scripts: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, scripts)?;
        } else if path.extension().is_some_and(|extension| extension == "t") {
            scripts.push(path);
        }
    }
    Ok(())
}

/// Fails if the suite could not run here for a reason that has nothing to do with the file system.
pub(super) fn check(suite_directory: &Path) -> Result<(), SuiteError> {
    if !suite_directory.join("tests").is_dir() {
        return Err(SuiteError::NotClassic(suite_directory.to_path_buf()));
    }
    if !suite_directory.join("pjdfstest").is_file() {
        return Err(SuiteError::NotBuilt(suite_directory.to_path_buf()));
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(SuiteError::NeedsRoot("pjdfstest"));
    }
    Ok(())
}
