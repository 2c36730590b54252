//! What extensions add, and what nobody can add.

use super::rules::{Allowed, Condition, SyscallRules};

/// The stock rules and those of the extensions: a system call is allowed if any of them allows it.
///
/// Whoever asks for it, memory that is not executable never becomes so, and the process does not reach into others:
/// conditions to that end are added to some calls, and others are left out; [`refused`] tells which.
pub fn merge(stock: &SyscallRules, extensions: &[SyscallRules]) -> SyscallRules {
    let mut merged = stock.clone();
    for (number, allowed) in extensions.iter().flat_map(SyscallRules::iter) {
        merged.add(number, allowed);
    }
    guarded(&merged)
}

/// The system calls in `rules` that [`merge`] leaves out altogether.
pub fn refused(rules: &SyscallRules) -> impl Iterator<Item = i64> {
    rules.numbers().filter(|number| NEVER.contains(number))
}

/// The rules without what must not be allowed to anybody.
pub(super) fn guarded(rules: &SyscallRules) -> SyscallRules {
    rules.restricted(|number, allowed| {
        if NEVER.contains(&number) {
            return None;
        }
        let guards = GUARDS.iter().filter(|(guarded, _)| *guarded == number);
        Some(guards.fold(allowed.clone(), |allowed: Allowed, (_, condition)| allowed.and(*condition)))
    })
}

/// Conditions that hold whatever a rule says.
const GUARDS: &[(i64, Condition)] = &[
    (libc::SYS_mmap, Condition::without(2, libc::PROT_EXEC)),
    (libc::SYS_mprotect, Condition::without(2, libc::PROT_EXEC)),
    (libc::SYS_pkey_mprotect, Condition::without(2, libc::PROT_EXEC)),
    // Shared memory of System V is mapped by a call of its own, with a flag of its own.
    (libc::SYS_shmat, Condition::without(2, libc::SHM_EXEC)),
    // The filter is nobody's business once it is there.
    (libc::SYS_prctl, Condition::not_int(0, libc::PR_SET_SECCOMP)),
];

/// System calls that are not allowed with any arguments.
const NEVER: &[i64] = &[
    // They map a whole program.
    libc::SYS_execve,
    libc::SYS_execveat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    // Can make everything executable that is readable, with no flag on the mapping.
    libc::SYS_personality,
    // They change other processes, or threads behind their back.
    libc::SYS_ptrace,
    libc::SYS_process_vm_writev,
    libc::SYS_process_vm_readv,
    // The filter is nobody's business once it is there.
    libc::SYS_seccomp,
    // Code that runs in the kernel.
    libc::SYS_bpf,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
];
