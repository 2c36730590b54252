//! The spec as the types of the OCI runtime specification have it.

use oci_spec::runtime::{Mount, Spec};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::SpecError;

/// The whole spec, with `mounts` for its mounts, without those members that these types cannot read.
pub(super) fn spec(document: &Value, mounts: &[Mount]) -> Result<Spec, SpecError> {
    let mut spec = match Spec::deserialize(document) {
        Ok(spec) => spec,
        Err(error) => {
            tracing::warn!("extensions do not see the whole spec: {error}");
            let Value::Object(members) = document else { return Err(error.into()) };
            Spec::deserialize(readable(members))?
        }
    };
    spec.set_mounts(Some(mounts.to_vec()));
    Ok(spec)
}

/// Of all members, and of the members of objects among them, those that can be read.
fn readable(members: &Map<String, Value>) -> Value {
    let mut spec = json!({"ociVersion": "1.0.0"});
    for (key, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        if set(&mut spec, &[key], value.clone()) {
            continue;
        }
        let Value::Object(members) = value else { continue };
        let without_members = match key.as_str() {
            // What cannot be missing.
            "process" => json!({"cwd": "/", "user": {"uid": 0, "gid": 0}}),
            _ => json!({}),
        };
        if set(&mut spec, &[key], without_members) {
            for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
                set(&mut spec, &[key, name], value.clone());
            }
        }
    }
    spec
}

/// Sets the member at `path`, unless that makes `spec` unreadable.
fn set(spec: &mut Value, path: &[&str], value: Value) -> bool {
    let mut changed = spec.clone();
    let mut place = &mut changed;
    for name in path {
        place = &mut place[*name];
    }
    *place = value;
    let is_readable = Spec::deserialize(&changed).is_ok();
    if is_readable {
        *spec = changed;
    }
    is_readable
}
