//! What is wrong, as it stands on a command line.

use std::time::Duration;

use super::chance::Probability;
use super::defect::Defect;
use super::errno;
use crate::extensions::wrap::{Call, Calls};
use lisafs::backend::Errno;

/// Why parameters were not understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// There is no such parameter.
    #[error("unknown parameter {0:?}; known are latency=, error=, short=, exit=, defect= and seed=")]
    Unknown(String),
    /// What is behind the `=` means nothing.
    #[error("{name}={value}: {wanted}")]
    Meaning {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        wanted: String,
    },
}

/// All parameters.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Parameters {
    pub(super) latencies: Vec<(Calls, Duration)>,
    pub(super) errors: Vec<(Calls, Errno, Probability)>,
    pub(super) shorts: Vec<(Call, Probability)>,
    pub(super) exits: Vec<(Calls, Probability)>,
    pub(super) defects: Vec<(Defect, Probability)>,
    pub(super) seed: Option<u64>,
}

impl Parameters {
    /// Takes parameters with `&` between them.
    pub(super) fn parse(text: &str) -> Result<Self, FaultError> {
        let mut parameters = Parameters::default();
        for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            parameters.set(name, value)?;
        }
        Ok(parameters)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), FaultError> {
        let (name, outcome) = match name {
            "defect" if self.defects.iter().any(|(known, _)| defect(value).is_ok_and(|(new, _)| new == *known)) => {
                ("defect", Err("given twice".to_owned()))
            }
            "seed" if self.seed.is_some() => ("seed", Err("given twice".to_owned())),
            "latency" => ("latency", latency(value).map(|latency| self.latencies.push(latency))),
            "error" => ("error", error(value).map(|error| self.errors.push(error))),
            "short" => ("short", short(value).map(|short| self.shorts.push(short))),
            "exit" => ("exit", exit(value).map(|exit| self.exits.push(exit))),
            "defect" => ("defect", defect(value).map(|defect| self.defects.push(defect))),
            "seed" => ("seed", seed(value).map(|seed| self.seed = Some(seed))),
            _ => return Err(FaultError::Unknown(name.to_owned())),
        };
        let meaning = |wanted| FaultError::Meaning { name, value: value.escape_debug().to_string(), wanted };
        outcome.map_err(meaning)
    }
}

/// What is understood, or what would be right.
type Parsed<T> = Result<T, String>;

fn latency(text: &str) -> Parsed<(Calls, Duration)> {
    let (duration, calls) = match text.split_once('@') {
        Some((duration, call)) => (duration, calls(call)?),
        None => (text, Calls::all_but_attach()),
    };
    let duration = parse_duration(duration)
        .ok_or("not a duration of at most an hour; for example 5ms, 100us or latency=1.5s@write")?;
    Ok((calls, duration))
}

fn error(text: &str) -> Parsed<(Calls, Errno, Probability)> {
    let (rest, probability) = probability(text)?;
    let (name, call) =
        rest.split_once('@').ok_or("say which calls fail, for example error=EIO@write or error=EIO@*")?;
    let errno =
        errno::named(name).ok_or_else(|| format!("{name:?} is not an errno; for example EIO, ENOSPC or EACCES"))?;
    Ok((calls(call)?, errno, probability))
}

fn short(text: &str) -> Parsed<(Call, Probability)> {
    let (call, probability) = probability(text)?;
    match call {
        "read" => Ok((Call::Read, probability)),
        "write" => Ok((Call::Write, probability)),
        _ => Err("only reads and writes can be short: short=read or short=write:0.5".to_owned()),
    }
}

fn exit(text: &str) -> Parsed<(Calls, Probability)> {
    let (call, probability) = probability(text)?;
    if call.is_empty() {
        return Err("say after which calls, for example exit=rename".to_owned());
    }
    Ok((calls(call)?, probability))
}

fn defect(text: &str) -> Parsed<(Defect, Probability)> {
    let (name, probability) = probability(text)?;
    let unknown = || {
        let known: Vec<&str> = Defect::ALL.iter().map(|defect| defect.name()).collect();
        format!("{name:?} is not a defect; known are {}", known.join(", "))
    };
    let defect = Defect::ALL.iter().find(|defect| defect.name() == name).ok_or_else(unknown)?;
    Ok((*defect, probability))
}

fn seed(text: &str) -> Parsed<u64> {
    text.parse().map_err(|_| "not a 64-bit number".to_owned())
}

fn calls(name: &str) -> Parsed<Calls> {
    Calls::named(name).ok_or_else(|| {
        let known: Vec<&str> = Call::ALL.iter().map(|call| call.name()).collect();
        format!("{name:?} is not a call; known are {}, xattr and *", known.join(", "))
    })
}

/// Cuts the probability off.
fn probability(text: &str) -> Parsed<(&str, Probability)> {
    let Some((rest, probability)) = text.split_once(':') else { return Ok((text, Probability::ALWAYS)) };
    match Probability::parse(probability) {
        Some(probability) => Ok((rest, probability)),
        None => Err(format!("{probability:?} is not a probability; use a number from 0 to 1, for example 0.01")),
    }
}

/// More than any client waits for. Whoever ends the server waits for it, too.
const LONGEST: Duration = Duration::from_secs(3600);

fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.find(|char: char| !char.is_ascii_digit() && char != '.')?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    let duration = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
    (duration <= LONGEST).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_understood() {
        let text =
            "latency=5ms&latency=1.5us@xattr&error=EIO@write:0.01&short=read&exit=rename&defect=zero-ino:0.5&seed=42";
        let expected = Parameters {
            latencies: vec![
                (Calls::all_but_attach(), Duration::from_millis(5)),
                (Calls::named("xattr").unwrap(), Duration::from_nanos(1500)),
            ],
            errors: vec![(Calls::of(&[Call::Write]), Errno::IO, Probability::parse("0.01").unwrap())],
            shorts: vec![(Call::Read, Probability::ALWAYS)],
            exits: vec![(Calls::of(&[Call::Rename]), Probability::ALWAYS)],
            defects: vec![(Defect::ZeroIno, Probability::parse("0.5").unwrap())],
            seed: Some(42),
        };
        assert_eq!(Parameters::parse(text), Ok(expected));
        assert_eq!(Parameters::parse(""), Ok(Parameters::default()));
        let latency = |text: &str| Parameters::parse(&format!("latency={text}")).unwrap().latencies[0].1;
        assert_eq!((latency("2s"), latency("0ns")), (Duration::from_secs(2), Duration::ZERO));
    }

    #[test]
    fn mistakes_are_told_in_one_line() {
        let error = |text: &str| Parameters::parse(text).unwrap_err().to_string();
        assert_eq!(error("b"), "unknown parameter \"b\"; known are latency=, error=, short=, exit=, defect= and seed=");
        assert_eq!(
            error("latency=5"),
            "latency=5: not a duration of at most an hour; for example 5ms, 100us or latency=1.5s@write"
        );
        assert_eq!(error("error=EIO"), {
            "error=EIO: say which calls fail, for example error=EIO@write or error=EIO@*"
        });
        assert_eq!(
            error("error=EOI@read"),
            "error=EOI@read: \"EOI\" is not an errno; for example EIO, ENOSPC or EACCES"
        );
        assert!(
            error("error=EIO@wriet").starts_with("error=EIO@wriet: \"wriet\" is not a call; known are attach, walk, ")
        );
        assert!(error("defect=none").contains("\"none\" is not a defect; known are wrong-nlink, "));
        assert_eq!(error("short=stat"), {
            "short=stat: only reads and writes can be short: short=read or short=write:0.5"
        });
        assert_eq!(error("short=read:2"), {
            "short=read:2: \"2\" is not a probability; use a number from 0 to 1, for example 0.01"
        });
        assert_eq!(error("exit="), "exit=: say after which calls, for example exit=rename");
        assert_eq!(error("seed=1&seed=2"), "seed=2: given twice");
        assert_eq!(error("defect=wrong-size:0.1&defect=wrong-size"), "defect=wrong-size: given twice");
        assert_eq!(error("seed=a\nb"), "seed=a\\nb: not a 64-bit number");
        for bad in
            ["latency", "latency=ms", "latency=-1ms", "latency=1m", "latency=1ms@", "error=@read", "seed=-1", "=1"]
        {
            assert!(!error(bad).contains('\n'), "{bad}");
        }
    }
}
