//! From rules to the kernel.

use std::env::consts::ARCH;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::merge::guarded;
use super::rules::{Allowed, Condition, SyscallRules, Test};

/// Why the filter could not be installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The rules cannot be expressed, most likely because there are too many of them.
    #[error("cannot make a seccomp filter: {0}")]
    Compile(#[source] seccompiler::BackendError),
    /// The kernel does not take the filter.
    #[error("cannot install the seccomp filter: {0}")]
    Kernel(#[source] seccompiler::Error),
}

/// Allows nothing but `rules` from now on, to all threads of the process; anything else ends it by `SIGSYS`.
///
/// What [`merge`](super::merge) leaves out is left out here too, so that it does not matter where the rules come from.
/// Also sets *no new privileges*, without which only root could do this. It cannot be undone.
///
/// All threads must run their own code already: a thread that is only about to start makes system calls for that.
pub fn install(rules: &SyscallRules) -> Result<(), InstallError> {
    let program = compile(rules).map_err(InstallError::Compile)?;
    // The first time, this and the vDSO are looked up in a way that is not allowed any more afterwards.
    let _remembered = rustix::param::page_size();
    seccompiler::apply_filter_all_threads(&program).map_err(InstallError::Kernel)
}

pub(super) fn compile(rules: &SyscallRules) -> Result<BpfProgram, seccompiler::BackendError> {
    let rules = guarded(rules)
        .iter()
        .map(|(number, allowed)| Ok((number, translate(allowed)?)))
        .collect::<Result<_, seccompiler::BackendError>>()?;
    let arch = TargetArch::try_from(ARCH)?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, arch)?.try_into()
}

/// The same in the terms of the compiler, where no rules are no restriction.
fn translate(allowed: &Allowed) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    match allowed {
        Allowed::Always => Ok(Vec::new()),
        Allowed::AnyOf(rules) => {
            rules.iter().map(|rule| SeccompRule::new(rule.iter().map(condition).collect::<Result<_, _>>()?)).collect()
        }
    }
}

fn condition(condition: &Condition) -> Result<SeccompCondition, seccompiler::BackendError> {
    let (len, operator, value) = match condition.test {
        Test::Int(value) => (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value.into()),
        Test::NotInt(value) => (SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, value.into()),
        Test::Long(value) => (SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value),
        Test::Bits { mask, set } => (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask.into()), set.into()),
    };
    SeccompCondition::new(condition.argument, len, operator, value)
}
