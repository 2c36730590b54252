//! The spec as the types of the OCI runtime specification have it.

use oci_spec::runtime::{Mount, Spec};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::SpecError;

/// Members that say something about files.
const FILES: [&str; 5] = ["ociVersion", "root", "hostname", "hooks", "annotations"];

/// The whole spec, with `mounts` for its mounts. If something in it has a value that these types do not know, as much of it as
/// is about files.
pub(super) fn spec(document: &Value, mounts: &[Mount]) -> Result<Spec, SpecError> {
    let mut spec = match Spec::deserialize(document) {
        Ok(spec) => spec,
        Err(error) => {
            tracing::warn!("extensions do not see the whole spec: {error}");
            let Value::Object(members) = document else { return Err(error.into()) };
            let files: Map<String, Value> = members
                .iter()
                .filter(|(key, value)| FILES.contains(&key.as_str()) && !value.is_null())
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            Spec::deserialize(Value::Object(files))?
        }
    };
    spec.set_mounts(Some(mounts.to_vec()));
    Ok(spec)
}
