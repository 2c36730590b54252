#!/usr/bin/env bash
# tracing-subscriber's EnvFilter and a mistyped level: `EnvFilter::try_new("inof")` and `builder().parse("warning")` are no errors,
# although the strict way of reading was chosen. A word that is no level is the name of a target, for which everything is then
# logged; all others are switched off. So a program that hands its --log option on this way accepts any typing mistake, and
# answers it with a silent log, in which not even errors appear. Only a word with `=` is checked: "crate=inof" is refused.
#
# Seen with tracing-subscriber 0.3.20:
#   "info" is read as "info": an error of the program is logged
#   "inof" is read as "inof=trace": an error of the program is dropped
#   "warning" is read as "warning=trace": an error of the program is dropped
#   "main=inof" is refused
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "main"
version = "0.1.0"
edition = "2021"

[dependencies]
tracing = "=0.1.41"
tracing-subscriber = { version = "=0.3.20", features = ["env-filter"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::EnvFilter;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() {
    for words in ["info", "inof", "warning", "main=inof"] {
        let Ok(filter) = EnvFilter::builder().parse(words) else {
            println!("{words:?} is refused");
            continue;
        };
        let read_as = filter.to_string();
        let log = Log::default();
        let writer = Log(log.0.clone());
        let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || tracing::error!("all is lost"));
        let outcome = if log.0.lock().unwrap().is_empty() { "dropped" } else { "logged" };
        println!("{words:?} is read as {read_as:?}: an error of the program is {outcome}");
    }
}
RUST
CARGO_TARGET_DIR=$work/target cargo run --quiet --manifest-path "$work/Cargo.toml" | tee "$work/seen"
diff - "$work/seen" <<'SEEN' || { echo "that has changed"; exit 1; }
"info" is read as "info": an error of the program is logged
"inof" is read as "inof=trace": an error of the program is dropped
"warning" is read as "warning=trace": an error of the program is dropped
"main=inof" is refused
SEEN
