#!/usr/bin/env bash
# clap_complete (completions for programs whose command line is clap's): in bash, nothing is offered behind the first subcommand of a
# program whose own name has a dash in it, while zsh and fish are right. The script walks along the words with the name written
# "my__prog", and then looks for what it has found among labels that are written "my__subcmd__prog".
#
# Seen with clap_complete 4.6.11 and clap 4.6.7:
#   my-prog: out -> "outer", outer inn -> ""
#   myprog: out -> "outer", outer inn -> "inner"
set -euo pipefail
command -v cargo >/dev/null || { echo "needs cargo"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'T'
[package]
name = "made"
version = "0.1.0"
edition = "2024"
[dependencies]
clap = { version = "=4.6.7", default-features = false, features = ["std", "string"] }
clap_complete = "=4.6.11"
[workspace]
T
cat >"$work/src/main.rs" <<'R'
use clap::Command;
fn main() {
    let name = std::env::args().nth(1).unwrap();
    let mut command = Command::new(name.clone())
        .subcommand(Command::new("outer").subcommand(Command::new("inner")));
    clap_complete::generate(clap_complete::Shell::Bash, &mut command, name, &mut std::io::stdout());
}
R
cd "$work"
CARGO_TARGET_DIR="$work/target" cargo build --quiet
offered() {
    bash -c '. "$0"; function=$(complete -p "$1" | sed "s/.*-F \([^ ]*\).*/\1/")
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); "$function" "$1" "${@: -1}" "${@: -2:1}"; echo "${COMPREPLY[*]}"' "$work/script" "$@"
}
for name in my-prog myprog; do
    target/debug/made "$name" >"$work/script"
    echo "$name: out -> \"$(offered "$name" out)\", outer inn -> \"$(offered "$name" outer inn)\""
done
target/debug/made my-prog >"$work/script"
[ -z "$(offered my-prog outer inn)" ] || { echo "it is mended"; exit 1; }
[ -n "$(offered my-prog out)" ]
target/debug/made myprog >"$work/script"
[ "$(offered myprog outer inn)" = inner ]
