#!/usr/bin/env bash
# The crate oci-spec (the runtime specification's types in Rust) does not read two scheduler flags by the names that the
# specification's config.md gives them, SCHED_FLAG_RESET_ON_FORK and SCHED_FLAG_DL_OVERRUN: the whole spec is refused as
# "unknown variant". It reads them as SCHED_RESET_ON_FORK and SCHED_FLAG_D_L_OVERRUN, which nobody writes (the names come from
# the spelling of the variants in Rust). The five other flags are read as specified.
#
# Seen with oci-spec 0.10.0: the lines at the end of this script.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >Cargo.toml <<'TOML'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"
[dependencies]
oci-spec = { version = "=0.10.0", default-features = false, features = ["runtime"] }
serde_json = "1"
TOML
mkdir src
cat >src/main.rs <<'RUST'
use serde_json::json;

fn main() {
    let read = |process: serde_json::Value| {
        let spec = json!({ "ociVersion": "1.2.0", "root": { "path": "rootfs" }, "process": process });
        match serde_json::from_value::<oci_spec::runtime::Spec>(spec) {
            Ok(_) => "read".to_owned(),
            Err(error) => error.to_string().split(',').next().unwrap_or_default().to_owned(),
        }
    };
    let user = json!({ "uid": 0, "gid": 0 });
    for flag in [
        "SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM", "SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_KEEP_POLICY",
        "SCHED_FLAG_KEEP_PARAMS", "SCHED_FLAG_UTIL_CLAMP_MIN", "SCHED_FLAG_UTIL_CLAMP_MAX", "SCHED_RESET_ON_FORK", "SCHED_FLAG_D_L_OVERRUN",
    ] {
        let scheduler = json!({ "policy": "SCHED_OTHER", "flags": [flag] });
        println!("{flag}: {}", read(json!({ "cwd": "/", "args": ["true"], "user": user, "scheduler": scheduler })));
    }
}
RUST
CARGO_TARGET_DIR="$work/target" nice cargo run --quiet | tee seen
diff seen - <<'EXPECTED'
SCHED_FLAG_RESET_ON_FORK: unknown variant `SCHED_FLAG_RESET_ON_FORK`
SCHED_FLAG_RECLAIM: read
SCHED_FLAG_DL_OVERRUN: unknown variant `SCHED_FLAG_DL_OVERRUN`
SCHED_FLAG_KEEP_POLICY: read
SCHED_FLAG_KEEP_PARAMS: read
SCHED_FLAG_UTIL_CLAMP_MIN: read
SCHED_FLAG_UTIL_CLAMP_MAX: read
SCHED_RESET_ON_FORK: read
SCHED_FLAG_D_L_OVERRUN: read
EXPECTED
echo "as described"
