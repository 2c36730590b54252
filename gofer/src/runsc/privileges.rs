//! What the process may do while it serves.

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Gid, Resource, Rlimit, Uid, parent_process_death_signal, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::hostfs::UdsPolicy;

/// A step that failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {step}: {source}")]
pub(super) struct PrivilegeError {
    step: &'static str,
    source: Errno,
}

fn to(step: &'static str) -> impl Fn(Errno) -> PrivilegeError {
    move |source| PrivilegeError { step, source }
}

/// Becomes the user and group that it is to serve as, in a user namespace that somebody else has filled meanwhile.
///
/// Must be called while there is one thread.
pub(super) fn become_user(uid: u32, gid: u32) -> Result<(), PrivilegeError> {
    let signal = parent_process_death_signal().map_err(to("see when this process is to end"))?;
    // Groups of whoever called runsc. Not every namespace lets them go, and then nobody there has them.
    if let Err(error) = set_thread_groups(&[]) {
        tracing::info!("cannot drop supplementary groups: {error}");
    }
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    set_thread_res_uid(uid, uid, uid).map_err(to("set the user"))?;
    set_thread_res_gid(gid, gid, gid).map_err(to("set the group"))?;
    // Both are taken away by the kernel when the user changes. runsc looks at this process through /proc, and wants it
    // to end with itself.
    set_parent_process_death_signal(signal).map_err(to("set when this process is to end"))?;
    set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(to("let runsc see this process"))
}

/// Gives up all capabilities but those that serving files takes, for good.
///
/// Must be called while there is one thread: capabilities are each thread's own.
pub(super) fn drop_capabilities(host_uds: UdsPolicy) -> Result<(), PrivilegeError> {
    let needed = needed(host_uds);
    let step = "give up capabilities";
    let current = capabilities(None).map_err(to(step))?;
    let kept = needed & current.permitted;
    if kept != needed {
        tracing::warn!("running without the capabilities {:?}", needed - kept);
    }
    if current.effective.contains(CapabilitySet::SETPCAP) {
        for number in 0..u64::BITS {
            let capability = CapabilitySet::from_bits_retain(1 << number);
            match capability_is_in_bounding_set(capability) {
                Ok(true) if !kept.contains(capability) => {
                    remove_capability_from_bounding_set(capability).map_err(to(step))?;
                }
                Ok(_) => {}
                // The kernel has no more of them.
                Err(Errno::INVAL) => break,
                Err(error) => return Err(to(step)(error)),
            }
        }
    }
    clear_ambient_capability_set().map_err(to(step))?;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(to(step))
}

/// What it takes to serve files of all users as if one were they.
fn needed(host_uds: UdsPolicy) -> CapabilitySet {
    let files = CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID;
    // ConnectWithCreds.
    let somebody = CapabilitySet::SETUID | CapabilitySet::SETGID;
    if host_uds.opens() { files | somebody } else { files }
}

/// Sets how many files the process may open, if it may.
pub(super) fn limit_descriptors(limit: u64) -> Result<(), PrivilegeError> {
    let wanted = Rlimit { current: Some(limit), maximum: Some(limit) };
    match setrlimit(Resource::Nofile, wanted) {
        Err(Errno::PERM) => {
            tracing::warn!("--fdlimit={limit} is more than this process is allowed");
            Ok(())
        }
        other => other.map_err(to("set --fdlimit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_few() {
        assert_eq!(needed(UdsPolicy::None).bits(), 0x1f);
        assert_eq!(needed(UdsPolicy::Create).bits(), 0x1f);
        assert_eq!(needed(UdsPolicy::All).bits(), 0xdf);
    }
}
