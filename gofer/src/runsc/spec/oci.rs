//! The spec as the types of the OCI runtime specification have it.

use oci_spec::runtime::{Mount, Spec};

use super::json::{Json, Step};
use super::{SpecError, go};

/// Flags as the specification names them, and as the types do.
const SCHEDULER_FLAGS: [(&str, &str); 2] =
    [("SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"), ("SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN")];

/// A spec of which more than so many values cannot be read is no spec.
const MOST_UNREADABLE: usize = 1000;

/// The whole spec, with `mounts` for its mounts, without those values that these types cannot read.
pub(super) fn spec(document: &Json, mounts: &[Mount]) -> Result<Spec, SpecError> {
    let mut document = document.clone();
    rename_flags(&mut document);
    let mut left = MOST_UNREADABLE;
    loop {
        let unreadable = match go::read::<Spec>(&mut document) {
            Ok(mut spec) => {
                spec.set_mounts(Some(mounts.to_vec()));
                return Ok(spec);
            }
            Err(unreadable) => unreadable,
        };
        if left == 0 || !remove(&mut document, unreadable.path()) {
            return Err(unreadable.into());
        }
        left -= 1;
        tracing::warn!("extensions do not see part of the spec: {unreadable}");
    }
}

/// Takes away the value at `path`. If nothing can be there instead, neither can what it is in.
fn remove(document: &mut Json, mut path: Vec<Step>) -> bool {
    while let Some(Json::Zero) = document.get_mut(&path) {
        if path.pop().is_none() {
            return false;
        }
    }
    document.remove(&path)
}

fn rename_flags(document: &mut Json) {
    let path = ["process", "scheduler", "flags"].map(|name| Step::Member(name.to_owned()));
    let Some(Json::List(flags)) = document.get_mut(&path) else { return };
    for flag in flags {
        let Json::Text(name) = flag else { continue };
        if let Some((_, known)) = SCHEDULER_FLAGS.iter().find(|(specified, _)| specified == name) {
            (*known).clone_into(name);
        }
    }
}
